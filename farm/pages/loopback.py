"""Serving to this machine alone, and under its loopback names only.

Why the names: a page from elsewhere could have a name of its own lead here, and then read what is served.

    app = web.Application(middlewares=[only_this_machine])
    asyncio.run(serve(app, port, on_ready, until))
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from aiohttp import web

from farm.errors import UsageError

HOST = "127.0.0.1"
"""The only address that is listened on."""
NAMES = {"127.0.0.1", "localhost", "[::1]"}
"""Names of the server that a request may give."""


async def serve(
    app: web.Application, port: int, on_ready: Callable[[str], None], until: asyncio.Event | None = None
) -> None:
    """Serve until cancelled, or until `until` is set. `on_ready` gets the address. Port 0 is any free port.

    Raises UsageError where the port is taken.
    """
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        site = web.TCPSite(runner, HOST, port)
        try:
            await site.start()
        except OSError as error:
            raise UsageError(f"port {port} cannot be had: {error.strerror}", "give another --port, or 0") from None
        assert runner.addresses
        on_ready(f"http://{HOST}:{runner.addresses[0][1]}/")
        await (until or asyncio.Event()).wait()
    finally:
        await runner.cleanup()


@web.middleware
async def only_this_machine(request: web.Request, handler: Callable) -> web.StreamResponse:
    """Middleware that answers 403 to requests under other names, and forbids other pages to embed the answers."""
    if request.host.rpartition(":")[0] not in NAMES and request.host not in NAMES:
        raise web.HTTPForbidden(text="farm answers under 127.0.0.1 and localhost only")
    answer: web.StreamResponse = await handler(request)
    if not answer.prepared:
        answer.headers["X-Content-Type-Options"] = "nosniff"
        answer.headers["Referrer-Policy"] = "no-referrer"
        answer.headers["Cross-Origin-Resource-Policy"] = "same-origin"
        # Only a header can say it: in a page's own <meta> it counts for nothing.
        policy = [answer.headers.get("Content-Security-Policy", ""), "frame-ancestors 'none'"]
        answer.headers["Content-Security-Policy"] = "; ".join(filter(None, policy))
    return answer
