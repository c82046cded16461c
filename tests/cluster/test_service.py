"""A cluster of several nodes and the commands that work on it, from the outside as people use them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from farm.job import JobDirectory
from farm.media.probe import probe_video
from farm.plan import plan_tasks
from tests.cluster.commands import commits, farm, farm_alone, final_frames, submit, until


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
    assert final_frames(str(job)) == frames


@pytest.mark.parametrize(
    ("token", "says"), [("", "no token"), ("0123456789abcdef0123456789abcdef", "refused the token")]
)
def test_without_the_token_it_is_refused_in_one_line(nodes, film, style, tmp_path, token, says):
    environment = {"RAY_AUTH_TOKEN": token} if token else {"HOME": str(tmp_path), "RAY_AUTH_TOKEN_PATH": ""}
    done = farm_alone("list", **environment)
    assert (done.returncode, done.stdout) == (2, "")
    assert says in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_where_nothing_answers_it_is_said_in_one_line(nodes):
    done = farm("list", "--address", "http://127.0.0.1:9")
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert "no cluster answers" in done.stderr


def test_what_no_node_sees_is_said_by_the_job(nodes, style, tmp_path):
    told = json.loads(submit(tmp_path / "nowhere.mp4", style, tmp_path / "out.mp4").stdout)
    waited = farm("wait", told["id"])
    assert waited.returncode == 1
    assert "nowhere.mp4 does not exist" in waited.stderr
    refused = farm("retry", told["job"], "--frames", "0")
    assert refused.returncode == 2


def test_a_cancelled_job_goes_on_where_it_was(nodes, film, style, tmp_path, undisturbed):
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
    assert final_frames(str(job)) == final_frames(undisturbed["job"])


def test_a_lost_node_costs_time_and_no_attempt_and_a_new_one_is_used(nodes, film, style, tmp_path, undisturbed):
    job = tmp_path / "out.farm"
    told = json.loads(submit(film, style, tmp_path / "out.mp4").stdout)
    until(lambda: len(commits(job)) >= 8, "the eighth commit", job)
    for _ in range(2):  # both, so that the job ends only if it uses the new one
        nodes.remove_node(nodes.workers.pop(), allow_graceful=False)
    nodes.workers.append(nodes.add_node(num_cpus=1, wait=False))
    waited = farm("wait", told["id"])
    assert waited.returncode == 0, waited.stderr
    report = JobDirectory(str(job)).load_report()
    assert report["lost_workers"] >= 1
    assert report["lost_seconds"] > 0
    assert len(report["join_seconds"]) == 1, "the new node is used"
    log = farm("logs", told["id"]).stdout
    assert f"{report['lost_workers']} worker(s) lost, {report['lost_seconds']:g} s lost with them" in log
    assert f"new nodes at work after {report['join_seconds'][0]:g} s" in log
    assert all("attempt 1" in line for line in report["retries"]), "a lost node is not the task's fault"
    tasks = plan_tasks(JobDirectory(str(job)).load_record().plan)
    assert report["rendered"] == sum(len(task.frames) for task in tasks)
    assert final_frames(str(job)) == final_frames(undisturbed["job"])
