"""What the farm writes: every video codec of `--codec` in every container, with every colour tag, 1 to 40 frames long.

    python -m benchmarks.written                       all: about ten minutes of one core
    python -m benchmarks.written libx264 libvpx-vp9    some

Each film is encoded and joined as a render does it, then read back. Tags: those of the film are those of the source, in
the container and in the frames, and patches of known colours come out as they went in. Lengths: the header, the packets
and the decoder agree on the number of frames and on the duration. Clock: a pause of five seconds before any
frame of a film on a clock of nanoseconds. Prints a row for each codec and container, writes written.json, and exits
with 1 if a row is wrong. An encoder that this machine cannot run is named with the line that a render is refused with.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from benchmarks.media import decoded
from benchmarks.media_kinds import ffmpeg
from farm.errors import FarmError
from farm.media.color import coded_tags
from farm.media.encode import encode_segment
from farm.media.film import check_encoding, join_segments
from farm.media.probe import probe_video
from farm.media.tracks import VIDEO_ENCODERS
from farm.plan import VideoProbe
from farm.plan.video import ColorTags
from farm.spec import FrameRange
from farm.spec.render import EncodeSettings

WIDTH, HEIGHT = 96, 64
PATCHES = ((30, 190, 60), (200, 60, 40), (40, 60, 200), (128, 128, 128))
"""Colours of the frames. The green is 42,214,63 where BT.601 is read as BT.709."""
NEAR = 6
"""Levels by which a colour may be off after 4:2:0 and the codec's loss."""
TAGS = {
    "no tags": ColorTags(),
    "BT.709": ColorTags(range="tv", space="bt709", primaries="bt709", transfer="bt709"),
    "BT.601": ColorTags(range="tv", space="smpte170m", primaries="smpte170m", transfer="smpte170m"),
    "PAL": ColorTags(range="tv", space="bt470bg", primaries="bt470bg", transfer="bt470bg"),
    "full": ColorTags(range="pc", space="bt709", primaries="bt709", transfer="iec61966-2-1"),
    "HLG": ColorTags(range="tv", space="bt2020nc", primaries="bt2020", transfer="arib-std-b67"),
    "PQ": ColorTags(range="tv", space="bt2020nc", primaries="bt2020", transfer="smpte2084"),
}
LONGEST = 40
"""Frames of the longest film of which each length is made."""
FORMATS = {"prores_ks": ("yuv422p10le",), "ffv1": ("yuv420p", "bgr0"), "libx265": ("yuv420p", "yuv420p10le")}
"""Pixel formats that are tried, where it is not yuv420p alone. The first is that of the lengths."""


def pictures(count: int) -> Iterator[np.ndarray]:
    """Frames of one colour each, (HEIGHT, WIDTH, 3) uint8."""
    return (np.full((HEIGHT, WIDTH, 3), PATCHES[at % len(PATCHES)], np.uint8) for at in range(count))


class Source:
    """A film whose name and streams the joined films refer to; its probe can be given any tags and times."""

    def __init__(self, folder: Path) -> None:
        path = folder / "source.mkv"
        ffmpeg("-f", "lavfi", "-i", f"testsrc2=size={WIDTH}x{HEIGHT}:rate=25:duration=0.2", "-c:v", "ffv1", path)
        self._probe = probe_video(str(path))

    def probe(self, tags: ColorTags, pts: Sequence[int], tick: Fraction) -> VideoProbe:
        """The film with these tags and times; its last frame is shown for 40 ms."""
        last = round(Fraction(1, 25) / tick)
        return self._probe.model_copy(
            update={"color": tags, "pts": tuple(pts), "time_base": tick, "last_duration": last, "frame_rate": 25}
        )


def tag_faults(probe: VideoProbe, segment: Path, film: Path, settings: EncodeSettings) -> list[str]:
    """Faults of the tags and colours of a film with the frames of `segment`."""
    whole = FrameRange(0, probe.frame_count)
    join_segments([segment], probe, whole, film, settings, ())
    read = probe_video(str(film))
    expected = coded_tags(probe.color, HEIGHT, settings.codec, settings.pixel_format)
    faults = [] if read.color == expected else [f"tags of the frames {_told(read.color)}, not {_told(expected)}"]
    with av.open(str(film)) as container:
        context = container.streams.video[0].codec_context
        header = [int(context.color_primaries), int(context.color_trc)]
    with av.open(str(film)) as container:
        frame = next(container.decode(video=0))
        frames = [int(frame.color_primaries), int(frame.color_trc)]
    if header != frames:
        faults.append(f"the container says {header}, the frames {frames}")
    off = max(
        int(np.abs(picture.mean(axis=(0, 1)) - PATCHES[at % len(PATCHES)]).max())
        for at, picture in enumerate(decoded(read, deinterlace=False))
    )
    return faults if off <= NEAR else [*faults, f"colours are {off} levels off"]


def length_faults(probe: VideoProbe, segment: Path, film: Path, settings: EncodeSettings) -> list[str]:
    """Faults of the number and the times of frames, in the header, the packets and the decoder."""
    count = probe.frame_count
    join_segments([segment], probe, FrameRange(0, count), film, settings, ())
    meant = float(probe.duration)
    with av.open(str(film)) as container:
        stream = container.streams.video[0]
        header = float(container.duration or 0) / av.time_base
        track = meant if stream.duration is None else float(stream.duration * stream.time_base)
        packets = [(p.pts * p.time_base, p.duration * p.time_base) for p in container.demux(stream) if p.size]
    with av.open(str(film)) as container:
        shown = sum(1 for _ in container.decode(video=0))
    end = float(max(pts + duration for pts, duration in packets))
    faults = [f"{len(packets)} packets, {shown} frames, not {count}"] if {len(packets), shown} != {count} else []
    faults += [
        f"{name} {seconds:.3f} s, not {meant:.3f} s"
        for name, seconds in (("header", header), ("track", track), ("packets", end))
        if abs(seconds - meant) > 0.0025
    ]
    times = sorted(pts for pts, _ in packets)
    off = max(abs(at - (pts - probe.pts[0]) * probe.time_base) for at, pts in zip(times, probe.pts, strict=True))
    return faults + ([f"a frame is {float(off):.4f} s off"] if off > Fraction(1, 1000) else [])


def _told(tags: ColorTags) -> str:
    return "/".join(str(value) for value in (tags.range, tags.space, tags.primaries, tags.transfer))


def rows_of(codec: str, source: Source, folder: Path, extensions: Sequence[str]) -> Iterator[dict[str, object]]:
    """A row for each container that may hold the codec."""
    formats = FORMATS.get(codec, ("yuv420p",))
    tick = Fraction(1, 1000)
    cases: list[tuple[str, VideoProbe, EncodeSettings, object]] = []
    for pixel_format in formats:
        settings = EncodeSettings(codec=codec, crf=8, pixel_format=pixel_format)
        for name, tags in TAGS.items():
            cases.append((f"{name} {pixel_format}", source.probe(tags, range(0, 160, 40), tick), settings, tag_faults))
    plain = EncodeSettings(codec=codec, crf=30, pixel_format=formats[0])
    for count in range(1, LONGEST + 1):
        probe = source.probe(TAGS["BT.709"], range(0, 40 * count, 40), tick)
        cases.append((f"{count} frames", probe, plain, length_faults))
    for before in range(1, 7):
        nanoseconds = [40_000_000 * at + (5_000_000_001 if at >= before else 0) for at in range(7)]
        probe = source.probe(TAGS["BT.709"], nanoseconds, Fraction(1, 10**9))
        cases.append((f"pause before frame {before}", probe, plain, length_faults))
    faults: dict[str, list[str]] = {extension: [] for extension in extensions}
    for name, probe, settings, check in cases:
        segment = folder / "segment.mkv"
        encode_segment(pictures(probe.frame_count), probe, FrameRange(0, probe.frame_count), segment, settings)
        for extension in extensions:
            try:
                wrong = check(probe, segment, folder / f"film{extension}", settings)  # type: ignore[operator]
            except FarmError as error:
                wrong = [f"late failure: {error}"]
            faults[extension] += [f"{name}: {fault}" for fault in wrong]
    for extension in extensions:
        yield {"codec": codec, "film": extension, "films": len(cases), "faults": faults[extension]}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("codecs", nargs="*")
    parser.add_argument("--output", "-o", type=Path, default=Path("written.json"))
    options = parser.parse_args()
    rows: list[dict[str, object]] = []
    every = dict.fromkeys(codec for codecs in VIDEO_ENCODERS.values() for codec in codecs)
    with tempfile.TemporaryDirectory(prefix="farm-written-") as name:
        folder = Path(name)
        source = Source(folder)
        for codec in options.codecs or every:
            extensions = [extension for extension, codecs in VIDEO_ENCODERS.items() if codec in codecs]
            try:
                settings = EncodeSettings(codec=codec, pixel_format=FORMATS.get(codec, ("yuv420p",))[0])
                check_encoding(f"film{extensions[0]}", settings)
            except FarmError as error:
                print(f"{codec:<12} refused before the start: {error}", flush=True)
                continue
            for row in rows_of(codec, source, folder, extensions):
                rows.append(row)
                faults = row["faults"]
                assert isinstance(faults, list)
                told = "; ".join(faults[:3]) + (f"; and {len(faults) - 3} more" if len(faults) > 3 else "")
                print(f"{codec:<12} {row['film']:<6} {row['films']:>3} films  {told or 'right'}", flush=True)
    wrong = sum(bool(row["faults"]) for row in rows)
    print(f"{len(rows)} codecs in containers, {sum(int(str(row['films'])) for row in rows)} films: {wrong} wrong")
    options.output.write_text(json.dumps(rows, indent=1))
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
