"""What happened to a job is noted through every run, and a damaged note costs nothing."""

import numpy as np

from farm.job import FrameRecord, JobDirectory
from farm.job.history import History, load_history


def test_a_later_run_adds_to_the_history(tmp_path):
    job = JobDirectory(str(tmp_path))
    History(job).add("run")
    again = History(job)
    again.add("lost", worker="worker-1", task="pass-1/00002", text="its worker\n died")
    told = load_history(JobDirectory(str(tmp_path)))
    assert [(one.kind, one.worker, one.task, one.text) for one in told] == [
        ("run", "", "", ""),
        ("lost", "worker-1", "pass-1/00002", "its worker died"),
    ]
    assert told[0].at <= told[1].at


def test_a_damaged_history_is_none(tmp_path):
    (tmp_path / "history.json").write_text('[{"at": 1, "kind": "lo')
    assert load_history(JobDirectory(str(tmp_path))) == ()
    (tmp_path / "history.json").write_text('[{"at": 1, "kind": "of another version"}]')
    assert load_history(JobDirectory(str(tmp_path))) == ()


def test_the_ledger_says_who_committed_a_frame_and_when(tmp_path):
    job = JobDirectory(str(tmp_path))
    made = job.commit_frame(
        "pass-1/00000", np.zeros((4, 4, 3), np.uint8), FrameRecord(frame=3, sha256="", worker="worker-2")
    )
    assert made.committed > 1.7e9
    again = JobDirectory(str(tmp_path)).ledger("pass-1/00000")[3]
    assert (again.worker, again.committed) == ("worker-2", made.committed)
