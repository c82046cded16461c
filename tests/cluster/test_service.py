"""A cluster of several nodes and the commands that work on it, from the outside as people use them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from farm.media.probe import probe_video
from tests.cluster.commands import commits, farm, final_frames, same_frames, submit, until


def test_the_film_is_whole_and_the_commands_tell_of_it(undisturbed, film):
    job = Path(undisturbed["job"])
    assert probe_video(str(job.with_suffix(".mp4"))).frame_count == probe_video(str(film)).frame_count
    status = json.loads(farm("status", undisturbed["id"], "--json").stdout)
    assert (status["state"], status["committed"]) == ("SUCCEEDED", status["frames"])
    log = farm("logs", str(job), "-f").stdout
    assert f"{job.with_suffix('.mp4')}: 12 frames" in log
    listed = json.loads(farm("list", "--json").stdout)
    assert [one["name"] for one in listed if one["id"] == undisturbed["id"]] == ["film.mp4 as style.png"]


def test_a_finished_job_submitted_again_gets_the_next_id_and_renders_nothing(undisturbed, film, style):
    job = Path(undisturbed["job"])
    before = commits(job)
    told = json.loads(submit(film, style, job.with_suffix(".mp4")).stdout)
    assert told["id"] == f"{undisturbed['id']}-2"
    assert farm("wait", str(job)).returncode == 0
    assert commits(job) == before


def test_a_range_is_rendered_again_with_what_is_made_from_it(undisturbed):
    job = Path(undisturbed["job"])
    before, frames = commits(job), final_frames(str(job))
    told = json.loads(farm("retry", str(job), "--frames", "10", "--json").stdout)
    assert told["dropped"] == {"pass 1": 2, "pass 2": 3}
    assert farm("wait", str(job)).returncode == 0
    after = commits(job)
    assert sum(after[name] != before[name] for name in before) == 5
    assert all(np.array_equal(a, b) for a, b in zip(final_frames(str(job)), frames, strict=True))


def test_where_nothing_answers_it_is_said_in_one_line(ray_nodes):
    done = farm("submit", "film.mp4", "--style", "style.png", "-o", "out.mp4", "--address", "http://127.0.0.1:9")
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert "no cluster answers" in done.stderr


def test_what_no_node_sees_is_said_by_the_job(ray_nodes, style, tmp_path):
    told = json.loads(submit(tmp_path / "nowhere.mp4", style, tmp_path / "out.mp4").stdout)
    waited = farm("wait", told["id"])
    assert waited.returncode == 1
    assert "nowhere.mp4 does not exist" in waited.stderr
    refused = farm("retry", told["job"], "--frames", "0")
    assert refused.returncode == 2


def test_a_cancelled_job_goes_on_where_it_was(ray_nodes, film, style, tmp_path, undisturbed):
    job = tmp_path / "out.farm"
    told = json.loads(submit(film, style, tmp_path / "out.mp4").stdout)
    assert json.loads(submit(film, style, tmp_path / "out.mp4").stdout) == {**told, "already_running": True}
    until(lambda: len(commits(job)) >= 6, "the sixth commit", job)
    assert farm("cancel", told["id"]).returncode == 0
    assert farm("wait", told["id"]).returncode == 3
    ledgers = {path: path.read_text() for path in (job / "ledger").rglob("*.json")}
    named = {
        str(job / f"frames/{path.parent.name}/{path.stem}/{row['frame']:06d}.png")
        for path, text in ledgers.items()
        for row in json.loads(text)["frames"]
    }
    before = {name: when for name, when in commits(job).items() if name in named}
    assert len(before) >= 5
    assert farm("resume", told["id"]).returncode == 0
    assert farm("wait", str(job)).returncode == 0
    after = commits(job)
    assert {name: after[name] for name in before} == before, "no committed frame may be rendered again"
    assert same_frames(str(job), undisturbed["job"])
