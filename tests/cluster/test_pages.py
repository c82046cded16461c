"""What a running job looks like in Ray's dashboard: `make test-ui`. The pictures are kept in build/dashboard/."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from farm.cluster.phase_bars import parts_of_passes
from farm.job import JobDirectory
from farm.plan import plan_tasks
from tests.cluster.commands import ROOT, commits, farm, submit, until
from tests.conftest import make_clip

pytestmark = pytest.mark.ui
PICTURES = ROOT / "build/dashboard"
PAGE_SECONDS = 120
"""For the dashboard to answer, on a machine whose cores all render."""
CHEVRON = "M13.172 12l-4.95-4.95"
"""Ray's icon beside a bar that is not unfolded."""


@pytest.fixture(scope="module")
def job(ray_nodes, style, tmp_path_factory) -> Iterator[dict[str, Any]]:
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
        page.set_default_timeout(PAGE_SECONDS * 1000)
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
    """Every bar of the job's page, all of them unfolded: done and known tasks by name."""
    section = page.locator("label", has_text="Hide finished").locator("xpath=../../..")
    # an icon may be hidden below the page's own head, and the page is drawn anew every few seconds: no mouse is needed
    folded = section.locator(f'svg:visible:has(path[d^="{CHEVRON}"])')
    folded.first.dispatch_event("click")
    section.locator("tr", has_text="probe").wait_for()
    for _ in range(8):
        if folded.count():
            folded.first.dispatch_event("click")
    found = {}
    for row in section.locator("tr").all():
        lines = [line.strip() for line in row.inner_text().splitlines() if line.strip()]
        done, known = re.fullmatch(r"(\d+) / (\d+)", lines[-1]).groups()
        found[lines[0].removesuffix(" (")] = (int(done), int(known))
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
    page.get_by_text("frames/s").or_(page.get_by_text("s/frame")).first.wait_for()  # the driver's line of progress
    found = bars(page)
    page.screenshot(path=PICTURES / "job.png", full_page=True)
    assert {"probe", "flow street", "pass 1", "pass 2"} <= found.keys(), found
    assert found["probe"] == (1, 1)
    assert found["pass 1"][0] >= found["pass 2"][0]
    assert all(done <= known for done, known in found.values())
    assert "RUNNING" in page.locator("body").inner_text()


def test_a_finished_job_has_all_of_them(page, undisturbed):
    open_page(page, f"{undisturbed['dashboard']}/#/jobs/{undisturbed['id']}", "Ray Core Overview")
    found = bars(page)
    page.screenshot(path=PICTURES / "finished.png", full_page=True)
    tasks = plan_tasks(JobDirectory(undisturbed["job"]).load_record().plan)
    frames: Counter[str] = Counter()
    for task in tasks:
        frames[task.pass_name] += len(task.frames)
    parts = parts_of_passes(frames)
    expected = {"probe": (1, 1), "stitch": (1, 1), **{name: (count, count) for name, count in parts.items()}}
    assert {name: found.get(name) for name in expected} == expected


def test_the_actors_are_named_by_what_they_render(page, job):
    open_page(page, f"{job['dashboard']}/#/actors", "RenderWorker")
    page.screenshot(path=PICTURES / "actors.png", full_page=True)
    text = page.locator("body").inner_text()
    # Ended actors come after those of the job that ended last, and on a second page.
    assert re.search(r"\b(street|film) worker-1\b", text)
    assert re.search(r"render\s+(street|film)\s+worker-1\b", text)
