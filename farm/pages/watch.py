"""`farm watch`: the page of a job, live, from its storage alone. A small aiohttp server on loopback.

    run_watch(job_url, port=0, every=2.0, on_ready=print)       until Ctrl-C

The job is read every few seconds. Browsers hear over server-sent events that something has changed, fetch the page
anew and put in the sections that differ. They fetch frames one by one, by the hash that the ledger names.
Only this machine can reach the server: see `farm.pages.loopback`.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from aiohttp import web

from farm.errors import FarmError, UsageError
from farm.job.measures import Measures
from farm.job.status import AskCluster, nobody_asked
from farm.pages.document import asset, content_policy
from farm.pages.facts import JobFacts, JobReader, Shown
from farm.pages.loopback import only_this_machine, serve
from farm.pages.sections import KINDS, Page, Section
from farm.render.detail_figures import FineDetail

if TYPE_CHECKING:
    from farm.pages.job_pictures import JobPictures

WIDTHS = range(16, 2049)
"""Widths of pictures, in pixels, that a browser may ask for."""
SLOW = ("strip", "look", "paint", "curves", "seams", "time")
"""Sections that are drawn only every DRAWN_EVERY seconds: they take processor time from a render on this machine."""
SOON = 0.5
"""Seconds after which the ledgers are read, where the page that is there was made from the summary alone."""
DRAWN_EVERY = 15.0
"""Seconds between two drawings of the SLOW sections."""
MEASURED_SECONDS = 3.0
"""Seconds that each of these drawings may spend on measuring warp errors, and as many on measuring fine detail."""


class ServedPictures:
    """Pictures as addresses on this server. They contain the frame's hash, so that a browser may keep them."""

    def __init__(self, facts: JobFacts) -> None:
        self._facts = facts

    def src(self, kind: str, frame: int, width: int) -> str | None:
        """Address of a picture; None where the frame is not painted yet. `kind` is one of sections.KINDS."""
        shown = self._facts.shown.get(frame)
        if not kind.endswith("source") and shown is None:
            return None
        before = self._facts.shown.get(frame - 1)
        marks = [painted.record.sha256[:12] for painted in (shown, before) if painted] if kind == "flicker" else []
        marks = marks or ([shown.record.sha256[:12]] if kind.endswith("painted") and shown else ["0"])
        return f"picture/{kind}/{frame}/{width}/{'-'.join(marks)}.jpg"

    def src_of(self, shown: Shown, width: int) -> str | None:
        """Address of a committed frame of any pass."""
        pass_part, _, chunk = shown.task.id.partition("/")
        return f"committed/{pass_part}/{chunk}/{shown.frame}/{width}/{shown.record.sha256[:12]}.jpg"


@dataclass
class Watched:
    """What the server shows at one moment. `versions` has (section, version); `changes` counts their changes."""

    facts: JobFacts
    html: str
    versions: tuple[tuple[str, str], ...]
    changes: int = 0


@dataclass
class JobWatch:
    """Reads the job and renders the page, one thread at a time.

    `trouble` is why the job could not be read the last time, or empty.
    """

    reader: JobReader
    pictures: JobPictures | None = None
    now: Watched | None = None
    trouble: str = ""
    looked: bool = False
    """Whether the ledgers have been read, and not only the summary."""
    _measures: Measures = field(default_factory=dict)
    _errors: dict[int, float | None] = field(default_factory=dict)
    _known_details: dict[int, tuple[str, FineDetail]] = field(default_factory=dict)
    _details: dict[int, FineDetail] = field(default_factory=dict)
    _sections: list[Section] = field(default_factory=list)
    _drawn: float = -DRAWN_EVERY
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def look(self, clock: float) -> None:
        """Read the job again and render what has changed. `clock` is a steady time in seconds.

        Raises UsageError where the job is gone. Storage that does not answer is only noted in `trouble`.
        """
        from farm.pages.job_pictures import JobPictures  # these load OpenCV and PyAV; the first look goes without
        from farm.pages.measuring import measured, measured_details

        with self._lock:
            try:
                facts = self.reader.read()
                self.trouble = ""
            except UsageError:
                raise
            except FarmError as error:
                self.trouble = str(error)
                return
            if facts.record is not None and self.pictures is None:
                self.pictures = JobPictures(self.reader.job, facts.record)
            self.looked = True
            kept: dict[str, Section] = {}
            if clock - self._drawn >= DRAWN_EVERY or (self.now and self.now.facts.doing != facts.doing):
                self._errors = measured(self.reader, facts, self._measures, most_seconds=MEASURED_SECONDS)
                self._details = measured_details(self.reader, facts, self._known_details, most_seconds=MEASURED_SECONDS)
                self._drawn = clock
            else:
                kept = {section.name: section for section in self._sections if section.name in SLOW}
            facts.errors, facts.details = self._errors, self._details
            page = Page(facts, ServedPictures(facts) if self.pictures else None, live=True)
            sections = self._sections = page.sections(kept)
            versions = tuple((section.name, section.version) for section in sections)
            if self.now is None or self.now.versions != versions:
                changes = self.now.changes + 1 if self.now else 0
                self.now = Watched(facts, page.html(sections), versions, changes)

    def first_look(self) -> None:
        """Render the overview from the driver's summary, so that a page is there at once; `look` adds the rest.

        Where there is no summary, it is a look. Raises as `look` does.
        """
        facts = self.reader.summarized()
        if facts is None:
            self.look(0.0)
            return
        page = Page(facts, None, live=True)
        sections = page.sections()
        versions = tuple((section.name, section.version) for section in sections)
        self.now = Watched(facts, page.html(sections), versions)

    def picture(self, kind: str, frame: int, width: int) -> bytes | None:
        """A picture as JPEG; None where it cannot be read. `kind` is one of sections.KINDS."""
        from farm.media.jpeg import jpeg
        from farm.pages.job_pictures import picture_of

        with self._lock:
            if self.pictures is None or self.now is None:
                return None
            picture = picture_of(self.pictures, self.now.facts, kind, frame)
        return None if picture is None else jpeg(picture, width)

    def committed(self, task: str, frame: int, width: int) -> bytes | None:
        """A committed frame as JPEG, None where no ledger names it: nothing else of the storage is handed out."""
        from farm.media.jpeg import jpeg

        with self._lock:
            if self.pictures is None or self.now is None or frame not in self.now.facts.ledgers.get(task, {}):
                return None
            try:
                picture = self.pictures.committed(task, frame)
            except FarmError:
                return None
        return jpeg(picture, width)


def watch_app(watch: JobWatch, every: float) -> web.Application:
    """The server's routes, and the reading of the job every `every` seconds while it runs."""
    app = web.Application(middlewares=[only_this_machine])
    changed = asyncio.Condition()

    async def page(_: web.Request) -> web.Response:
        assert watch.now is not None
        policy = {"Content-Security-Policy": content_policy(asset("page.js"), live=True), "Cache-Control": "no-store"}
        return web.Response(text=watch.now.html, content_type="text/html", headers=policy)

    async def events(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
        await answer.prepare(request)
        last_sent = -1
        with contextlib.suppress(ConnectionResetError):
            while True:
                assert watch.now is not None
                if watch.now.changes != last_sent:
                    last_sent = watch.now.changes
                    await answer.write(f"event: changed\ndata: {last_sent}\n\n".encode())
                else:
                    await answer.write(b": still here\n\n")
                async with changed:
                    with contextlib.suppress(asyncio.TimeoutError):
                        await asyncio.wait_for(changed.wait(), timeout=15)
        return answer

    async def picture(request: web.Request) -> web.Response:
        kind, frame, width = request.match_info["kind"], *_numbers(request)
        return _image(await asyncio.to_thread(watch.picture, kind, frame, width))

    async def committed(request: web.Request) -> web.Response:
        task = f"{request.match_info['pass_part']}/{request.match_info['chunk']}"
        frame, width = _numbers(request)
        return _image(await asyncio.to_thread(watch.committed, task, frame, width))

    async def reading(_: web.Application) -> AsyncIterator[None]:
        async def again() -> None:
            while True:
                await asyncio.sleep(every if watch.looked else min(every, SOON))
                before = watch.now.changes if watch.now else -1
                with contextlib.suppress(FarmError):
                    await asyncio.to_thread(watch.look, asyncio.get_running_loop().time())
                if watch.now and watch.now.changes != before:
                    async with changed:
                        changed.notify_all()

        task = asyncio.create_task(again())
        yield
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    app.cleanup_ctx.append(reading)
    app.router.add_get("/", page)
    app.router.add_get("/events", events)
    kinds = "|".join(kind for kind in KINDS if kind != "moving-still")  # only a report has stills
    app.router.add_get(rf"/picture/{{kind:{kinds}}}/{{frame:\d+}}/{{width:\d+}}/{{mark}}.jpg", picture)
    app.router.add_get(r"/committed/{pass_part:[a-z0-9-]+}/{chunk:\d+}/{frame:\d+}/{width:\d+}/{mark}.jpg", committed)
    return app


def run_watch(
    job_url: str, port: int, every: float, on_ready: Callable[[str], None], ask: AskCluster = nobody_asked
) -> None:
    """Serve until Ctrl-C. `ask` is as for `JobReader`.

    Raises UsageError where there is no job, or where the port is taken.
    """
    watch = JobWatch(JobReader(job_url, ask))
    watch.first_look()
    if watch.now is None:
        raise UsageError(f"{job_url} cannot be read: {watch.trouble}")
    asyncio.run(serve(watch_app(watch, every), port, on_ready))


def _numbers(request: web.Request) -> tuple[int, int]:
    frame, width = int(request.match_info["frame"][:12]), int(request.match_info["width"][:6])
    if width not in WIDTHS:
        raise web.HTTPNotFound(text="no such picture")
    return frame, width


def _image(data: bytes | None) -> web.Response:
    if data is None:
        raise web.HTTPNotFound(text="no such picture")
    return web.Response(body=data, content_type="image/jpeg", headers={"Cache-Control": "private, max-age=31536000"})
