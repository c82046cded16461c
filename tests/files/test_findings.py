"""What was found out about files is kept until one of them, the farm or a library changes."""

from __future__ import annotations

import json
import os
import time

import pytest

from farm.files import findings
from farm.files.findings import kept_finding

LATER = time.time() + 60
"""A time at which the files of a test have settled."""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "film"
    path.write_bytes(b"one")
    return path


@pytest.fixture
def ask(tmp_path, file):
    """Asks for a finding, and says what came and how often it had to be found since the last time."""
    found = []

    def find():
        found.append(file.read_text())
        return found[-1]

    def ask(kind="scan", key=None, files=None, now=lambda: LATER):
        before = len(found)
        text = kept_finding(kind, key, files or [str(file)], find, folder=tmp_path / "cache", now=now)
        return text, len(found) - before

    return ask


def test_a_finding_is_made_once(ask):
    assert [ask(), ask(), ask()] == [("one", 1), ("one", 0), ("one", 0)]


def test_another_question_is_another_finding(ask, tmp_path):
    other = tmp_path / "other"
    other.write_bytes(b"")
    questions = [{}, {"kind": "tracks"}, {"key": [1]}, {"key": [2]}, {"files": [str(other)]}]
    assert [ask(**question)[1] for question in questions * 2] == [1, 1, 1, 1, 1, 0, 0, 0, 0, 0]


def test_a_changed_file_is_looked_at_again(ask, file):
    ask()
    file.write_bytes(b"two")  # of the same size
    assert ask() == ("two", 1)
    times = file.stat()
    file.write_bytes(b"six")
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))  # as rsync and tar set them
    assert ask() == ("six", 1)


def test_a_file_that_has_just_changed_may_change_within_the_tick_of_its_clock(ask):
    assert [ask(now=time.time)[1], ask(now=time.time)[1], ask()[1], ask()[1]] == [1, 1, 1, 0]


@pytest.mark.parametrize("name", ["s3://films/film.mp4", "missing", "with\0nul"])
def test_what_cannot_be_told_apart_is_not_kept(ask, name):
    assert [ask(files=[name])[1], ask(files=[name])[1]] == [1, 1]


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"signature": 1}', b"\xff", b'{"signature": [], "text": 5}'])
def test_a_damaged_note_is_made_again(ask, tmp_path, damage):
    ask()
    (note,) = (tmp_path / "cache").iterdir()
    note.write_bytes(damage)
    assert [ask(), ask()] == [("one", 1), ("one", 0)]


def test_another_version_of_the_software_looks_again(ask, monkeypatch):
    ask()
    monkeypatch.setattr(findings, "software", lambda: "another")
    assert [ask()[1], ask()[1]] == [1, 0]


def test_the_findings_that_were_used_last_stay(ask, tmp_path, monkeypatch):
    monkeypatch.setattr(findings, "MOST_FINDINGS", 3)
    for key in range(5):
        ask(key=key)
        for number, note in enumerate(sorted((tmp_path / "cache").iterdir(), key=lambda path: path.stat().st_mtime_ns)):
            os.utime(note, (number, number))
    assert len(list((tmp_path / "cache").iterdir())) == 3
    assert [ask(key=key)[1] for key in (2, 3, 4)] == [0, 0, 0]


def test_a_cache_that_cannot_be_written_is_no_error(ask, tmp_path):
    (tmp_path / "cache").write_bytes(b"a file in its place")
    assert [ask(), ask()] == [("one", 1), ("one", 1)]


def test_what_is_kept_is_text_of_json(ask, tmp_path):
    ask()
    (note,) = (tmp_path / "cache").iterdir()
    assert json.loads(note.read_bytes())["text"] == "one"
