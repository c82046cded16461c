"""Serving to this machine alone, and under its loopback names only: a page of elsewhere cannot have a name of its own
lead here.

    app = web.Application(middlewares=[only_this_machine])
    asyncio.run(serve(app, port, on_ready, until))
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from aiohttp import web

from farm.errors import UsageError

HOST = "127.0.0.1"
NAMES = {"127.0.0.1", "localhost", "[::1]"}


async def serve(
    app: web.Application, port: int, on_ready: Callable[[str], None], until: asyncio.Event | None = None
) -> None:
    """Serve until cancelled, or until `until` is set; `on_ready` gets the address. Port 0 is any that is free.

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
    if request.host.rpartition(":")[0] not in NAMES and request.host not in NAMES:
        raise web.HTTPForbidden(text="farm answers under 127.0.0.1 and localhost only")
    answer: web.StreamResponse = await handler(request)
    if not answer.prepared:
        answer.headers["X-Content-Type-Options"] = "nosniff"
        answer.headers["Referrer-Policy"] = "no-referrer"
        answer.headers["Cross-Origin-Resource-Policy"] = "same-origin"
    return answer
