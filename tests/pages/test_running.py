"""What the page says of a job that waits, runs, was stopped, or was worked on by machines with wrong clocks."""

import json

import pytest

from farm.job import FrameRecord, JobDirectory
from farm.job.history import Happening
from farm.job.request import JobRequest, save_request
from farm.job.standing import ClusterWord
from farm.job.state import JobState, save_state
from farm.pages.facts import JobReader, in_drivers_time
from farm.pages.findings import Outlier, time_by_worker
from farm.pages.sections import Page
from farm.spec import build_spec
from tests.pages.conftest import BEGAN, FRAMES


class Pictures:
    def src(self, kind: str, frame: int, width: int) -> str:
        return f"{kind}-{frame}"

    def src_of(self, shown, width: int) -> str:
        return f"shown-{shown.frame}"


def note(job: JobDirectory, *happenings: Happening) -> None:
    rows = json.loads(job.storage.read("history.json"))
    rows += [one.model_dump(mode="json", exclude_defaults=True) for one in happenings]
    job.storage.write("history.json", json.dumps(rows).encode())


def overview(job: JobDirectory) -> str:
    page = Page(JobReader(job.url).read(), None, live=True)
    return next(section.html for section in page.sections() if section.name == "overview")


def test_a_running_job_says_since_when_how_fast_by_whom_and_what_went_wrong(painted_job):
    job = painted_job(upto=1, state=JobState(state="RUNNING"))
    note(
        job,
        Happening(at=BEGAN + 40, kind="joined", worker="worker-3", host="elsewhere"),
        Happening(at=BEGAN + 41, kind="released", worker="worker-3"),
        Happening(at=BEGAN + 42, kind="refused", host="oddity", text="it paints with other software"),
    )
    html = overview(job)
    assert "<strong>0</strong> of 30 film frames finished" in html
    assert f"{FRAMES} of {2 * FRAMES} frame passes" in html
    assert "<dt>Began</dt><dd>08:53 UTC" in html
    assert "<dt>Pace</dt>" in html
    assert "<dt>Workers at work</dt><dd>1<small>on here</small>" in html, "one was lost, one given back"
    assert "2 faults in this run, the latest: machine refused (oddity), it paints with other software" in html
    assert html.count("A pass paints every frame of the film once") == 1


def test_a_submitted_job_that_has_not_begun_says_what_it_is_and_what_to_do(tmp_path):
    job = JobDirectory(str(tmp_path / "out.farm"))
    values = {"video": "/films/street.mp4", "output": "/made/out.mp4", "styles": ["/s/wave.jpg"]}
    request = JobRequest(spec=build_spec(values), dashboard="http://head:8265", submissions=("farm-street-1a",))
    save_request(job, request)
    save_state(job, JobState(state="PENDING", submission="farm-street-1a"))
    html = overview(job)
    for text in (
        "has not begun",
        "/films/street.mp4",
        "/s/wave.jpg",
        "farm logs -f farm-street-1a",
        "farm cancel farm",
    ):
        assert text in html
    assert 'href="http://head:8265/#/jobs/farm-street-1a"' in html
    save_request(job, request.model_copy(update={"dashboard": "javascript:alert(1)"}))
    assert "javascript" not in overview(job)


def test_a_cancelled_job_says_why_and_how_it_goes_on_and_is_not_live(painted_job):
    job = painted_job(upto=1, state=JobState(state="CANCELLED", reason="stopped by Ctrl-C"))
    html = overview(job)
    assert "<strong>Cancelled</strong>: stopped by Ctrl-C." in html
    assert f"farm resume {job.url}" in html
    page = Page(JobReader(job.url).read(), None, live=True).html()
    assert '<span class="live over" id="live" role="status">ended</span>' in page


def test_a_lost_job_is_not_live_and_offers_no_command_that_needs_a_driver(painted_job):
    job = painted_job(upto=1, state=JobState(state="RUNNING", submission="farm-a"))
    save_request(job, JobRequest(spec=job.load_record().spec, submissions=("farm-a",)))
    facts = JobReader(job.url, lambda *_: ClusterWord("ABSENT")).read()
    assert facts.doing == "LOST"
    page = Page(facts, None, live=True).html()
    assert f"The cluster does not know the job any more. <code>farm resume {job.url}</code> goes on with it." in page
    assert "<code>farm logs farm-a</code>" in page
    assert "farm cancel" not in page
    assert '<span class="live over" id="live" role="status">at rest</span>' in page


def test_the_first_frame_has_none_before_it(painted_job, monkeypatch):
    page = Page(JobReader(painted_job().url).read(), Pictures())
    monkeypatch.setattr(page, "outliers", [Outlier(0, 1.0, ("odd",)), Outlier(5, 1.0, ("odd",))])
    html = next(section.html for section in page.sections() if section.name == "look")
    assert "Frame 0 <span" in html
    assert "Frames 4 and 5 <span" in html
    assert "Frames -1" not in html


def test_a_worker_that_was_given_back_is_there_no_longer(painted_job):
    job = painted_job()
    note(job, Happening(at=BEGAN + 200, kind="released", worker="worker-1"))
    one = next(one for one in time_by_worker(JobReader(job.url).read()) if one.worker == "worker-1")
    assert (one.released, one.lost, one.end, one.host) == (True, False, BEGAN + 200, "here")


JOINED = Happening(at=1000.0, kind="joined", worker="worker-2", host="b", ahead=7200.0)


@pytest.mark.parametrize(
    ("worker", "committed", "history", "expected"),
    [
        ("worker-2", 8300.0, [JOINED], ("worker-2", 1100.0)),
        ("my film worker-2", 8300.0, [JOINED], ("worker-2", 1100.0)),  # as earlier versions named it
        ("worker-1", 8300.0, [JOINED], ("worker-1", 8300.0)),
        ("worker-2", 900.0, [JOINED], ("worker-2", 900.0)),  # of an earlier run
        ("worker-2", 8300.0, [], ("worker-2", 8300.0)),
        ("worker-2", 1100.0, [JOINED.model_copy(update={"ahead": 0.0})], ("worker-2", 1100.0)),
    ],
)
def test_a_commit_is_put_into_the_drivers_time(worker, committed, history, expected):
    row = in_drivers_time(FrameRecord(frame=0, sha256="", worker=worker, committed=committed), history)
    assert (row.worker, row.committed) == expected


def test_a_worker_two_hours_ahead_does_not_stretch_the_time_axis(painted_job):
    job = painted_job()
    before = time_by_worker(JobReader(job.url).read())
    rows = json.loads(job.storage.read("history.json"))
    next(row for row in rows if row["kind"] == "joined" and row["worker"] == "worker-1")["ahead"] = 7200.0
    job.storage.write("history.json", json.dumps(rows).encode())
    reader = JobReader(job.url)
    for task in JobReader(job.url).read().tasks:
        ledger = job.ledger(task.id)
        shifted = {
            frame: row.model_copy(update={"committed": row.committed + 7200 * (row.worker == "worker-1")})
            for frame, row in ledger.items()
        }
        job._save_ledger(task.id, shifted)
    after = time_by_worker(reader.read())
    assert [(one.begin, one.end) for one in after] == [(one.begin, one.end) for one in before]


def test_frames_of_other_software_are_named_one_by_one(painted_job):
    job = painted_job()
    facts = JobReader(job.url).read()
    task = next(task for task in facts.tasks if task.pass_index == 2)
    ledger = {
        frame: row.model_copy(update={"software": "torch 2.9 instead of 2.8"} if frame in (0, 1) else {})
        for frame, row in job.ledger(task.id).items()
    }
    job._save_ledger(task.id, ledger)
    page = Page(JobReader(job.url).read(), None)
    html = {section.name: section.html for section in page.sections()}
    worker = "worker-2 on there" if ledger[0].worker == "worker-2" else "worker-1 on here"
    assert f'<th scope="row">pass 2</th><td class="text">0-1</td><td class="text">{worker}</td>' in html["settings"]
    assert '"painted with"' in html["curves"]
    assert html["curves"].count("pass 2: torch 2.9 instead of 2.8") == 2
    assert "painted with" not in Page(facts, None).html()


def test_a_film_whose_style_changes_shows_its_timeline(painted_job):
    job = painted_job(upto=1)
    record = job.load_record()
    assert "timeline" not in {section.name for section in Page(JobReader(job.url).read(), None).sections()}
    points = [{"at": 0, "styles": "/s/wave.jpg"}, {"at": 20, "styles": "none"}]
    spec = build_spec({**record.spec.model_dump(), "timeline": {"points": points}})
    job.save_record(record.model_copy(update={"spec": spec}))
    sections = {section.name: section.html for section in Page(JobReader(job.url).read(), None).sections()}
    assert sections["timeline"].count("<polygon") == 2
    assert "wave.jpg" in sections["timeline"]
    assert "photograph" in sections["timeline"]
    assert "frames 0, 20" in sections["timeline"]
