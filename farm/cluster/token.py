"""The token that Ray asks for, in a file that only this user can read.

ensure_token()      # before Ray is started

Why: Ray would make the file itself, but readable by every user of the machine.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from pathlib import Path

TOKEN_BYTES = 32
"""Random bytes of a token."""


def token_file(environment: Mapping[str, str]) -> Path | None:
    """The file where Ray looks for the token; None where the environment holds the token, or asks for none."""
    if environment.get("RAY_AUTH_MODE") != "token" or environment.get("RAY_AUTH_TOKEN"):
        return None
    return Path(environment.get("RAY_AUTH_TOKEN_PATH") or Path.home() / ".ray/auth_token")


def ensure_token(environment: Mapping[str, str] = os.environ) -> None:
    """Write a token where there is none, and take other users' access to one of this user's away. Raises OSError."""
    path = token_file(environment)
    if path is None:
        return
    try:
        state = path.stat()
    except FileNotFoundError:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:  # noqa: PTH123
            file.write(secrets.token_hex(TOKEN_BYTES))
        return
    if state.st_mode & 0o077 and state.st_uid == os.getuid():
        path.chmod(0o600)
