"""JSON that knows whether it is still what was written: an object with the hash of its other fields beside them.

>>> data = seal({"frames": [3, 4]})
>>> unseal(data)
{'frames': [3, 4]}
>>> parse_or_none(data[:-9], unseal) is None      # a file that was torn
True
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

T = TypeVar("T")

FIELD = "sha256"
"""Field of a sealed object that holds the SHA-256 of all its other fields."""


def seal(content: Mapping[str, Any], indent: int = 0) -> bytes:
    """Bytes of a JSON object with the hash of `content` in it. `content` must be plain JSON with text for keys.

    Raises ValueError where `content` has a field named `sha256` itself.
    """
    if FIELD in content:
        raise ValueError(f"{FIELD} is the seal's own field")
    return json.dumps({**content, FIELD: _digest(content)}, indent=indent).encode()


def unseal(data: bytes) -> dict[str, Any]:
    """The sealed content, without its hash. Raises ValueError for bytes that are not exactly what `seal` wrote."""
    try:
        content = json.loads(data)
    except RecursionError:
        raise ValueError("not a sealed object") from None
    if not isinstance(content, dict) or content.pop(FIELD, None) != _digest(content):
        raise ValueError("the content is not what was sealed")
    return content


def parse_or_none(data: bytes | None, parse: Callable[[bytes], T]) -> T | None:
    """`parse(data)`; None where there is no file (`data` is None) or `parse` does not understand its bytes.

    For files that only inform, such as `state.json`: one that is torn, damaged, or of another version of the farm
    counts as absent, because the job goes on without it.
    """
    try:
        return None if data is None else parse(data)
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError):  # pydantic's error is a ValueError
        return None


def _digest(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
