"""The driver's log in the job directory: with times, in parts, and read while it grows."""

from __future__ import annotations

import re

import pytest

from farm.errors import ChunkFailedError
from farm.job import JobDirectory, log
from farm.job.log import JobLog, LoggedProgress, LogReader, job_log
from farm.plan.pace import NoProgress


def text_of(job: JobDirectory, run: str = "farm-a") -> list[str]:
    return [line[21:] for line in LogReader(job, run).news().splitlines()]


def test_a_line_has_its_time_and_the_last_one_says_how_it_ended(tmp_path):
    job = JobDirectory(str(tmp_path))
    with job_log(job, "farm-a") as written:
        progress = LoggedProgress(NoProgress(), written)
        progress.phase("pass 1", 12, 100.0)
        progress.note("worker-2 is lost")
    line = (tmp_path / "log/farm-a/00000.txt").read_text().splitlines()[0]
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ pass 1 begins: 12 frames", line)
    assert text_of(job) == ["pass 1 begins: 12 frames", "worker-2 is lost", "farm: done"]


def test_an_error_is_the_last_line_and_passes_through(tmp_path):
    job = JobDirectory(str(tmp_path))
    with pytest.raises(ChunkFailedError), job_log(job, "farm-a"):
        raise ChunkFailedError("pass-1/00002 failed\n at line 3", "mend it")
    assert text_of(job) == ["farm: pass-1/00002 failed at line 3; mend it"]


def test_nothing_is_written_before_the_lease_is_held(tmp_path):
    job = JobDirectory(str(tmp_path))
    with job_log(job, "") as written:
        written.line("probe")
    assert list(tmp_path.iterdir()) == []
    with job_log(job, "") as written:
        written.line("probe")
        written.begin()
    assert text_of(job, "") == ["probe", "farm: done"]


def test_a_log_is_kept_in_parts_that_a_reader_follows(tmp_path, monkeypatch):
    monkeypatch.setattr(log, "PART_BYTES", 100)
    job = JobDirectory(str(tmp_path))
    written, reader = JobLog(job, "farm-a"), LogReader(job, "farm-a")
    seen = ""
    for number in range(12):
        written.line(f"line {number}")
        written._write()
        if number % 5 == 0:
            seen += reader.news()
    seen += reader.news()
    assert [line[21:] for line in seen.splitlines()] == [f"line {number}" for number in range(12)]
    assert len(list((tmp_path / "log/farm-a").iterdir())) > 2


def test_a_second_driver_of_one_submission_goes_on_in_a_new_part(tmp_path):
    job = JobDirectory(str(tmp_path))
    for name in ("first", "second"):
        with job_log(job, "farm-a") as written:
            written.line(name)
    assert text_of(job) == ["first", "farm: done", "second", "farm: done"]
