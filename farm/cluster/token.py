"""The token that Ray asks for, in a file that only this user can read.

ensure_token()      # before Ray is started; ensure_token_here() where only this process uses it
auth_token()        # what a request to a cluster carries

Why: Ray would make the file itself, but readable by every user of the machine. `python -m farm.cluster.token` makes it
for a cluster that is started by hand, and prints nothing.
"""

from __future__ import annotations

import logging
import os
import secrets
from collections.abc import Mapping, MutableMapping
from pathlib import Path

from farm.errors import UsageError

TOKEN_BYTES = 32
"""Random bytes of a token."""
_warned: set[Path] = set()
"""Files that this process has warned of."""


def token_file(environment: Mapping[str, str]) -> Path | None:
    """The file where Ray looks for the token; None where the environment holds the token, or asks for none."""
    if environment.get("RAY_AUTH_MODE") != "token" or environment.get("RAY_AUTH_TOKEN"):
        return None
    return Path(environment.get("RAY_AUTH_TOKEN_PATH") or Path.home() / ".ray/auth_token")


def auth_token(environment: Mapping[str, str] = os.environ) -> str | None:
    """The token to show a cluster, from where Ray takes it too. None where no token is asked for.

    It is empty where there is none. Where other users can read the file, that is said once, on stderr. Raises
    UsageError where the file cannot be read, or holds what no HTTP header can carry.
    """
    if environment.get("RAY_AUTH_MODE") != "token":
        return None
    path = token_file(environment)
    try:
        token = environment["RAY_AUTH_TOKEN"] if path is None else path.read_text()
        if path is not None:
            _warn_if_shared(path)
    except FileNotFoundError:
        return ""
    except (OSError, ValueError) as error:
        raise UsageError(f"the token in {path} cannot be read: {error}", "mend the file") from None
    token = token.strip()
    if not (token.isascii() and token.isprintable()):
        raise UsageError("the cluster's token is not one line of plain characters", "make it anew")
    return token


def _warn_if_shared(path: Path) -> None:
    """Say once that a token's file can be read or changed by other users of this machine."""
    if path.stat().st_mode & 0o077 and path not in _warned:
        _warned.add(path)
        logging.getLogger("farm").warning(
            "farm: the token in %s can be read by other users of this machine; run: chmod 600 %s", path, path
        )


def ensure_token(environment: Mapping[str, str] = os.environ) -> None:
    """Write a token where there is none, and take other users' access to one of this user's away.

    Raises OSError where the file cannot be written or read.
    """
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
    path.open().close()


def ensure_token_here(environment: MutableMapping[str, str] = os.environ) -> None:
    """As `ensure_token`, for a Ray that only this process and its children use.

    Where the file cannot be written or read, as without a home directory, the token is only in the environment.
    """
    try:
        ensure_token(environment)
    except OSError:
        environment["RAY_AUTH_TOKEN"] = secrets.token_hex(TOKEN_BYTES)


if __name__ == "__main__":
    ensure_token()  # importing farm.cluster has set RAY_AUTH_MODE
