"""The sink that shows the live picture on a page of loopback: `/` is the page, `/stream` the Motion JPEG alone.

    page = LivePage()
    asyncio.run(page.serve(port, on_ready, show))      # show runs in a thread and calls page.present

A browser that is slower than the show gets the newest picture whenever it is ready for one. No pictures are queued.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import TypeVar

import numpy as np
from aiohttp import web
from numpy.typing import NDArray

from farm.commands.live.mjpeg import CONTENT_TYPE, opening, part
from farm.media.jpeg import jpeg
from farm.pages.loopback import only_this_machine, serve

T = TypeVar("T")

POLICY = "default-src 'none'; img-src 'self'; style-src 'unsafe-inline'"
"""Content security policy of the page: it may load its own stream and nothing else."""
PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>farm live</title>
<style>
html, body { margin: 0; height: 100%; background: #111 }
img { display: block; width: 100%; height: 100%; object-fit: contain }
</style>
<img src="stream" alt="painted live">
</html>
"""


class LivePage:
    """Serves one picture at a time to any number of browsers."""

    def __init__(self) -> None:
        """Begin without a picture; `serve` makes the page reachable."""
        self._newest: bytes | None = None
        self._count = 0
        self._over = False
        self._changed = asyncio.Condition()
        self._loop: asyncio.AbstractEventLoop | None = None

    def present(self, picture: NDArray[np.uint8], due: float) -> bool:
        """Make `picture`, (H, W, 3) uint8 RGB, the newest one. Returns False once the page is served no longer.

        The show calls this from its own thread.
        """
        data = jpeg(picture, picture.shape[1])
        if self._over or self._loop is None or self._loop.is_closed():
            return False
        asyncio.run_coroutine_threadsafe(self._put(data), self._loop)
        return True

    async def serve(self, port: int, on_ready: Callable[[str], None], show: Callable[[], T]) -> T:
        """Serve while `show` runs in a thread, and return what it returns.

        `on_ready` is called with the address of the page. Port 0 takes one that is free. Raises UsageError where the
        port is taken, and whatever `show` raises.
        """
        self._loop = asyncio.get_running_loop()
        ended = asyncio.Event()
        results: list[T] = []

        async def run(address: str) -> None:
            on_ready(address)
            try:
                results.append(await asyncio.to_thread(show))
            finally:
                await self._end()
                ended.set()

        tasks: list[asyncio.Task[None]] = []
        try:
            await serve(self._app(), port, lambda address: tasks.append(asyncio.ensure_future(run(address))), ended)
        finally:
            self._over = True
        await tasks[0]
        return results[0]

    def _app(self) -> web.Application:
        app = web.Application(middlewares=[only_this_machine])
        app.router.add_get("/", self._page)
        app.router.add_get("/stream", self._stream)
        return app

    async def _page(self, _: web.Request) -> web.Response:
        headers = {"Content-Security-Policy": POLICY, "Cache-Control": "no-store"}
        return web.Response(text=PAGE, content_type="text/html", headers=headers)

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"Content-Type": CONTENT_TYPE, "Cache-Control": "no-store"})
        await answer.prepare(request)
        last_number = 0
        with contextlib.suppress(ConnectionResetError):
            await answer.write(opening())
            while newer := await self._after(last_number):
                data, last_number = newer
                await answer.write(part(data))
        return answer

    async def _after(self, number: int) -> tuple[bytes, int] | None:
        """The newest picture and its number once that is above `number`; None when the show is over."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._count > number or self._over)
            return (self._newest, self._count) if self._newest is not None and self._count > number else None

    async def _put(self, data: bytes) -> None:
        async with self._changed:
            self._newest, self._count = data, self._count + 1
            self._changed.notify_all()

    async def _end(self) -> None:
        async with self._changed:
            self._over = True
            self._changed.notify_all()
