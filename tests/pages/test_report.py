"""The report: one file that loads nothing, whatever a job has or lacks."""

import hashlib
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from farm.errors import OutputError, UsageError
from farm.files.png import encode_png
from farm.job import JobDirectory
from farm.job.corrections import Corrections, Version, with_painted
from farm.job.state import JobState
from farm.pages.facts import Span
from farm.pages.plots import FINE_TITLE, NARROW_TITLES, joined, thinned
from farm.pages.report import write_report
from farm.render.committed import single_frame_task
from tests.pages.conftest import FRAMES, ODD


def report(job: JobDirectory, **options: object) -> str:
    told = write_report(job.url, None, lambda *_: None, **options)
    with Path(told["report"]).open() as file:
        return file.read()


class Page(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.ids: list[str] = []
        self.unnamed: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.addresses += [value for name, value in attributes if name in ("src", "href", "xlink:href") and value]
        self.ids += [found["id"]] if "id" in found else []
        if tag == "img" and "alt" not in found:
            self.unnamed.append(tag)
        if tag == "input" and "aria-label" not in found and found.get("id") != "frame":
            self.unnamed.append(tag)


def test_nothing_is_loaded_from_elsewhere(painted_job):
    page = Page(report(painted_job()))
    assert page.addresses
    assert [address[:40] for address in page.addresses if not re.match("data:|#", address)] == []
    assert [address for address in page.addresses if address.startswith("#") and address[1:] not in page.ids] == []
    assert page.unnamed == [], "what is to be seen or moved has a name for a screen reader"
    assert len(page.ids) == len(set(page.ids))


def test_names_of_files_are_text_and_no_markup(painted_job):
    html = report(painted_job())
    assert "<one>" not in html
    assert "film &lt;one&gt;.mp4" in html
    assert "out &amp; about.mp4" in html


def test_it_shows_shots_seams_workers_faults_and_the_odd_pair(painted_job):
    html = report(painted_job())
    assert html.count('<figure class="shot">') == 3
    assert f'id="pair-{ODD}"' in html
    assert html.count(f'xlink:href="#pair-{ODD}"') == 2, "the curves lead there, wide and narrow"
    for text in ("its worker died", "worker-2", "seam ratio", "chunk_frames: 5"):
        assert text in html
    assert not re.search(r"#0a0[bc]0\d", html), "every colour of the plots is one of the page"


def test_fine_detail_of_what_moves_stands_beside_every_warp_error(painted_job):
    html = report(painted_job())
    assert "<dt>Warp error</dt>" in html
    assert html.index("<dt>Warp error</dt>") < html.index("<dt>Fine detail, moving</dt>")
    assert '"warp error", "fine detail, moving"' in html, "frame by frame"
    assert '<th scope="col">warp error</th><th scope="col">fine detail, moving</th>' in html, "by shot"
    assert len(re.findall(f">{FINE_TITLE}</text>", html)) == 1, "wide"
    assert len(re.findall(f">{NARROW_TITLES[FINE_TITLE]}</text>", html)) == 1, "narrow, in fewer words"


def test_the_frame_with_the_least_paint_is_shown_beside_its_source(painted_job):
    job = painted_job()
    told = write_report(job.url, None, lambda *_: None)
    worst = told["fine"]["moving"]["frame"]
    html = Path(told["report"]).read_text()
    article = html[html.index(f'<article class="pair" id="paint-{worst}"') :].partition("</article>")[0]
    assert re.findall(r'<figure class="([a-z]+)"><img src="data:image/jpeg', article) == ["source", "painted"]
    assert told["stills"] == {}
    assert "farm report --stills 2" in html


@pytest.mark.heavy
def test_stills_are_painted_on_demand_and_kept(painted_job):
    job = painted_job()
    told = write_report(job.url, None, lambda *_: None, stills=1)
    ((frame, detail),) = told["stills"].items()
    assert int(frame) == told["fine"]["moving"]["frame"]
    assert detail["moving"]["fine"] > 1, "noise has more fine detail than any painting"
    html = Path(told["report"]).read_text()
    assert 'figure class="still"' in html
    assert f'<th scope="row">{frame}</th><td>moving</td><td>{detail["moving"]["fine"]:.2f}</td>' in html
    assert list(job.ledger(single_frame_task(int(frame)))) == [int(frame)]


def test_stills_need_a_film_of_the_optimiser(painted_job):
    job = painted_job()
    record = job.load_record()
    job.save_record(record.model_copy(update={"spec": record.spec.model_copy(update={"method": "identity"})}))
    with pytest.raises(UsageError, match="stills are for"):
        report(job, stills=1)


def test_a_job_that_is_not_measured_says_nothing_of_paint(painted_job):
    html = report(painted_job(), measure=False)
    assert "Paint where the film moves" not in html


def test_a_failed_job_says_why(painted_job):
    failures = {"pass-1/00001": ["its worker died", "Traceback: <boom>"]}
    html = report(painted_job(upto=1, state=JobState(state="FAILED", reason="one task failed", failures=failures)))
    assert "one task failed" in html
    assert "Traceback: &lt;boom&gt;" in html


def test_a_job_whose_source_is_gone_has_a_report_all_the_same(painted_job, tmp_path):
    job = painted_job()
    record = job.load_record()
    gone = record.probe.model_copy(update={"path": str(tmp_path / "gone.mp4")})
    job.save_record(record.model_copy(update={"probe": gone}))
    assert "the source cannot be read from here" in report(job)


def test_a_job_that_has_only_failed_to_start(tmp_path):
    from farm.job.state import save_state

    job = JobDirectory(str(tmp_path / "early.farm"))
    save_state(job, JobState(state="FAILED", reason="the video is gone"))
    assert "the video is gone" in report(job)


def test_a_job_on_storage_elsewhere_is_read_from_there_alone(painted_job, tmp_path, monkeypatch):
    import fsspec

    job = painted_job()
    fsspec.filesystem("memory").put(job.url, "/elsewhere/out.farm", recursive=True)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "out.farm").rename(tmp_path / "gone")
    told = write_report("memory://elsewhere/out.farm", None, lambda *_: None)
    assert told["report"] == str(tmp_path / "out.html")
    assert told["frames"] == FRAMES
    assert len(told["seams"]) == 4


def test_a_report_is_made_again_but_no_other_file_is_lost(painted_job, tmp_path):
    job = painted_job()
    report(job, measure=False)
    report(job, measure=False)
    (tmp_path / "out.html").write_text("<p>mine</p>")
    with pytest.raises(OutputError, match="exists already"):
        report(job, measure=False)


def test_measures_are_kept_for_the_same_frames(painted_job, monkeypatch):
    job = painted_job()
    report(job)
    monkeypatch.setattr("farm.render.steadiness.warp_error", lambda **_: pytest.fail("measured again"))
    report(job)


def test_a_long_curve_is_thinned_and_keeps_its_peaks():
    values = {frame: 1.0 for frame in range(5000)} | {1234: 9.0, 4321: 0.1}
    frames, heights = thinned(values, columns=300)
    assert len(frames) <= 600
    assert heights[frames.index(1234)] == 9.0
    assert heights[frames.index(4321)] == 0.1


def test_tasks_too_short_to_be_seen_apart_are_drawn_as_one():
    def span(begin, end, pass_name="pass 1"):
        return Span("w", "t", pass_name, begin, end, end - begin, 1)

    found = joined([span(0, 1), span(1, 2), span(2, 3, "pass 2"), span(3, 4, "pass 2"), span(4, 30, "pass 2")], 5)
    assert [(one.begin, one.end, one.pass_name, one.frames) for one in found] == [
        (0, 2, "pass 1", 2),
        (2, 4, "pass 2", 2),
        (4, 30, "pass 2", 1),
    ]


def test_corrected_frames_are_shown_beside_what_was_painted_and_every_picture_is_listed(painted_job):
    job = painted_job()
    assert "Corrected frames" not in report(job)
    row = job.ledger("pass-2/00001")[7]
    data = encode_png(np.full((64, 96, 3), 200, np.uint8))
    version = Version(number=0, origin="accepted", sha256=hashlib.sha256(data).hexdigest(), reach=9)
    job.store_versions({(7, 2): data})
    job.save_corrections(Corrections([with_painted(7, row.sha256).showing(version, held=True)]))
    html = report(job)
    section = html[html.index('id="corrected"') :]
    assert "Frame 7" in section
    assert re.search(r"7</th>.*2 accepted.*9 frames.*1 painted, 2 accepted", section)
    assert len(re.findall(r'alt="(Painted|Shown), frame 7"', section)) == 2
