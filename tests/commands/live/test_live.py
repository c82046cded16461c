"""Films and a camera through a network to a page, a file or a window: the real things, but for the camera's lens."""

from __future__ import annotations

import http.client
import json
import threading
import time
from urllib.parse import urlsplit

import av
import cv2
import numpy as np
import pytest

from farm.commands.live.page import LivePage
from farm.commands.live.run import LiveOptions, run_live
from farm.commands.live.show import show
from farm.commands.live.sources import CameraSource, FilmSource, Moment, open_source
from farm.commands.live.steady import SHARE, Steadier
from farm.errors import InputError, UsageError
from farm.flow import warp
from farm.media.stream import LiveFilm, LiveWriter
from tests.cluster.commands import farm


class FakeClock:
    """Time that passes only where somebody waits or works."""

    def __init__(self) -> None:
        self.time = 0.0

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += seconds


@pytest.mark.parametrize(("work", "share"), [(0.0, 1), (0.08, 1), (0.125, 2 / 3), (0.25, 1 / 3)])
def test_a_slow_painter_drops_frames_and_does_not_lag(clip, work, share):
    clock = FakeClock()
    film = LiveFilm(str(clip))
    late = []

    def paint(frames):
        clock.sleep(work)
        return frames

    def present(picture, due):
        late.append(clock.now() - due)
        return True

    source = FilmSource(film, clock=clock)
    tally = show(source, paint, present, "never", now=clock.now)
    count = len(list(LiveFilm(str(clip)).frames()))
    assert tally.shown + tally.dropped == count
    assert tally.shown == pytest.approx(count * share, abs=1)
    assert max(late) <= work + 1 / film.rate + 1e-6


def test_a_film_is_read_as_a_render_reads_it(clip):
    film = LiveFilm(str(clip), longest=48)
    times = []
    for due, frame in film.frames():
        times.append(due)
        picture = film.picture(frame)
    assert picture.dtype == np.uint8
    assert max(picture.shape[:2]) == 48
    assert times[0] == 0
    assert np.diff(times) == pytest.approx(1 / film.rate, abs=1e-3)


def test_a_file_keeps_the_time_of_every_picture(tmp_path):
    path = tmp_path / "live.mp4"
    with LiveWriter(str(path)) as writer:
        for due in (0.0, 0.5, 0.75):
            writer.write(np.full((33, 49, 3), 100, np.uint8), due)
    with av.open(str(path)) as film:
        frames = list(film.decode(video=0))
    assert [frame.time for frame in frames] == pytest.approx([0.0, 0.5, 0.75])
    assert (frames[0].width, frames[0].height) == (48, 32)
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_fails_is_not_left(tmp_path):
    def fail() -> None:
        with LiveWriter(str(tmp_path / "live.mp4")) as writer:
            writer.write(np.zeros((32, 32, 3), np.uint8), 0.0)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    with pytest.raises(UsageError, match="cannot be written"):
        LiveWriter(str(tmp_path / "live.txt"))
    assert not list(tmp_path.iterdir())


def test_what_moves_is_held_by_the_picture_before_along_its_motion():
    random = np.random.default_rng(0)
    world = cv2.GaussianBlur(random.integers(0, 255, (96, 140, 3), dtype=np.uint8), (0, 0), 2)
    first, second = world[:, 4:132], world[:, :128]  # everything moves 4 pixels to the right
    steadier = Steadier()
    dark, light = np.full_like(first, 50), np.full_like(first, 150)
    assert np.array_equal(steadier.steady(first, dark), dark)
    held = steadier.steady(second, light)[20:-20, 20:-20]
    assert np.median(held) == pytest.approx(150 - SHARE * 100, abs=2)
    pattern = Steadier()
    pattern.steady(first, first)
    shown = pattern.steady(second, np.full_like(second, 128))
    moved = 128 + SHARE * (warp(first, np.full((96, 128, 2), (-4, 0), np.float32)) - 128)
    assert np.abs(shown.astype(float) - moved)[16:-16, 16:-16].mean() < 3


def test_flow_is_used_only_where_it_fits(clip):
    clock = FakeClock()

    def slow(frames):
        clock.sleep(10.0)
        return frames

    for steadiness, expected in (("never", 0), ("always", 3), ("auto", 0)):
        source = FilmSource(LiveFilm(str(clip)), clock=FakeClock())
        tallies = []
        count = iter(range(1, 100))
        show(source, slow, lambda *_: next(count) < 3, steadiness, on_shown=tallies.append, now=clock.now)  # noqa: B023
        assert tallies[-1].steadied == expected


class FakeCapture:
    """What cv2.VideoCapture is to a camera: a picture whenever one is due, numbered by its red."""

    def __init__(self, count: int) -> None:
        self.count, self.taken, self.released = count, 0, False
        self.due = threading.Semaphore(1)

    def isOpened(self) -> bool:
        return self.count > 0

    def get(self, _: int) -> float:
        return 100.0

    def read(self):
        self.due.acquire()
        self.taken += 1
        picture = np.zeros((32, 48, 3), np.uint8)
        picture[..., 2] = self.taken  # the last of OpenCV's three is red
        return self.taken <= self.count, picture

    def release(self) -> None:
        self.released = True


def test_of_a_camera_only_the_newest_picture_is_painted():
    """While each picture is painted, the camera takes five more."""
    capture = FakeCapture(31)
    source = CameraSource(capture, "camera 0", longest=None)
    seen: list[Moment] = []
    for moment in source.moments():
        seen.append(moment)
        wanted = min(capture.taken + 5, capture.count)
        capture.due.release(5)
        while source._newest.count < wanted:
            time.sleep(0.001)
    source.close()
    assert [int(moment.picture[0, 0, 0]) for moment in seen] == [1, 6, 11, 16, 21, 26, 31]
    assert [moment.dropped for moment in seen] == [0, 4, 4, 4, 4, 4, 4]
    assert capture.released


def test_no_camera_is_said_in_one_line():
    with pytest.raises(InputError, match="there is no camera 7 here"):
        open_source("camera:7", None, 0.0, lambda _: FakeCapture(0))


def read_parts(address: str, count: int) -> list[bytes]:
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=20)
    connection.request("GET", "/stream")
    answer = connection.getresponse()
    assert answer.status == 200
    assert answer.getheader("Content-Type", "").startswith("multipart/x-mixed-replace; boundary=")
    boundary = b"--" + answer.getheader("Content-Type", "").partition("boundary=")[2].encode() + b"\r\n"
    parts = []
    assert answer.readline() == boundary
    for _ in range(count):
        assert answer.readline() == b"Content-Type: image/jpeg\r\n"
        length = int(answer.readline().partition(b":")[2])
        assert answer.readline() == b"\r\n"
        parts.append(answer.read(length))
        assert answer.readline() == b"\r\n"
        assert answer.readline() == boundary
    connection.close()
    return parts


def test_the_page_over_http(clip, network_file):
    addresses: list[str] = []
    ready, enough = threading.Event(), threading.Event()

    def on_ready(address: str) -> None:
        addresses.append(address)
        ready.set()

    def watch() -> None:
        assert ready.wait(60)
        found.extend(read_parts(addresses[0], 2))
        connection = http.client.HTTPConnection(urlsplit(addresses[0]).netloc, timeout=20)
        for host in ("127.0.0.1", "evil.example"):
            connection.request("GET", "/", headers={"Host": host})
            answer = connection.getresponse()
            pages[host] = (answer.status, answer.getheader("Content-Security-Policy"), answer.read())
        enough.set()

    found: list[bytes] = []
    pages: dict = {}
    viewer = threading.Thread(target=watch)
    viewer.start()
    options = LiveOptions(str(clip), str(network_file), size=64, threads=1, precision="fp32", rate=4)
    tally = run_live(options, on_ready, lambda _: None)
    viewer.join(30)
    assert enough.is_set()
    pictures = [cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) for data in found]
    assert all(max(picture.shape[:2]) == 64 for picture in pictures)
    assert tally.shown >= 2
    assert pages["127.0.0.1"][0] == 200
    assert b'<img src="stream"' in pages["127.0.0.1"][2]
    assert "img-src 'self'" in pages["127.0.0.1"][1]
    assert pages["evil.example"][0] == 403


def test_nobody_waits_for_a_page_that_is_not_served():
    assert not LivePage().present(np.zeros((16, 16, 3), np.uint8), 0.0)


def test_the_command_into_a_file(clip, network_file, tmp_path):
    out = tmp_path / "live.mp4"
    command = ["live", str(clip), "--network", str(network_file), "--size", "64"]
    command += ["-o", str(out), "--threads", "1", "--json"]
    done = farm(*command)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    with av.open(str(out)) as film:
        assert len(list(film.decode(video=0))) == told["shown"] > 0
    again = farm(*command)
    assert (again.returncode, again.stderr.count("\n")) == (2, 1)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["nowhere.mp4"], "nowhere.mp4"),
        (["CLIP", "-o", "x.mp4", "--window"], "both asked for"),
        (["CLIP", "--window"], "no window can be opened|no tkinter"),
    ],
)
def test_what_cannot_be_shown_is_said_in_one_line(clip, network_file, tmp_path, monkeypatch, given, said):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DISPLAY", raising=False)
    done = farm("live", *(str(clip) if one == "CLIP" else one for one in given), "--network", str(network_file))
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert [one for one in said.split("|") if one in done.stderr]
