"""What a running job looks like in Ray's dashboard: `make test-ui`. The pictures are kept in build/dashboard/."""

from __future__ import annotations

import itertools
import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.commands import ROOT, commits, farm, submit, until
from tests.conftest import make_clip

pytestmark = pytest.mark.ui
PICTURES = ROOT / "build/dashboard"
CHEVRON = "M13.172 12l-4.95-4.95"
"""Ray's icon beside a bar that is not unfolded."""


@pytest.fixture(scope="module")
def job(nodes, style, tmp_path_factory) -> Iterator[dict[str, Any]]:
    """A job that has left its first pass behind, with a good deal before it."""
    folder = tmp_path_factory.mktemp("pages")
    film = make_clip(folder / "street.mp4", frames=48)
    told = json.loads(submit(film, style, folder / "out.mp4", "--iterations", "20,12", "--passes", "3").stdout)
    until(lambda: any("pass-2" in name for name in commits(Path(told["job"]))), "the second pass", told["job"])
    yield told
    farm("cancel", told["id"])


@pytest.fixture(scope="module")
def page(job) -> Iterator[Any]:
    """The dashboard as somebody sees it who has given the token in its dialog."""
    playwright = pytest.importorskip("playwright.sync_api", reason="pip install 'farm[ui]' for the browser tests")
    browser = next((found for name in ("chromium", "google-chrome", "chrome") if (found := shutil.which(name))), None)
    if browser is None:
        pytest.skip("no browser is here: apt-get install chromium")
    PICTURES.mkdir(parents=True, exist_ok=True)
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=browser)
        page = opened.new_page(viewport={"width": 1500, "height": 1000})
        page.goto(f"{job['dashboard']}/#/jobs")
        page.get_by_text("Authentication Token Required").wait_for()
        page.screenshot(path=PICTURES / "token.png")
        page.get_by_placeholder("Enter your authentication token").fill(
            Path(os.environ["RAY_AUTH_TOKEN_PATH"]).read_text()
        )
        page.get_by_role("button", name="Submit").click()
        yield page
        opened.close()


def open_page(page: Any, address: str, heading: str) -> None:
    page.goto("about:blank")  # the same page with another fragment is not loaded anew
    page.goto(address)
    page.get_by_text(heading).first.wait_for()


def bars(page: Any) -> dict[str, tuple[int, int]]:
    """Every bar of the job's page, unfolded: done and known tasks by name."""
    folded = page.locator(f'svg:has(path[d^="{CHEVRON}"])')
    while True:
        top, bottom = (page.get_by_text(text).first.bounding_box()["y"] for text in ("Hide finished", "Other logs"))
        within = [one for one in folded.all() if top < one.bounding_box()["y"] < bottom]
        if not within:
            break
        within[0].click()
        page.wait_for_timeout(300)
    text = page.locator("body").inner_text()
    section = text[text.index("Hide finished") : text.index("Logs", text.index("Hide finished"))]
    lines = [line.strip() for line in section.splitlines() if line.strip()]
    found = {}
    for name, count in itertools.pairwise(lines):
        if match := re.fullmatch(r"(\d+) / (\d+)", count):
            found[name] = (int(match[1]), int(match[2]))
    return found


def test_the_job_list_names_film_and_style(page, job):
    open_page(page, f"{job['dashboard']}/#/jobs", "Job List")
    page.get_by_text(job["id"]).first.wait_for()
    page.screenshot(path=PICTURES / "jobs.png", full_page=True)
    text = page.locator("body").inner_text()
    assert "street.mp4 as style.png" in text
    assert "RUNNING" in text


def test_the_job_page_has_a_bar_for_each_stage(page, job):
    open_page(page, f"{job['dashboard']}/#/jobs/{job['id']}", "Ray Core Overview")
    page.get_by_text("Hide finished").wait_for()
    page.get_by_text("frames/s").or_(page.get_by_text("s/frame")).first.wait_for()  # the driver's line of progress
    found = bars(page)
    page.screenshot(path=PICTURES / "job.png", full_page=True)
    assert {"flow", "pass 1", "pass 2"} <= found.keys(), found
    assert all(done <= known for done, known in found.values())


def test_the_actors_are_named_by_what_they_render(page, job):
    open_page(page, f"{job['dashboard']}/#/actors", "RenderWorker")
    page.screenshot(path=PICTURES / "actors.png", full_page=True)
    text = page.locator("body").inner_text()
    assert "street worker-1" in text
    assert "render street worker-1" in text
