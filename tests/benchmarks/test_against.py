"""Two builds compared: order of renders, clips, ratios, means and the table, in exact values; and clear errors."""

from __future__ import annotations

import hashlib
import json
import subprocess
from pathlib import Path

import numpy as np
import pytest

from benchmarks import builds
from benchmarks.against import figures_of_job, parse_options, read_job, window_on
from benchmarks.builds import Builds, Revision, find_revision, tree_key
from benchmarks.comparison import (
    Clip,
    clip_table,
    compare_all,
    compare_clip,
    compare_renders,
    geometric_mean,
    order_of,
    parse_clips,
    parse_weights,
    same_frames,
    summary_table,
)
from farm.errors import RenderError, UsageError
from farm.files.png import encode_png


def row(build: str, pair: int, **figures):
    return {"build": build, "pair": pair, **figures}


def times(*pairs: tuple[float, float]):
    """Rows of pairs that took so many seconds, of OLD and of NEW."""
    return [
        row(build, number, seconds=seconds)
        for number, pair in enumerate(pairs)
        for build, seconds in zip(("OLD", "NEW"), pair, strict=True)
    ]


def test_each_build_is_first_in_every_other_pair():
    assert [order_of(pair) for pair in range(3)] == [("OLD", "NEW"), ("NEW", "OLD"), ("OLD", "NEW")]


@pytest.fixture
def films(tmp_path: Path) -> Path:
    for name in ("car.mp4", "bikes.mp4", "odd:7.mp4", "late.mp4:3-4"):
        (tmp_path / name).touch()
    return tmp_path


@pytest.mark.parametrize(
    ("text", "film", "frames"),
    [
        ("car.mp4", "car.mp4", "0-47"),
        ("bikes.mp4:76-123", "bikes.mp4", "76-123"),
        ("bikes.mp4:5", "bikes.mp4", "5"),
        ("odd:7.mp4", "odd:7.mp4", "0-47"),
        ("odd:7.mp4:1-2", "odd:7.mp4", "1-2"),
        ("late.mp4:3-4", "late.mp4:3-4", "0-47"),
    ],
)
def test_a_clip_may_have_frames_of_its_own_behind_a_colon(films, text, film, frames):
    (clip,) = parse_clips([str(films / text)], "0-47")
    assert (clip.path, clip.frames) == (films / film, frames)


@pytest.mark.parametrize(
    ("texts", "complaint"),
    [
        (["gone.mp4"], "there is no film"),
        (["gone.mp4:1-2"], "there is no film"),
        (["car.mp4:9-3"], "ends before it starts"),
        (["car.mp4", "car.mp4:0-47"], "two clips are both called car 0-47"),
    ],
)
def test_clips_that_cannot_be_rendered_are_refused(films, texts, complaint):
    with pytest.raises(UsageError, match=complaint):
        parse_clips([str(films / text) for text in texts], "0-47")


CLIPS = [Clip(Path("/a/car.mp4"), "0-9", "car 0-9"), Clip(Path("/a/car.mp4"), "20-29", "car 20-29")]


@pytest.mark.parametrize(
    ("texts", "weights"),
    [([], [1, 1]), (["car.mp4=2"], [2, 2]), (["car.mp4:20-29=.5"], [1, 0.5]), (["car.mp4=2", "car.mp4:0-9=3"], [3, 2])],
)
def test_weights_are_of_a_film_or_of_a_clip(texts, weights):
    assert list(parse_weights(texts, CLIPS).values()) == weights


@pytest.mark.parametrize("text", ["bus.mp4=2", "car.mp4", "car.mp4=0", "car.mp4=-1", "car.mp4=much", "car.mp4=inf"])
def test_a_weight_that_says_nothing_is_refused(text):
    with pytest.raises(UsageError, match="--weigh"):
        parse_weights([text], CLIPS)


def test_the_geometric_mean_counts_a_clip_by_its_weight_and_leaves_out_what_is_not_known():
    assert geometric_mean({"a": 0.5, "b": 2.0}, {"a": 1, "b": 1}) == pytest.approx(1)
    assert geometric_mean({"a": 0.25, "b": 2.0}, {"a": 2, "b": 1}) == pytest.approx(0.5)
    assert geometric_mean({"a": 0.25, "b": None}, {"a": 1, "b": 7}) == pytest.approx(0.25)
    assert geometric_mean({"a": None}, {"a": 1}) is None


def test_ratios_are_of_pairs_and_their_median_is_no_ratio_of_medians():
    figure = compare_renders(times((10, 5), (40, 4), (20, 10)), "seconds")
    assert figure == {"OLD": 20, "NEW": 5, "ratio": 0.5, "least": 0.1, "most": 0.5, "pairs": [0.5, 0.1, 0.5]}


def test_half_a_pair_does_not_count():
    rows = times((10, 5), (40, 4))
    assert compare_renders(rows[:3], "seconds")["pairs"] == [0.5]
    assert compare_renders(rows[:1], "seconds") is None
    assert compare_renders(rows, "worker_bytes") is None


def test_figures_that_one_build_lacks_are_left_out():
    quality = {"OLD": {"loss": 10.0, "fine_moving": None}, "NEW": {"loss": 9.0, "fine_moving": 0.9}}
    figures = compare_clip(times((10, 5)), quality)
    assert figures["loss"] == {"OLD": 10.0, "NEW": 9.0, "ratio": 0.9}
    assert set(figures) == {"seconds", "loss"}
    assert set(compare_clip(times((10, 5)), {"OLD": {"loss": 10.0}})) == {"seconds"}


def test_other_frames_in_a_later_pair_are_told():
    rows = [row("NEW", 1, frames={"4": "a", "5": "x", "6": "y"}), row("NEW", 0, frames={"4": "a", "5": "b", "6": "c"})]
    assert same_frames(rows, "NEW") == "NEW paints differently in pairs 1 and 2: 2 frames differ, the first is 5"
    assert same_frames(rows[:1], "NEW") == ""
    assert same_frames([rows[0], row("NEW", 2, frames=rows[0]["frames"])], "NEW") == ""
    assert same_frames(rows, "OLD") == ""


def test_the_tables_have_medians_ratios_and_their_range():
    quality = {"OLD": {"warp_error": 0.002}, "NEW": {"warp_error": 0.001}}
    memory = [{**one, "worker_bytes": 3 << 20} for one in times((10, 5), (40, 8))]
    clips = {"car 0-9": compare_clip(memory, quality), "bus 0-9": compare_clip(times((10, 9)), {})}
    lines = [line.split() for line in clip_table("car 0-9", clips["car 0-9"]).splitlines()]
    assert lines == [
        ["car", "0-9", "OLD", "NEW", "NEW/OLD", "range", "of", "the", "pairs"],
        ["seconds", "25.0", "6.5", "0.350", "0.200..0.500"],
        ["memory,", "worker,", "MiB", "3", "3", "1.000", "1.000..1.000"],
        ["warp", "error", "0.002000", "0.001000", "0.500"],
    ]
    weights = {"car 0-9": 1.0, "bus 0-9": 1.0}
    printed = summary_table(clips, weights, compare_all(clips, weights)).splitlines()
    assert printed[1].split()[:4] == ["car", "0-9", "1", "0.350"]
    assert printed[2].split()[:6] == ["bus", "0-9", "1", "0.900", "-", "-"]
    assert printed[3].split()[:3] == ["geometric", "mean", "0.561"]  # the root of .35 times .9


def write_job(folder: Path, rows: dict[str, list[dict]]) -> Path:
    """A job of two passes as far as this reads one. `rows` are those of its ledgers; frame n is of the grey level n."""
    (folder / "frames").mkdir(parents=True)
    (folder / "job.json").write_text(json.dumps({"plan": {"passes": 2}, "versions": {"farm code": "c0de"}}))
    for task, own in rows.items():
        ledger, frames = folder / f"ledger/{task}.json", folder / f"frames/{task}"
        ledger.parent.mkdir(parents=True, exist_ok=True)
        frames.mkdir(parents=True)
        ledger.write_text(json.dumps({"frames": own}))
        for one in own:
            level = one["frame"] if task.startswith("pass-2") else 255
            (frames / f"{one['frame']:06d}.png").write_bytes(encode_png(np.full((2, 3, 3), level, np.uint8)))
    return folder


def frame_row(frame: int, steps: int, committed: float, loss: float, **fields):
    losses = {"style": loss, "content": 1.0, "total": 99.0}
    return {"frame": frame, "steps": steps, "committed": committed, "losses": losses, **fields}


WINDOWED = {"losses": {"style": 7.0, "temporal": 1.0}}
"""What a frame says whose steps were all taken in windows: nothing of its content."""


def test_a_job_of_any_build_is_read_with_its_last_pass(tmp_path):
    rows = {
        "pass-1/00000": [frame_row(7, 10, 103.5, 50.0, later_field=1)],
        "pass-1/00001": [frame_row(8, 10, 104.0, 60.0)],
        "pass-2/00000": [frame_row(7, 4, 106.0, 20.0, work=1.5)],
        "pass-2/00001": [frame_row(8, 4, 105.0, 30.0, work=0.0), {**frame_row(9, 4, 105.5, 0.0, work=2.0), **WINDOWED}],
        "still/000007": [frame_row(7, 200, 101.0, 0.0)],
    }
    painted = read_job(write_job(tmp_path / "a.farm", rows))
    assert painted.code == "c0de"
    assert {frame: int(picture.max()) for frame, picture in painted.frames.items()} == {7: 7, 8: 8, 9: 9}
    figures = figures_of_job(painted, began=100.0)
    assert (figures["steps"], figures["work"], figures["told_loss"]) == (32, 23.5, 26.0)
    assert figures["first_frame_seconds"] == 3.5
    assert figures["frames"]["7"] == hashlib.sha256(bytes([7] * 18)).hexdigest()


def test_a_job_that_is_gone_is_told_in_one_line(tmp_path):
    with pytest.raises(RenderError, match="cannot be read"):
        read_job(tmp_path / "gone.farm")


def test_what_follows_two_dashes_is_for_both_renders():
    options = parse_options(["v1", ".", "a.mp4", "b.mp4", "--style", "s.png", "--", "--passes", "2"])
    assert (options.old, options.new, options.videos) == ("v1", ".", ["a.mp4", "b.mp4"])
    assert options.both == ["--passes", "2"]


def test_the_sheet_shows_the_part_in_which_most_moves():
    area = np.zeros((400, 600), np.bool_)
    area[390:396, 20:30] = True
    rows, columns = window_on([area, area])
    assert (rows.stop - rows.start, columns.stop - columns.start) == (200, 300)
    assert area[rows, columns].sum() == area.sum()
    small = np.ones((50, 100), np.bool_)
    assert window_on([small]) == (slice(0, 50), slice(0, 100))


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository whose farm has one file, with one commit."""
    root = tmp_path / "repository"
    (root / "farm").mkdir(parents=True)
    (root / "farm/__init__.py").write_text("")
    (root / "pyproject.toml").write_text("")
    identity = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
    for command in (["init", "-q"], ["add", "."], [*identity, "commit", "-q", "-m", "first"]):
        subprocess.run(["git", *command], cwd=root, check=True)
    monkeypatch.setattr(builds, "ROOT", root)
    return root


def worktrees(root: Path) -> list[str]:
    told = subprocess.run(["git", "worktree", "list"], cwd=root, check=True, capture_output=True, text=True).stdout
    return [line.split()[0] for line in told.splitlines()]


@pytest.mark.process
def test_a_revision_that_is_not_there_is_refused(repository):
    with pytest.raises(UsageError, match="there is no revision v9"):
        find_revision("v9")


@pytest.mark.process
def test_the_working_tree_is_known_by_its_code(repository):
    before = find_revision(".")
    (repository / "notes.txt").write_text("not of the farm")
    assert find_revision(".") == before
    (repository / "farm/__init__.py").write_text("X = 1")
    assert tree_key(repository) != before.key


@pytest.mark.process
@pytest.mark.parametrize("interrupted", [False, True])
def test_a_build_is_that_of_its_revision_and_no_worktree_stays(repository, tmp_path, interrupted):
    revision = find_revision("HEAD")
    (repository / "farm/__init__.py").write_text("raise RuntimeError")  # what is not committed is not of the build
    try:
        with Builds(tmp_path / "out", same_environment=True) as made:
            build = made.make("OLD", revision)
            assert build.environment["PYTHONPATH"] == str(build.root)
            assert worktrees(repository) == [str(repository), str(build.root)]
            if interrupted:
                raise KeyboardInterrupt
    except KeyboardInterrupt:
        pass
    assert worktrees(repository) == [str(repository)]
    assert not build.root.exists()


@pytest.mark.process
def test_a_build_that_cannot_be_imported_is_told_in_one_line(repository, tmp_path):
    (repository / "farm/__init__.py").write_text("raise RuntimeError('of another Python')")
    with (
        Builds(tmp_path / "out", same_environment=True) as made,
        pytest.raises(UsageError, match="OLD cannot be imported: RuntimeError: of another Python"),
    ):
        made.make("OLD", find_revision("."))


@pytest.mark.process
def test_a_worktree_that_cannot_be_added_is_told_in_one_line(repository, tmp_path):
    revision = find_revision("HEAD")
    (tmp_path / "out").mkdir()
    (tmp_path / "out/trees").write_text("a file where the folder has to be")
    with (
        Builds(tmp_path / "out", same_environment=True) as made,
        pytest.raises(UsageError, match="cannot be made"),
    ):
        made.make("OLD", revision)


@pytest.mark.process
def test_what_git_complains_about_is_told_in_one_line(repository, tmp_path):
    with (
        Builds(tmp_path / "out", same_environment=True) as made,
        pytest.raises(UsageError, match=r"^git worktree failed: fatal: [^\n]*$"),
    ):
        made.make("OLD", Revision("v1", "0" * 40, "0" * 12))
    assert worktrees(repository) == [str(repository)]
