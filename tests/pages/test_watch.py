"""The live page over real HTTP: what it hands out, and to whom."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import subprocess
import sys
import threading
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from farm.errors import UsageError
from farm.job import FrameRecord, JobDirectory
from farm.job.state import JobState, save_state
from farm.job.summary import SummaryCounter, save_summary
from farm.pages.facts import JobReader
from farm.pages.loopback import serve as serve_app
from farm.pages.watch import JobWatch, run_watch, watch_app
from farm.plan import plan_tasks
from tests.pages.conftest import paint


def serve(job: JobDirectory) -> Iterator[str]:
    """The address of a server in a thread of its own, until the generator is closed."""
    loop, ready, address = asyncio.new_event_loop(), threading.Event(), []

    def told(url: str) -> None:
        address.append(url)
        ready.set()

    watch = JobWatch(JobReader(job.url))
    watch.look(0.0)
    task = loop.create_task(serve_app(watch_app(watch, 0.2), 0, told))

    def run() -> None:
        asyncio.set_event_loop(loop)
        with contextlib.suppress(asyncio.CancelledError):
            loop.run_until_complete(task)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert ready.wait(20)
    yield address[0]
    loop.call_soon_threadsafe(task.cancel)
    thread.join(20)


@pytest.fixture
def running(painted_job) -> Iterator[tuple[str, JobDirectory]]:
    job = painted_job(upto=1, state=JobState(state="RUNNING"))
    server = serve(job)
    yield next(server), job
    next(server, None)


def get(address: str, path: str, host: str | None = None) -> tuple[int, bytes, dict[str, str]]:
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=20)
    connection.request("GET", path, headers={"Host": host} if host else {})
    answer = connection.getresponse()
    return answer.status, answer.read(), dict(answer.getheaders())


def test_the_page_and_its_pictures(running):
    address, _ = running
    status, page, headers = get(address, "/")
    assert status == 200
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert b"pass 2" in page
    sources = [part.split(b'"')[0].decode() for part in page.split(b'src="')[1:]]
    assert {source.split("/")[0] for source in sources} == {"committed", "picture"}
    for source in (sources[0], sources[-1]):
        status, picture, headers = get(address, f"/{source}")
        assert (status, headers["Content-Type"], picture[:2]) == (200, "image/jpeg", b"\xff\xd8")


@pytest.mark.parametrize(
    "path",
    [
        "/committed/pass-1/00000/29/320/x.jpg",
        "/committed/still/000001/1/320/x.jpg",
        "/committed/../job.json",
        "/committed/%2e%2e/00000/1/320/x.jpg",
        "/picture/painted/1/99999/x.jpg",
        "/picture/painted/1000/320/x.jpg",
        "/picture/other/1/320/x.jpg",
        "/picture/moving-still/1/320/x.jpg",
        "/picture/moving-source/0/320/x.jpg",  # nothing moves in the first frame
        "/job.json",
    ],
)
def test_nothing_but_frames_of_the_job_is_handed_out(running, path):
    assert get(running[0], path)[0] == 404


@pytest.mark.parametrize("kind", ["moving-source", "moving-painted"])
def test_what_moves_in_a_frame_is_handed_out(running, kind):
    status, data, _ = get(running[0], f"/picture/{kind}/5/320/x.jpg")
    assert (status, data[:2]) == (200, b"\xff\xd8")


def test_a_name_that_leads_here_from_elsewhere_is_refused(running):
    assert get(running[0], "/", host="rebound.example:80")[0] == 403
    assert get(running[0], "/", host="localhost")[0] == 200


def test_a_browser_hears_of_a_committed_frame(running):
    address, job = running
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=20)
    connection.request("GET", "/events")
    stream = connection.getresponse()
    assert stream.readline() == b"event: changed\n"
    first = stream.readline()
    assert stream.readline() == b"\n"
    task = next(task for task in plan_tasks(job.load_record().plan) if task.pass_index == 2)
    job.commit_frame(task.id, paint(3), FrameRecord(frame=task.start, sha256=""))
    assert stream.readline() == b"event: changed\n"
    assert stream.readline() != first
    connection.close()


def test_a_job_that_fails_shows_why(running):
    address, job = running
    save_state(job, JobState(state="FAILED", reason="the disk is full"))
    deadline = threading.Event()
    for _ in range(60):
        if b"the disk is full" in get(address, "/")[1]:
            return
        deadline.wait(0.2)
    pytest.fail("the page does not tell")


def test_no_job_and_a_port_that_is_taken(tmp_path, running, painted_job):
    with pytest.raises(UsageError, match="holds no job"):
        run_watch(str(tmp_path / "none.farm"), 0, 1.0, print)
    with pytest.raises(UsageError, match="cannot be had"):
        run_watch(running[1].url, urlsplit(running[0]).port, 1.0, print)


def test_the_first_look_is_at_the_summary_and_the_next_one_at_everything(painted_job):
    job = painted_job(upto=1, state=JobState(state="RUNNING"))
    record = job.load_record()
    tasks = plan_tasks(record.plan)
    done = {task.id: task.frames for task in tasks if task.pass_index == 1}
    save_summary(job, SummaryCounter(record, tasks, done, None).summary())
    watch = JobWatch(JobReader(job.url))
    watch.first_look()
    first = watch.now
    assert not watch.looked
    assert first.facts.ledgers == {}
    watch.look(0.0)
    assert watch.now.facts.passes == first.facts.passes
    assert watch.now.changes == 1
    assert "running" in first.html
    assert f"{sum(done for done, _ in first.facts.passes.values())}</strong> of" in first.html


LOADED = """
import sys
from farm.pages.facts import JobReader
from farm.pages.watch import JobWatch
watch = JobWatch(JobReader(sys.argv[1]))
for look in (watch.first_look, lambda: watch.look(0.0)):
    look()
    print(*sorted({"torch", "ray", "cv2", "av", "matplotlib"} & set(sys.modules)))
"""


@pytest.mark.process
def test_the_first_look_loads_nothing_that_reads_pictures_and_no_look_loads_torch_or_ray(painted_job):
    job = painted_job(upto=1, state=JobState(state="RUNNING"))
    record = job.load_record()
    save_summary(job, SummaryCounter(record, plan_tasks(record.plan), {}, None).summary())
    done = subprocess.run([sys.executable, "-c", LOADED, job.url], capture_output=True, text=True, check=True)
    first, whole = done.stdout.splitlines()
    assert first == ""
    assert whole == "av cv2 matplotlib"


def test_the_first_look_reads_neither_the_record_nor_a_ledger(painted_job, monkeypatch):
    job = painted_job(upto=1, state=JobState(state="RUNNING"))
    record = job.load_record()
    save_summary(job, SummaryCounter(record, plan_tasks(record.plan), {}, None).summary())
    watch = JobWatch(JobReader(job.url))
    storage, names = watch.reader.job.storage, set()
    read = storage.read
    monkeypatch.setattr(storage, "read", lambda name, *rest: names.add(name) or read(name, *rest))
    watch.first_look()
    assert names == {"summary.json", "state.json", "request.json"}
    watch.look(0.0)
    assert {"job.json", "ledger/pass-1/00000.json"} <= names
