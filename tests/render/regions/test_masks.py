"""The masks of a job: the same from every worker, kept where they can be looked at, and in the painted film."""

from __future__ import annotations

import subprocess

import numpy as np
import pytest
from PIL import Image

from farm.flow import external_flow_name, write_flow
from farm.job.directory import JobDirectory
from farm.media.ffmpeg import ffmpeg_binary
from farm.plan.runtime import Runtime
from farm.plan.tasks import plan_tasks
from farm.render.chunk import ChunkRenderer
from farm.render.committed import frame_of_pass
from farm.render.prepare import prepare_job
from farm.render.regions.masks import RegionMasks
from farm.render.source_frames import SourceFrames, open_flow_store
from farm.spec.load import build_spec
from tests.conftest import make_clip
from tests.media.clips import LOSSLESS, write_clip
from tests.render.regions.test_carry import HEIGHT, WIDTH, exact_flow, labels, overlap, picture

FRAMES = 14
"""Of the clip, so that a second station is reached."""


@pytest.fixture(scope="module")
def discs(tmp_path_factory):
    """The clip of `test_carry` as a film with its exact flow, and the disc's mask in frames 0 and 5."""
    folder = tmp_path_factory.mktemp("discs")
    write_clip(folder / "clip.mkv", [picture(frame) for frame in range(FRAMES)], *LOSSLESS)
    (folder / "flow").mkdir()
    for source in range(FRAMES):
        for target in range(FRAMES):
            if source != target:
                write_flow(folder / "flow" / external_flow_name(source, target), exact_flow(source, target))
    for frame in (0, 5):
        Image.fromarray((labels(frame) == 1).astype(np.uint8) * 255).save(folder / f"disc{frame}.png")
    return folder


def begin(folder, style, job, regions, **options):
    values = {"chunk_frames": FRAMES, "passes": 1, "iterations": "2,1", "flow_dir": str(folder / "flow"), **options}
    spec = build_spec(
        {
            "video": str(folder / "clip.mkv"),
            "styles": [str(style)],
            "output": f"{job}.mp4",
            "regions": regions,
            **values,
        }
    )
    prepare_job(spec, str(job)).begin(Runtime(device="cpu", precision="fp32", threads=1))
    return JobDirectory(str(job))


def open_masks(job) -> RegionMasks:
    record = job.load_record()
    source = SourceFrames(record)
    return RegionMasks(job, record, source, open_flow_store(job, record, source))


def test_masks_are_the_same_with_one_chunk_and_with_three_workers_in_any_order(discs, style, tmp_path):
    region = [f"{discs}/disc5.png@5=none"]
    one = open_masks(begin(discs, style, tmp_path / "one.farm", region))
    alone = [one.mask(0, frame) for frame in range(FRAMES)]
    cut = begin(discs, style, tmp_path / "three.farm", region, chunk_frames=5)
    workers = [open_masks(cut) for _ in range(3)]
    shared = {frame: workers[frame // 5].mask(0, frame) for frame in reversed(range(FRAMES))}
    assert np.array_equal(alone, [shared[frame] for frame in range(FRAMES)])
    assert min(overlap(mask, frame) for frame, mask in enumerate(alone)) > 0.95


def test_a_late_frame_asked_for_first_makes_its_stations_in_order_not_inside_each_other(
    discs, style, tmp_path, monkeypatch
):
    """With a station in every frame: as deep as the shot is long would be 13, and a RecursionError in a real one."""
    monkeypatch.setattr("farm.render.regions.carry.STATION_FRAMES", 1)
    masks = open_masks(begin(discs, style, tmp_path / "deep.farm", [f"{discs}/disc0.png=none"]))
    load, depth, deepest = masks._load, 0, []

    def watched(own, number, frame):
        nonlocal depth
        depth += 1
        deepest.append(depth)
        made = load(own, number, frame)
        depth -= 1
        return made

    monkeypatch.setattr(masks, "_load", watched)
    assert overlap(masks.mask(0, 13), 13) > 0.9
    assert max(deepest) <= 3
    assert len(deepest) == 14


def test_masks_are_kept_as_pictures_and_a_damaged_one_is_made_again(discs, style, tmp_path):
    job = begin(discs, style, tmp_path / "a.farm", [f"{discs}/disc0.png=none"])
    first = open_masks(job).mask(0, 9)
    (kept,) = (tmp_path / "a.farm/masks").glob("00-*/000009.png")
    with Image.open(kept) as shown:
        assert np.array_equal(np.asarray(shown), first)
    kept.write_bytes(kept.read_bytes()[:50])
    assert np.array_equal(open_masks(job).mask(0, 9), first)
    Image.fromarray(np.full_like(first, 7)).save(kept)
    assert open_masks(job).mask(0, 9).max() == 7


def test_a_static_mask_stays_and_a_later_region_lies_on_top(discs, style, tmp_path):
    job = begin(discs, style, tmp_path / "s.farm", [f"{discs}/disc0.png@static=none", f"{discs}/disc0.png={style}"])
    masks = open_masks(job)
    assert np.array_equal(masks.mask(0, 13), (labels(0) == 1) * np.uint8(255))
    below, above = masks.weights(13)
    assert np.array_equal(above, masks.mask(1, 13).astype(np.float32) / 255)
    assert (below + above).max() <= 1
    assert below[(above == 1)].max() == 0


def test_a_mask_video_is_read_frame_by_frame(discs, style, tmp_path):
    raw = b"".join(((labels(frame) == 1) * np.uint8(255)).tobytes() for frame in range(4, 9))
    encode = ["-f", "rawvideo", "-pix_fmt", "gray", "-s", f"{WIDTH}x{HEIGHT}", "-r", "12", "-i", "pipe:0"]
    target = ["-c:v", "ffv1", str(tmp_path / "mask.mkv")]
    subprocess.run([ffmpeg_binary(), "-v", "error", "-y", *encode, *target], input=raw, check=True)
    masks = open_masks(begin(discs, style, tmp_path / "v.farm", [f"{tmp_path}/mask.mkv=none"], frames="4-8"))
    for frame in (8, 4):
        assert overlap(masks.mask(0, frame), frame) > 0.99


@pytest.mark.media
def test_nothing_is_carried_over_a_cut(style, tmp_path):
    for name, pattern in (("a", "testsrc2"), ("b", "mandelbrot")):
        make = [
            "-f",
            "lavfi",
            "-i",
            f"{pattern}=size=64x64:rate=12",
            "-frames:v",
            "8",
            "-pix_fmt",
            "yuv420p",
            str(tmp_path / f"{name}.mkv"),
        ]
        subprocess.run([ffmpeg_binary(), "-v", "error", "-y", *make], check=True)
    (tmp_path / "list").write_text("file a.mkv\nfile b.mkv\n")
    join = ["-f", "concat", "-i", str(tmp_path / "list"), "-c", "copy", str(tmp_path / "clip.mkv")]
    subprocess.run([ffmpeg_binary(), "-v", "error", "-y", *join], check=True)
    mask = np.zeros((64, 64), np.uint8)
    mask[20:40, 20:40] = 255
    Image.fromarray(mask).save(tmp_path / "m.png")
    masks = open_masks(begin(tmp_path, style, tmp_path / "c.farm", [f"{tmp_path}/m.png@10=none"], flow_dir=None))
    assert masks._shot_of(7) != masks._shot_of(8)
    assert masks.mask(0, 7).max() == 0
    assert masks.mask(0, 8).max() == 255


@pytest.mark.media
def test_a_kept_region_shows_the_film_and_the_rest_is_painted_also_in_later_passes(style, tmp_path):
    clip = make_clip(tmp_path / "clip.mp4", frames=4, size="64x48", audio=False)
    mask = np.zeros((48, 64), np.uint8)
    mask[:, :24] = 255
    Image.fromarray(mask).save(tmp_path / "m.png")
    spec = build_spec(
        {
            "video": str(clip),
            "styles": [str(style)],
            "output": str(tmp_path / "out.mp4"),
            "regions": [f"{tmp_path}/m.png@static=none"],
            "iterations": "4,3",
            "passes": 2,
            "chunk_frames": 2,
        }
    )
    prepared = prepare_job(spec, str(tmp_path / "out.farm"))
    record = prepared.begin(Runtime(device="cpu", precision="fp32", threads=1))
    renderer = ChunkRenderer(str(tmp_path / "out.farm"))
    for task in plan_tasks(record.plan):
        list(renderer.render(task))
    for frame in range(4):
        made, film = frame_of_pass(prepared.job, record, 2, frame), renderer.source(frame)
        assert np.array_equal(made[:, :24], film[:, :24])
        assert np.abs(made[:, 30:].astype(int) - film[:, 30:]).mean() > 2
