"""The page in a real browser: nothing wrong, nothing loaded, everything that moves moves. `make test-page`.

Needs playwright and a Chromium of the system (Debian: `apt-get install chromium`); skipped, with a line, without.
"""

from __future__ import annotations

import itertools
import os
import shutil
import time
from collections.abc import Iterator
from typing import Any

import pytest

from farm.job import FrameRecord, JobDirectory
from farm.job.state import JobState, save_state
from farm.pages.report import write_report
from farm.plan import plan_tasks
from tests.pages.conftest import ODD, make_job, paint
from tests.pages.test_watch import serve

pytestmark = pytest.mark.page

CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine: apt-get install chromium")
    playwright = pytest.importorskip("playwright.sync_api", reason="no playwright: pip install 'farm[ui]'")
    with playwright.sync_playwright() as running:
        started = running.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
        )
        yield started
        started.close()


class Seen:
    """A page that is open, what it asked for and what it complained of."""

    def __init__(self, browser: Any, address: str, **options: Any) -> None:
        self.page = browser.new_context(
            viewport={"width": 1400, "height": 900}, reduced_motion="reduce", **options
        ).new_page()
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.loads = 0
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("load", lambda: setattr(self, "loads", self.loads + 1))
        self.page.goto(address)

    def until(self, condition: str) -> None:
        """Playwright's own waiting evaluates text in the page, which the page's policy forbids."""
        deadline = time.monotonic() + 20
        while not self.page.evaluate(condition):
            assert time.monotonic() < deadline, condition
            self.page.wait_for_timeout(100)


@pytest.fixture(scope="module")
def address(film, style, tmp_path_factory) -> str:
    job = make_job(film, style, tmp_path_factory.mktemp("report"))
    return "file://" + write_report(job.url, None, lambda *_: None)["report"]


def test_nothing_is_asked_for_and_nothing_complained_of(browser, address):
    seen = Seen(browser, address)
    seen.page.evaluate("document.querySelectorAll('img').forEach((image) => { image.loading = 'eager'; })")
    seen.until("[...document.images].every((image) => image.complete && image.naturalWidth > 0)")
    assert [
        request for request in seen.requests if not request.startswith(("data:", address.replace(" ", "%20")))
    ] == []
    assert seen.complaints == []


def test_the_policy_of_the_page_would_stop_a_request(browser, address):
    """The check above can fail: a picture from elsewhere is seen, and stopped by the page's own policy."""
    seen = Seen(browser, address)
    seen.page.evaluate("document.body.append(Object.assign(new Image(), { src: 'http://127.0.0.1:9/x.png' }))")
    seen.page.wait_for_timeout(200)
    assert any("Content Security Policy" in line for line in seen.complaints)


def test_a_divider_moves_by_keyboard_and_by_mouse(browser, address):
    page = Seen(browser, address).page
    cut = "getComputedStyle(document.querySelector('.compare .after')).clipPath"
    slider = page.locator(".compare input").first
    before = page.evaluate(cut)
    slider.focus()
    for _ in range(10):
        page.keyboard.press("ArrowRight")
    by_key = page.evaluate(cut)
    assert by_key != before
    assert "60%" in by_key
    place = slider.bounding_box()
    page.mouse.click(place["x"] + place["width"] * 0.2, place["y"] + place["height"] / 2)
    assert page.evaluate(cut) not in (before, by_key)


def test_the_mark_in_a_curve_opens_the_right_pair(browser, address):
    page = Seen(browser, address).page
    page.locator(f".plot.wide a[*|href='#pair-{ODD}']").first.click()
    assert page.evaluate("document.querySelector(':target').id") == f"pair-{ODD}"
    pair = page.locator(":target")
    assert f"Frames {ODD - 1} and {ODD}" in pair.locator("h3").inner_text()
    captions = pair.locator("figcaption").all_inner_texts()
    assert captions[:2] == [f"painted {ODD - 1}", f"painted {ODD}"]
    box = pair.bounding_box()
    assert 0 <= box["y"] < 900, "and it is on the screen"


def test_the_values_of_a_frame_are_read_by_keyboard(browser, address):
    page = Seen(browser, address).page
    page.locator("#frame").focus()
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    assert page.locator("#frame-number").inner_text() == "3"
    assert "1000" in page.locator("#frame-values").inner_text()
    assert page.locator(".plot.wide .cursor").is_visible()


@pytest.mark.parametrize(("width", "dark"), [(400, False), (400, True), (1400, False)])
def test_nothing_sticks_out_at_the_side(browser, address, width, dark):
    seen = Seen(browser, address, color_scheme="dark" if dark else "light")
    seen.page.set_viewport_size({"width": width, "height": 900})
    assert seen.page.evaluate("document.documentElement.scrollWidth") <= width
    ground = seen.page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (int(ground.split("(")[1].split(",")[0]) < 60) is dark


def test_on_a_narrow_screen_what_matters_is_there_without_scrolling(browser, address):
    seen = Seen(browser, address)
    seen.page.set_viewport_size({"width": 400, "height": 900})
    table = seen.page.locator("#time .scroll").first
    for place in (
        *table.locator("th, td").all(),
        seen.page.get_by_text("its worker died", exact=True),
        *seen.page.locator(".plot.narrow svg text").all(),
    ):
        box = place.bounding_box()
        assert box["x"] + box["width"] <= 400, place.inner_text()


def test_in_print_both_pictures_stand_side_by_side(browser, address):
    page = Seen(browser, address).page
    page.emulate_media(media="print")
    boxes = [image.bounding_box() for image in page.locator(".compare").first.locator("img").all()]
    assert boxes[0]["x"] + boxes[0]["width"] <= boxes[1]["x"] + 1
    assert not page.locator(".contents").is_visible()


def test_headings_do_not_skip_a_level_and_everything_reachable_has_a_name(browser, address):
    page = Seen(browser, address).page
    levels = page.evaluate("[...document.querySelectorAll('h1,h2,h3,h4')].map((head) => +head.tagName[1])")
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
    nameless = page.evaluate(
        """[...document.querySelectorAll('a, button, input, [tabindex="0"]')].filter((one) => !one.hidden
        && !(one.textContent.trim() || one.getAttribute('aria-label') || one.labels?.length
        || one.closest('[aria-label]'))).map((one) => one.outerHTML.slice(0, 90))"""
    )
    assert nameless == []


def test_new_frames_appear_without_reloading(browser, painted_job):
    job: JobDirectory = painted_job(upto=1, state=JobState(state="RUNNING"))
    server = serve(job)
    seen = Seen(browser, next(server))
    latest = seen.page.locator(".latest figcaption").first
    before = latest.inner_text()
    task = next(task for task in plan_tasks(job.load_record().plan) if task.pass_index == 2)
    job.commit_frame(task.id, paint(3), FrameRecord(frame=task.start, sha256="", worker="worker-7"))
    seen.until("document.querySelector('.latest').textContent.includes('worker-7')")
    assert latest.inner_text() != before
    seen.until("document.querySelector('.latest img').naturalWidth > 0")
    save_state(job, JobState(state="FAILED", reason="the disk is full"))
    seen.until("document.querySelector('#overview').textContent.includes('the disk is full')")
    assert seen.page.locator(".fail[role=alert]").is_visible()
    assert seen.loads == 1
    assert seen.complaints == []
    next(server, None)
