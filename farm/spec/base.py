"""What all models of the farm have in common: fields are frozen, unknown ones refused, and text is read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pydantic import BaseModel, ConfigDict

from farm.errors import UsageError


class Model(BaseModel):
    """Base of every model. Its fields cannot be set, and an unknown field raises pydantic's ValidationError."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def from_text(value: Any, parse: Callable[[str], float]) -> Any:
    """For validators: `parse(value)` where `value` is text such as `10m` or `6GiB`, else `value` as it is.

    Raises ValueError where `parse` raises UsageError.
    """
    if not isinstance(value, str):
        return value
    try:
        return parse(value)
    except UsageError as error:
        raise ValueError(str(error)) from error
