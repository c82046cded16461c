"""What every model of the farm has in common: frozen fields, unknown ones refused, text read as people write it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pydantic import BaseModel, ConfigDict

from farm.errors import UsageError


class Model(BaseModel):
    """Frozen, and a field nobody knows is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def from_text(value: Any, parse: Callable[[str], float]) -> Any:
    """A number written as text (`10m`, `6GiB`), for validators; what is no text is left to them. Raises ValueError."""
    if not isinstance(value, str):
        return value
    try:
        return parse(value)
    except UsageError as error:
        raise ValueError(str(error)) from error
