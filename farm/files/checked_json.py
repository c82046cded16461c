"""JSON that knows whether it is still what was written: an object with the hash of its other fields beside them.

data = seal({"frames": [...]})     # bytes for a file
unseal(data)                       # {"frames": [...]}, or ValueError where a single bit is different
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

FIELD = "sha256"


def seal(content: Mapping[str, Any], indent: int = 0) -> bytes:
    """`content` must be plain JSON with text for keys, and no field named `sha256`."""
    if FIELD in content:
        raise ValueError(f"{FIELD} is the seal's own field")
    return json.dumps({**content, FIELD: _digest(content)}, indent=indent).encode()


def unseal(data: bytes) -> dict[str, Any]:
    """The content without the seal. Raises ValueError for anything that `seal` did not write as it is."""
    try:
        content = json.loads(data)
    except RecursionError:
        raise ValueError("not a sealed object") from None
    if not isinstance(content, dict) or content.pop(FIELD, None) != _digest(content):
        raise ValueError("the content is not what was sealed")
    return content


def _digest(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
