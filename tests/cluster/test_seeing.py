"""Preview and forecast on real Ray: stills are painted once, a grid has the settings it says, costs are those here."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from farm.cli.preview import PreviewOptions, preview_film
from farm.cli.progress import JobProgress
from farm.errors import JobMismatchError, OutputError, UsageError
from farm.job import JobDirectory
from farm.job.forecast import load_forecast
from tests.cluster.test_render_job import make_spec

pytestmark = pytest.mark.usefixtures("ray_here")


def preview(clip: Path, style: Path, folder: Path, **options: object) -> dict:
    given = {"video": str(clip), "style": [str(style)], "size": 64, "frames": options.pop("frames", "0-11")}
    values = {"vary": [], "size": 48, "steps": 3, "shots": 24, "moving": False, "workers": 1, "threads": 1}
    return preview_film(given, PreviewOptions(folder=folder, **{**values, **options}), JobProgress())


@pytest.fixture(scope="module")
def stills(clip, style, tmp_path_factory, ray_here) -> tuple[Path, Path, dict]:
    """A preview's folder, the painting that it is made with, and what was told of it."""
    folder = tmp_path_factory.mktemp("stills")
    own = folder / "own.png"
    own.write_bytes(style.read_bytes())
    return folder / "p", own, preview(clip, own, folder / "p")


def test_a_still_of_each_shot_is_painted_once(clip, stills):
    folder, own, told = stills
    assert told["frames"] == [6], "the middle of the only shot"
    assert (told["painted"], told["reused"]) == (1, 0)
    assert Path(told["page"]).read_text().startswith("<!doctype html>")
    with Image.open(told["sheet"]) as sheet:
        assert sheet.size[0] > 48
    again = preview(clip, own, folder)
    assert (again["painted"], again["reused"]) == (1, 1)


def test_a_grid_holds_another_picture_for_every_setting(clip, style, tmp_path):
    told = preview(
        clip, style, tmp_path / "p", vary=["style-weight=0,x4", "style-scale=0.5,1"], frames="2,7", workers=2
    )
    assert told["frames"] == [2, 7]
    assert told["variants"][0] == ["style-weight 0", "style-scale 0.5"]
    jobs = sorted((tmp_path / "p/jobs").glob("*.farm"))
    assert len(jobs) == 4
    pictures = {job.name: JobDirectory(str(job)).read_frame("still/000002", 2) for job in jobs}
    assert len({picture.tobytes() for picture in pictures.values()}) >= 3, "only those without a style are alike"
    weights = {job.name: JobDirectory(str(job)).load_record().spec.weights.style for job in jobs}
    assert sorted(weights.values()) == [0, 0, 400, 400]


def test_a_moving_preview_is_a_film_of_the_first_seconds(clip, style, tmp_path):
    from farm.media.probe import probe_video

    told = preview(clip, style, tmp_path / "p", moving=True)
    film = probe_video(told["film"])
    assert (film.frame_count, film.width) == (12, 48)


def test_a_folder_that_is_of_something_else_is_left_alone(clip, style, tmp_path):
    (tmp_path / "p").mkdir()
    (tmp_path / "p/sheet.png").write_bytes(b"mine")
    with pytest.raises(OutputError, match="not of a preview"):
        preview(clip, style, tmp_path / "p")
    assert (tmp_path / "p/sheet.png").read_bytes() == b"mine"


def test_a_style_that_is_painted_over_makes_new_stills(clip, stills):
    folder, own, _ = stills
    Image.fromarray(np.full((40, 40, 3), 200, np.uint8)).save(own)
    try:
        assert preview(clip, own, folder)["reused"] == 0
    except JobMismatchError:
        pytest.fail("a preview begins anew where a render refuses")


def test_costs_are_measured_and_the_forecast_is_kept(clip, style, tmp_path):
    from farm.cluster.measure import forecast_render
    from farm.cluster.sizing import LaunchOptions

    spec = make_spec(clip, style, tmp_path / "out.mp4", long_term=[2, 4])
    options = LaunchOptions(job=str(tmp_path / "out.farm"), workers=2, threads=1)
    told = forecast_render(spec, options, 3.6, JobProgress(), keep=True)
    costs = told["costs"]
    assert all(costs[name] > 0 for name in ("start", "load", "first", "sequential", "refine", "tie", "frame_bytes"))
    assert told["measured_workers"] == 2
    rows = {row["workers"]: row for row in told["rows"]}
    assert sorted(rows) == [1, 2, 8, 64]
    assert rows[64]["seconds"] == pytest.approx(told["floor_seconds"])
    assert rows[2]["money"] == pytest.approx(2 * rows[2]["seconds"] / 1000)
    assert load_forecast(JobDirectory(options.job)).spec == spec
    assert not (tmp_path / "out.farm/ledger").exists(), "the job itself has not begun"
    assert not (tmp_path / "out.mp4").exists()


def test_without_a_network_there_is_nothing_to_measure(clip, style, tmp_path):
    from farm.cluster.measure import measure_costs
    from farm.cluster.sizing import LaunchOptions

    spec = make_spec(clip, style, tmp_path / "out.mp4", method="instant")
    with pytest.raises(UsageError, match="no network to measure"):
        measure_costs(spec, LaunchOptions(job=str(tmp_path / "out.farm")), JobProgress())
