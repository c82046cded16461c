"""Does every kind of film come out of the farm as it went in? An identity render of each, compared with the source.

    python -m benchmarks.media                    every odd kind in media_kinds.py, made by ffmpeg: make test-media
    python -m benchmarks.media clip.mov ...       your own films, and all files of folders
    python -m benchmarks.media --kinds GIF ...    some of the odd kinds

Prints a row for each film: its kind, the source, what came out, and the verdict, which is `right` or what is wrong.
Writes media.json, and exits with 1 if a film is wrong. Compared are the number and the times of the frames; pictures
(turned, tone-mapped or deinterlaced as the farm does) with those that the ffmpeg program decodes; the aspect; sound
against picture, by correlation; chapters and subtitles.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from benchmarks.media_kinds import KINDS, REFUSED
from farm.errors import FarmError, first_line
from farm.job import JobRecord
from farm.media.color import yuv_coding
from farm.media.ffmpeg import ffmpeg_binary, reason_of_failure
from farm.media.pictures import read_picture
from farm.media.probe import probe_video
from farm.media.settle import track_notes
from farm.media.source import ffmpeg_url
from farm.media.tracks import Track
from farm.plan import Runtime, VideoProbe, plan_tasks
from farm.render.chunk import ChunkRenderer
from farm.render.prepare import prepare_job
from farm.render.stitch import stitch_film
from farm.spec import build_spec

LOWEST_PSNR = 30.0
"""Decibels. Pictures below it differ."""
LOWEST_TONE_MAPPED = 0.97
"""Lowest correlation of the luminance with the source's. Tone mapping is another curve, on the same picture."""
SYNC_SECONDS = 0.020
"""How late or early sound may be."""
COMPARED = (64, 48)
"""Width and height at which pictures are compared."""
AUDIO_RATE = 8000
"""Samples a second at which sound is compared."""
AS_SAMPLES = ("-af", "aresample=8000:async=1:first_pts=0", "-ac", "1", "-f", "s16le")
"""Output options of ffmpeg for the sound that is compared, from the beginning of the file on."""


@dataclass
class Row:
    """What one film is, what came out, and what is wrong with it."""

    kind: str
    film: str
    source: str = ""
    result: str = ""
    faults: tuple[str, ...] = ()

    @property
    def verdict(self) -> str:
        """`right`, or the faults."""
        return "; ".join(self.faults) or "right"


def check_film(kind: str, path: Path, folder: Path, expected: str = "") -> Row:
    """Render the film at `path` with the identity method into `folder`, and compare.

    `expected` is REFUSED for a film that the farm must refuse.
    """
    folder.mkdir(parents=True, exist_ok=True)
    # Matroska holds what comes in Matroska or from a disc; everything else goes through the strictest clock
    output = folder / ("identity.mkv" if path.suffix in (".webm", ".mkv", ".mts") else "identity.mp4")
    row = Row(kind, path.name)
    try:
        record, tracks = identity(path, output)
        source, film = record.probe, probe_video(str(output))
    except FarmError as error:
        row.result = f"refused: {error}"
        row.faults = () if expected == REFUSED or (not expected and error.remedy) else ("must not be refused",)
        if not error.remedy:
            row.faults = ("is refused without saying what to do",)
        return row
    except Exception as error:  # a traceback of the farm is a fault like any other
        row.faults = (f"{type(error).__name__}: {first_line(error)}",)
        return row
    row.source, row.result = describe(source), describe(film)
    if expected == REFUSED:
        row.faults = ("must be refused",)
        return row
    row.result += "".join(f"; {note}" for note in track_notes(tracks))
    checks: list[Callable[[], list[str]]] = [
        lambda: check_times(source, film),
        lambda: check_pictures(source, film),
        lambda: check_aspect(source, film),
        lambda: check_sound(source, film, tracks),
        lambda: check_beside(source, film, tracks),
    ]
    row.faults = tuple(fault for check in checks for fault in _faults(check))
    return row


def _faults(check: Callable[[], list[str]]) -> list[str]:
    try:
        return check()
    except subprocess.CalledProcessError as error:
        return [f"ffmpeg fails: {reason_of_failure(error.stderr.decode(errors='replace'))}"]


def check_given(path: Path, folder: Path) -> Row:
    """A film that was given; or a picture whose name begins with "style", which is read as the one of a style is."""
    if not path.name.startswith("style"):
        return check_film(path.name, path, folder)
    row = Row(path.name, path.name)
    try:
        height, width = read_picture(path).shape[:2]
        row.result = f"{width}x{height}"
    except FarmError as error:
        row.result = f"refused: {error}"
        row.faults = () if error.remedy else ("is refused without saying what to do",)
    except Exception as error:
        row.faults = (f"{type(error).__name__}: {first_line(error)}",)
    return row


def identity(path: Path, output: Path) -> tuple[JobRecord, tuple[Track, ...]]:
    """Render the film with --method identity, in this process. Raises FarmError.

    Returns the job's record, and what became of the sound and the subtitles.
    """
    encode = {"crf": 4, "preset": "veryfast", "pixel_format": "yuv444p"}  # chroma is the encoder's, not the farm's
    spec = build_spec({"video": str(path), "output": str(output), "method": "identity", "encode": encode})
    job = str(output.with_suffix(".farm"))
    prepared = prepare_job(spec, job).with_tracks()
    record = prepared.begin(Runtime(device="cpu", precision="fp32", threads=1))
    renderer = ChunkRenderer(job)
    for task in plan_tasks(record.plan):
        for _ in renderer.render(task):
            pass
    stitch_film(renderer.job, record, output, tracks=prepared.tracks)
    return record, prepared.tracks or ()


def describe(probe: VideoProbe) -> str:
    """A film in a line: frames, size, pixel format, what is odd about it, sound and subtitles."""
    turned = f" turned {probe.rotation}" if probe.rotation else ""
    flags = [
        word
        for word, true in (
            ("mirrored", probe.mirrored),
            ("interlaced", probe.interlaced),
            ("alpha", probe.has_alpha),
            (probe.color.transfer, probe.color.is_hdr),
            (f"pixels {probe.pixel_aspect}", probe.pixel_aspect != 1),
        )
        if true
    ]
    beside = f"{len(probe.audio)} audio" + (f" {len(probe.subtitles)} subs" if probe.subtitles else "")
    size = f"{probe.width}x{probe.height}{turned}"
    return " ".join([f"{probe.frame_count} fr", size, probe.pixel_format, *map(str, flags), beside])


def check_times(source: VideoProbe, film: VideoProbe) -> list[str]:
    """Faults of the number and the times of frames."""
    if film.frame_count != source.frame_count:
        return [f"{film.frame_count} frames, not {source.frame_count}"]
    times = [[(pts - one.pts[0]) * one.time_base for pts in one.pts] for one in (source, film)]
    worst = max(abs(a - b) for a, b in zip(*times, strict=True))
    faults = [] if worst <= max(film.time_base, Fraction(1, 1000)) else [f"a frame is {float(worst):.4f} s off"]
    if abs(source.duration - film.duration) > max(Fraction(source.last_duration, 2) * source.time_base, film.time_base):
        faults.append(f"lasts {float(film.duration):.3f} s, not {float(source.duration):.3f} s")
    return faults


def check_pictures(source: VideoProbe, film: VideoProbe) -> list[str]:
    """Faults of the pictures, both as the ffmpeg program shows them, which turns and mirrors by itself."""
    before, after = (decoded(one, deinterlace=one.interlaced) for one in (source, film))
    if before.shape != after.shape:
        return [f"ffmpeg reads {len(before)} and {len(after)} pictures"]
    if source.color.is_hdr and not film.color.is_hdr:
        lumas = [frames.astype(np.float64).mean(axis=3).ravel() for frames in (before, after)]
        alike = float(np.corrcoef(*lumas)[0, 1])
        return [] if alike >= LOWEST_TONE_MAPPED else [f"tone-mapped pictures correlate by {alike:.3f} only"]
    error = np.mean((before.astype(np.float64) - after) ** 2, axis=(1, 2, 3))
    worst = float(10 * np.log10(255**2 / max(error.max(), 1e-9)))
    return [] if worst >= LOWEST_PSNR else [f"frame {int(error.argmax())} differs (PSNR {worst:.1f} dB)"]


def check_aspect(source: VideoProbe, film: VideoProbe) -> list[str]:
    """Faults of the shape of the picture."""
    shapes = [one.pixel_aspect * one.width / one.height for one in (source, film)]
    # an odd size is made even by doubling a row or column
    off = float(abs(shapes[0] / shapes[1] - 1))
    faults = [] if off <= 1.01 / min(source.width, source.height) else [f"the aspect is {float(shapes[1]):.3f}"]
    return faults + (["is still turned"] if film.rotation or film.mirrored else [])


def check_sound(source: VideoProbe, film: VideoProbe, tracks: Sequence[Track]) -> list[str]:
    """Faults of the sound: streams that are missing, or do not fit the picture. `tracks` are those of the render."""
    sound = [track for track in tracks if track.kind == "sound"]
    faults = [fault for track in sound if not track.kept for fault in _left_out(source, track)]
    kept = [track for track in sound if track.kept]
    if len(sound) != len(source.audio) or len(kept) != len(film.audio):
        return [*faults, f"{len(film.audio)} audio streams, not {len(kept)} of {len(source.audio)}"]
    for place, track in enumerate(kept):
        lag = lag_seconds(waveform(source, track.number - 1), waveform(film, place))
        if abs(lag) > SYNC_SECONDS:
            faults.append(f"sound {track.number} is {lag * 1000:.0f} ms off")
    return faults


def _left_out(source: VideoProbe, track: Track) -> list[str]:
    """Faults of a sound track that the film does not have: nobody is told, or ffmpeg decodes some of it."""
    faults = [] if track_notes([track]) else [f"sound {track.number} is left out without a note"]
    try:
        length = len(waveform(source, track.number - 1)) / AUDIO_RATE
    except subprocess.CalledProcessError:
        return faults
    return [*faults, f"sound {track.number} is left out, with {length:.2f} s of sound"] if length else faults


def check_beside(source: VideoProbe, film: VideoProbe, tracks: Sequence[Track]) -> list[str]:
    """Faults of subtitles and chapters."""
    faults = []
    subtitles = [track for track in tracks if track.kind == "subtitles"]
    kept = sum(track.kept for track in subtitles)
    if len(subtitles) != len(source.subtitles) or kept != len(film.subtitles):
        faults.append(f"{len(film.subtitles)} subtitle streams, not {kept} of {len(source.subtitles)}")
    if len(track_notes(subtitles)) < len(subtitles) - kept:
        faults.append("subtitles are left out without a note")
    before, after = (chapters(one.path) for one in (source, film))
    (fonts, timecode), (attachments, shown) = (attached(one.path) for one in (source, film))
    if fonts != attachments and film.container == "matroska,webm":
        faults.append(f"{attachments} attachments, not {fonts}")
    if timecode != shown:
        faults.append(f"the timecode is {shown}, not {timecode}")
    return faults + ([] if before == after else [f"chapters {after}, not {before}"])


def decoded(probe: VideoProbe, *, deinterlace: bool) -> np.ndarray:
    """Every frame once, small, in RGB by the matrix that the tags or the height name: uint8 (frames, 48, 64, 3)."""
    coding = yuv_coding(probe.color, probe.stored_size[1])
    width, height = COMPARED
    rgb = probe.color.space == "gbr" or probe.pixel_format.startswith(("bgr", "rgb", "argb", "gbr"))
    read = "" if rgb else f":in_color_matrix={coding.matrix}:in_range={coding.range}"
    filters = ["bwdif=mode=send_frame:deint=interlaced"] if deinterlace else []
    if not rgb:  # the scaler refuses pictures with tags that it does not know
        filters.append("setparams=colorspace=unknown:color_primaries=unknown:color_trc=unknown")
    filters.append(f"scale=flags=lanczos+accurate_rnd+full_chroma_int+full_chroma_inp{read}")
    filters.append(f"format=rgb24,scale={width}:{height}:flags=area+accurate_rnd")
    if probe.has_alpha and probe.container in ("gif", "apng", "webp"):
        white = "[a]drawbox=color=white:thickness=fill:replace=1[w];[w][b]overlay=format=gbrp"
        filters = [f"format=rgba,split[a][b];{white}", *filters]
    elif probe.has_alpha and probe.pixel_format.endswith(("argb", "rgba")):
        filters = ["format=gbrap,premultiply=inplace=1", *filters]
    raw = _output(probe, f"0:{probe.stream_index}", "-vf", ",".join(filters), "-fps_mode", "passthrough",
                  "-f", "rawvideo", "-pix_fmt", "rgb24")  # fmt: skip
    return np.frombuffer(raw, np.uint8).reshape(-1, height, width, 3)


def waveform(probe: VideoProbe, number: int) -> np.ndarray:
    """Samples at AUDIO_RATE of one audio stream, float64 (samples,), from the time of the first frame on.

    Channels are mixed. Where there is no sound the samples are 0.
    """
    return from_first_frame(probe, _output(probe, f"0:{probe.audio[number].index}", *AS_SAMPLES))


def from_first_frame(probe: VideoProbe, raw: bytes) -> np.ndarray:
    """The samples that ffmpeg wrote with AS_SAMPLES, as `waveform` returns them."""
    samples = np.frombuffer(raw, np.int16).astype(np.float64)
    first = max(round(float(probe.presentation_time(0) - probe.start_time) * AUDIO_RATE), 0)
    return samples[first:]


def lag_seconds(before: np.ndarray, after: np.ndarray) -> float:
    """By how many seconds the sound `after` is late, from the peak of its cross-correlation with `before`."""
    size = 1 << (len(before) + len(after)).bit_length()
    product = np.fft.rfft(after, size) * np.conj(np.fft.rfft(before, size))
    lag = int(np.argmax(np.fft.irfft(product, size)))
    return (lag if lag < size // 2 else lag - size) / AUDIO_RATE


def chapters(path: str) -> list[tuple[float, float]]:
    """Begin and end of each chapter, in seconds."""
    with av.open(ffmpeg_url(path)) as container:
        return [
            (round(float(c["start"] * c["time_base"]), 2), round(float(c["end"] * c["time_base"]), 2))
            for c in container.chapters()
        ]


def attached(path: str) -> tuple[int, str | None]:
    """The number of files in a film, such as fonts, and the timecode of its first frame."""
    with av.open(ffmpeg_url(path)) as container:
        places = [container.metadata, *(stream.metadata for stream in container.streams)]
        labels = [value for tags in places for key, value in tags.items() if key.lower() == "timecode"]
        return len(container.streams.attachments), labels[0] if labels else None


def _output(probe: VideoProbe, stream: str, *options: str) -> bytes:
    command = [ffmpeg_binary(), "-v", "error", "-nostdin", "-i", ffmpeg_url(probe.path), "-map", stream, *options, "-"]
    return subprocess.run(command, capture_output=True, check=True).stdout


def table(rows: list[Row]) -> str:
    """The rows, as they are printed."""
    width = max(len(row.kind) for row in rows)
    return "\n".join(f"{r.kind:<{width}}  {r.source:<48}  {r.result[:100]:<100}  {r.verdict}" for r in rows)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("films", nargs="*", type=Path)
    parser.add_argument("--kinds", nargs="+", help="Names of kinds in media_kinds.py.")
    parser.add_argument("--output", "-o", type=Path, default=Path("media.json"))
    options = parser.parse_args()
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="farm-media-") as name:
        folder = Path(name)
        chosen = options.kinds if options.kinds else () if options.films else KINDS
        for kind in chosen:
            file, make, expected = KINDS[kind]
            make(folder / file)
            rows.append(check_film(kind, folder / file, folder / str(len(rows)), expected))
        for given in options.films:
            for film in sorted(given.iterdir()) if given.is_dir() else [given]:
                rows.append(check_given(film, folder / str(len(rows))))
    print(table(rows))
    options.output.write_text(
        json.dumps([dataclasses.asdict(row) | {"verdict": row.verdict} for row in rows], indent=1)
    )
    return int(any(row.faults for row in rows))


if __name__ == "__main__":
    sys.exit(main())
