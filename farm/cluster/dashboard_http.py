"""One request to a cluster's dashboard: the only place that sends the cluster's token over HTTP.

answer = request("http://head:8265", "GET", "/api/jobs/farm-film-1a2b")
answer.status, answer.json()

The token goes to the address that it is given and nowhere else: a redirection is an error, and the proxies of the
environment (HTTP_PROXY) are not used. Ray is not imported, so a command answers in tenths of a second.
"""

from __future__ import annotations

import http.client
import json
import os
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from farm import __version__
from farm.cluster.token import auth_token
from farm.errors import NoAnswerError, UsageError

DEFAULT_DASHBOARD = "http://127.0.0.1:8265"
"""Where the dashboard of a cluster answers on its head, as Ray has it."""
ADDRESS_VARIABLE = "RAY_API_SERVER_ADDRESS"
"""Ray's environment variable with the address of a cluster's dashboard."""
REQUEST_SECONDS = 10.0
"""Longest time of one request. A dashboard that is well answers within a second."""
PIECE_BYTES = 1 << 16
"""Bytes that are read at a time, between two looks at the clock."""
NO_ACCESS_HELP = "give the cluster's token in RAY_AUTH_TOKEN, a file named by RAY_AUTH_TOKEN_PATH, or ~/.ray/auth_token"


@dataclass(frozen=True)
class Answer:
    """What a dashboard answered: the HTTP status, and the text of the body."""

    status: int
    text: str

    def json(self) -> Any:
        """The body as JSON. Raises ValueError where it is none."""
        return json.loads(self.text)


def dashboard_url(address: str | None) -> str:
    """The URL of a cluster's dashboard, without a slash at its end.

    It is `address`, else the value of RAY_API_SERVER_ADDRESS, else DEFAULT_DASHBOARD. An address without a scheme gets
    `http://`. Raises UsageError where the scheme is neither http nor https, or no host is named.

    >>> dashboard_url("head:8265/")
    'http://head:8265'
    """
    url = address or os.environ.get(ADDRESS_VARIABLE) or DEFAULT_DASHBOARD
    url = url if "://" in url else f"http://{url}"
    try:
        parts = urlsplit(url)
        known = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no number
        known = False
    if not known:
        raise UsageError(f"{url} is no dashboard address", f"write it as {DEFAULT_DASHBOARD}")
    return url.rstrip("/")


def same_dashboard(one: str, other: str) -> bool:
    """Whether two addresses name the same host, port and path. Names are compared, and not looked up.

    >>> same_dashboard("http://Head:8265/", "head:8265")
    True
    """
    return _place(one) == _place(other)


def _place(address: str) -> tuple[str, str, int, str]:
    parts = urlsplit(dashboard_url(address))
    return parts.scheme, parts.hostname or "", parts.port or _usual_port(parts.scheme), parts.path


def _usual_port(scheme: str) -> int:
    return 443 if scheme == "https" else 80


def request(
    dashboard: str, method: str, path: str, body: Mapping[str, Any] | None = None, *, seconds: float = REQUEST_SECONDS
) -> Answer:
    """Send one request with the token and return the answer, whatever its status. `body` is sent as JSON.

    Raises NoAnswerError where nothing answers at `dashboard` within `seconds`, and UsageError where the token is
    missing or refused, and where the answer is a redirection.
    """
    deadline = time.monotonic() + seconds
    headers = {"User-Agent": f"farm/{__version__}", "Accept": "application/json"}
    if (token := auth_token()) is not None:
        if not token:
            raise UsageError("there is no token to show the cluster", NO_ACCESS_HELP)
        headers["Authorization"] = f"Bearer {token}"
    data = None if body is None else json.dumps(body).encode()
    if data is not None:
        headers["Content-Type"] = "application/json"
    parts = urlsplit(dashboard)
    try:
        connection = _connection(dashboard, max(seconds, 0.001))
        try:
            connection.request(method, parts.path + path, body=data, headers=headers)
            response = connection.getresponse()
            answer = Answer(response.status, _read(response, deadline).decode("utf-8", "replace"))
        finally:
            connection.close()
    except TimeoutError:
        raise NoAnswerError(
            f"the cluster at {dashboard} does not answer within {seconds:.3g} s", "is its head at work?"
        ) from None
    except (OSError, http.client.HTTPException):
        raise NoAnswerError(f"no cluster answers at {dashboard}", "check --address and that it runs") from None
    if answer.status in (401, 403):
        raise UsageError(f"the cluster at {dashboard} refused the token", NO_ACCESS_HELP)
    if 300 <= answer.status < 400:
        raise UsageError(f"{dashboard} sends its callers elsewhere", "give the address of the dashboard itself")
    return answer


def _connection(dashboard: str, seconds: float) -> http.client.HTTPConnection:
    parts = urlsplit(dashboard)
    host, port = parts.hostname or "", parts.port or _usual_port(parts.scheme)
    if parts.scheme == "https":
        return http.client.HTTPSConnection(host, port, timeout=seconds, context=ssl.create_default_context())
    return http.client.HTTPConnection(host, port, timeout=seconds)


def _read(response: http.client.HTTPResponse, deadline: float) -> bytes:
    """The whole body. Raises TimeoutError at `deadline`, on the monotonic clock, even where bytes trickle in."""
    pieces = []
    while piece := response.read1(PIECE_BYTES):
        pieces.append(piece)
        if time.monotonic() > deadline:
            raise TimeoutError
    return b"".join(pieces)
