"""Every sound codec of the ffmpeg at hand, in every layout that it takes, into every kind of film.

    python -m benchmarks.sound                      all of them: half an hour of one core
    python -m benchmarks.sound aac ac3 'pcm_*'      some, by name or pattern

Each codec makes a source with a track for each layout. For mp4, mov, mkv and webm the tracks are settled as at the
start of a render (farm.media.settle), then the film is joined as at its end. Prints a row for each codec and kind of
film: how many tracks are carried, encoded and left out, and the verdict. A film that cannot be joined is a late
failure. Right is also asked of the sound: each kept track has its source's samples, by correlation, at its time, and
nothing is left out that ffmpeg decodes. Writes sound.json, and exits with 1 if a row is wrong.
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.media import AS_SAMPLES, SYNC_SECONDS, from_first_frame, lag_seconds, waveform
from benchmarks.media_kinds import ffmpeg, noise
from farm.errors import FarmError
from farm.media.encode import encode_segment
from farm.media.ffmpeg import ffmpeg_binary
from farm.media.film import join_segments
from farm.media.layouts import LAYOUTS
from farm.media.probe import probe_video
from farm.media.settle import settle_tracks
from farm.media.source import ffmpeg_url
from farm.media.tracks import Track
from farm.plan import VideoProbe
from farm.spec import FrameRange
from farm.spec.render import EncodeSettings

SOURCE_LAYOUTS = ("mono", "stereo", "2.1", "quad", "4.0", "5.1", "5.1(side)", "6.1", "7.1", "7.1.4", "hexadecagonal",
                  "22.2", "16c", "24c")  # fmt: skip
"""Layouts of the sources; the last two are channels without names."""
CODECS = {".mp4": "libx264", ".mov": "libx264", ".mkv": "libx264", ".webm": "libvpx-vp9"}
"""Kinds of film, and the video codec of each."""
CONTAINERS = (".mkv", ".mov", ".nut", ".ts", ".avi", ".asf", ".mxf", ".flv", ".rm", ".swf", ".ogg", ".wtv")
"""Kinds of source, by how well they keep layouts. The first that holds a codec is taken."""
SPECIAL: dict[str, tuple[str, ...]] = {
    "g723_1": ("-b:a", "6300", "-ar", "8000"),
    "libopencore_amrnb": ("-ar", "8000", "-b:a", "12.2k"),
    "real_144": ("-ar", "8000"),
    "adpcm_argo": ("-ar", "44100"),
    "adpcm_yamaha": ("-ar", "48000"),
    "nellymoser": ("-ar", "44100"),
    "adpcm_swf": ("-ar", "44100"),
    "adpcm_ima_amv": ("-ar", "22050"),
    "roq_dpcm": ("-ar", "22050"),
    "pcm_s24daud": ("-ar", "96000"),
    "g722": ("-ar", "16000"),
    "g726": ("-ar", "8000"),
    "g726le": ("-ar", "8000"),
}
"""Options without which an encoder refuses."""
SPEECH = frozenset(
    {"g723_1", "libopencore_amrnb", "real_144", "nellymoser", "comfortnoise", "dfpwm", "sbc", "adpcm_swf"}
)
"""Encoders that keep noise badly, most of them for speech at 8 kHz: only the length of the sound is asked."""
LAYOUTS_TRIED = 3
"""Layouts after which a codec that no kind of film has taken counts as one that none holds."""
SECONDS = 1.2
LIKE = 0.5
"""Lowest correlation of a track with its source's. Codecs that lose much of noise reach 0.6."""


def encoders() -> list[str]:
    """Names of the sound encoders that the ffmpeg at hand has."""
    text = subprocess.run([ffmpeg_binary(), "-hide_banner", "-encoders"], capture_output=True, text=True, check=True)
    names = re.findall(r"^ A\S{5} (\S+)", text.stdout, re.MULTILINE)
    return [name for name in names if name not in ("=", "anull")]


def chosen(patterns: Sequence[str]) -> list[str]:
    """The encoders that any of `patterns` names, such as `pcm_*`; all without any. Exits where one names none."""
    every = encoders()
    for pattern in patterns:
        if not fnmatch.filter(every, pattern):
            sys.exit(f"this ffmpeg has no sound encoder {pattern}")
    return [name for name in every if not patterns or any(fnmatch.fnmatch(name, pattern) for pattern in patterns)]


def layouts_of(encoder: str) -> list[str]:
    """Those of SOURCE_LAYOUTS that the encoder may take: all, unless it names them."""
    text = subprocess.run(
        [ffmpeg_binary(), "-hide_banner", "-h", f"encoder={encoder}"], capture_output=True, text=True, check=True
    )
    named = re.search(r"Supported channel layouts:(.*)", text.stdout)
    names = re.findall(r"[\w.()-]+", named[1]) if named else SOURCE_LAYOUTS
    return [layout for layout in SOURCE_LAYOUTS if layout in names]


def channels(layout: str) -> int:
    """How many channels a layout has."""
    count = {"5.1(side)": 6, "7.1.4": 12, "hexadecagonal": 16, "22.2": 24}.get(layout)
    return count or (int(layout[:-1]) if layout.endswith("c") else len(LAYOUTS[layout]))


def make_source(encoder: str, folder: Path) -> tuple[Path | None, list[str]]:
    """A film with a track for each layout that the encoder takes, and these layouts; None where no container has it."""
    tracks: list[tuple[str, Path]] = []
    container = ""
    fitting = (".mov", *CONTAINERS) if encoder.startswith("pcm_") else CONTAINERS  # Matroska has no layouts of PCM
    for number, layout in enumerate(layouts_of(encoder)):
        if number >= LAYOUTS_TRIED and not tracks:
            break
        spread = "|".join([layout, *(f"c{at}=c0" for at in range(channels(layout)))])
        for extension in [container] if container else fitting:
            path = folder / f"{len(tracks)}-{encoder}{extension}"
            options = ("-af", f"pan={spread}", "-c:a", encoder, "-strict", "-2", *SPECIAL.get(encoder, ()))
            try:
                ffmpeg(*noise(seconds=SECONDS), *options, path)
                container = extension
                tracks.append((layout, path))
                break
            except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
                path.unlink(missing_ok=True)
    while tracks:
        source = folder / f"{encoder}-film{container}"
        inputs = [word for _, path in tracks for word in ("-i", path)]
        maps = [word for at in range(len(tracks)) for word in ("-map", f"{at + 1}:a")]
        for video in ("mpeg4", "mpeg2video", "libtheora", "flv"):
            try:
                still = ("-f", "lavfi", "-i", f"testsrc2=size=64x48:rate=25:duration={SECONDS}")
                picture = ("-map", "0:v", "-c:v", video, "-c:a", "copy", "-strict", "-2")
                ffmpeg(*still, *inputs, *maps, *picture, source)
                return source, [layout for layout, _ in tracks]
            except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
                source.unlink(missing_ok=True)
        tracks.pop()
    return None, []


def check(source: Path, folder: Path, extension: str, segment: Path, *, loose: bool) -> dict[str, Any]:
    """Settle the tracks of `source` for a film of this kind, join it with the pictures of `segment`, and compare."""
    probe = probe_video(str(source), allow_truncated=True)
    settings = EncodeSettings(codec=CODECS[extension], preset=None)
    whole = FrameRange(0, probe.frame_count)
    tracks = settle_tracks(probe, whole, extension, settings)
    row: dict[str, Any] = {"tracks": [(track.stream.layout, track.outcome) for track in tracks], "faults": []}
    output = folder / f"film{extension}"
    try:
        join_segments([segment], probe, whole, output, settings, tracks)
    except FarmError as error:
        row["faults"] = [f"late failure: {error}"]
        return row
    film = probe_video(str(output))
    kept = [track for track in tracks if track.kept]
    if len(film.audio) != len(kept):
        row["faults"] = [f"{len(film.audio)} tracks, not {len(kept)}"]
        return row
    befores, afters = (waveforms(one, folder) for one in (probe, film))
    for track in tracks:
        before = befores[track.number - 1]
        if not track.kept and not isinstance(before, str) and len(before):
            row["faults"].append(f"{track.stream.layout or track.number} is left out: {track.why}")
    for place, track in enumerate(kept):
        row["faults"] += _faults_of(track, befores[track.number - 1], afters[place], loose=loose)
    return row


def waveforms(probe: VideoProbe, folder: Path) -> list[np.ndarray | str]:
    """The sound of every track, as benchmarks.media.waveform has it, or why it is not decoded."""
    files = [folder / f"{number}.samples" for number in range(len(probe.audio))]
    command: list[str | Path] = [ffmpeg_binary(), "-v", "error", "-nostdin", "-y", "-i", ffmpeg_url(probe.path)]
    for stream, file in zip(probe.audio, files, strict=True):
        command += ["-map", f"0:{stream.index}", *AS_SAMPLES, file]
    try:
        if not subprocess.run(command, capture_output=True, check=False).returncode:
            return [from_first_frame(probe, file.read_bytes()) for file in files]
        return [_waveform_or_reason(probe, number) for number in range(len(probe.audio))]
    finally:
        for file in files:
            file.unlink(missing_ok=True)


def _waveform_or_reason(probe: VideoProbe, number: int) -> np.ndarray | str:
    try:
        return waveform(probe, number)
    except subprocess.CalledProcessError as error:
        return str(error.stderr.decode().strip().splitlines()[-1][:80])


def _faults_of(track: Track, before: np.ndarray | str, after: np.ndarray | str, *, loose: bool) -> list[str]:
    """Faults of the sound of one track."""
    name = f"{track.stream.layout or track.number} {track.codec}"
    if isinstance(before, str) and track.codec == "copy":
        return []  # carried as it is; ffmpeg does not decode the source's either, such as TTA of 24 channels
    if isinstance(before, str) or isinstance(after, str):
        return [f"{name}: not decoded ({before if isinstance(before, str) else after})"]
    if abs(len(before) - len(after)) > 0.15 * 8000 or not len(after):
        return [f"{name}: {len(after) / 8000:.2f} s, not {len(before) / 8000:.2f} s"]
    if loose:
        return []
    lag = lag_seconds(before, after)
    at = round(lag * 8000)
    one, other = (before[: len(before) - at], after[at:]) if at >= 0 else (before[-at:], after[: len(after) + at])
    shorter = min(len(one), len(other))
    alike = float(np.corrcoef(one[:shorter], other[:shorter])[0, 1])
    faults = [] if abs(lag) <= SYNC_SECONDS else [f"{name}: {lag * 1000:.0f} ms off"]
    return faults if alike >= LIKE else [*faults, f"{name}: correlates by {alike:.2f} only"]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("encoders", nargs="*")
    parser.add_argument("--output", "-o", type=Path, default=Path("sound.json"))
    options = parser.parse_args()
    rows, tried, late = [], 0, 0
    with tempfile.TemporaryDirectory(prefix="farm-sound-") as name:
        folder = Path(name)
        segments: dict[tuple[str, int], Path] = {}
        for encoder in chosen(options.encoders):
            source, layouts = make_source(encoder, folder)
            if source is None:
                print(f"{encoder:<18} no kind of film holds it", flush=True)
                continue
            probe = probe_video(str(source), allow_truncated=True)
            for extension, codec in CODECS.items():
                key = (codec, probe.frame_count)
                if key not in segments:
                    segments[key] = folder / f"{codec}-{probe.frame_count}.mkv"
                    pictures = (np.full((48, 64, 3), at, np.uint8) for at in range(probe.frame_count))
                    whole = FrameRange(0, probe.frame_count)
                    encode_segment(pictures, probe, whole, segments[key], EncodeSettings(codec=codec))
                row = check(source, folder, extension, segments[key], loose=encoder in SPEECH)
                row |= {"codec": encoder, "source": source.suffix, "film": extension, "layouts": layouts}
                rows.append(row)
                tried += len(row["tracks"])
                late += any(fault.startswith("late") for fault in row["faults"])
                print(_line(row), flush=True)
            for path in folder.glob(f"*{encoder}*"):
                if path not in segments.values():
                    path.unlink(missing_ok=True)
    wrong = sum(bool(row["faults"]) for row in rows)
    print(f"{len(rows)} films, {tried} tracks: {late} late failures, {wrong} films wrong")
    options.output.write_text(json.dumps(rows, indent=1))
    return int(wrong > 0)


def _line(row: dict[str, Any]) -> str:
    done = Counter(outcome.partition(":")[0].partition(",")[0] for _, outcome in row["tracks"])
    what = ", ".join(f"{count} {outcome}" for outcome, count in done.items())
    begin = f"{row['codec']:<18} {row['source']:<5} {row['film']:<6} {len(row['layouts']):>2} layouts"
    return f"{begin}  {what:<52}  {'; '.join(row['faults']) or 'right'}"


if __name__ == "__main__":
    sys.exit(main())
