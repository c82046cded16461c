"""Does a film keep its length where the times in its file are damaged or odd? 71 films are made and rendered.

    python -m benchmarks.media_times [--seed 1] [joined0.ts ...]

Each film is rendered with the identity method. The durations of picture and sound of what came out are compared with
those that the film was made with. Beside them are those of ffmpeg's own decode, which differ where a time is far from
all others, or where ffmpeg takes sound and picture at a joint for two jumps of the clock. Prints a row for each film
and writes media_times.json. Exits with 1 if a duration is more than a frame off.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path

import av

from benchmarks.media import identity
from benchmarks.media_kinds import MPEG2, UNEVEN, X264, ffmpeg, noise, picture
from farm.errors import FarmError, first_line
from farm.media.ffmpeg import ffmpeg_binary
from farm.media.probe import probe_video
from farm.media.source import ffmpeg_url

FRAMES, RATE = 50, 25
SECONDS = FRAMES / RATE
FRAME = 1 / RATE + 0.002
"""Seconds of a frame, and Matroska's rounding to milliseconds at both ends of a film."""
VARIABLE_SECONDS = (FRAMES - 1 + (FRAMES - 1) // 3) / 30 + 1 / RATE
"""Length of the picture of films that are made with UNEVEN times."""
LAST = FRAMES // 2
"""Frames after this one keep their times, so that the length of a film stays what it was."""

Make = Callable[[Path, random.Random], float]
"""Makes a film, and returns the seconds of its picture. Its sound lasts as long, but for pauses of the picture."""
Stamp = Callable[[int, int], int | None]
"""New time of a packet from its number and its time, in ticks; None takes it away."""
Change = Callable[[random.Random, list[int]], list[int | None]]
"""New times of all frames from the old ones."""


@dataclass
class Row:
    """One film: durations in seconds, of the picture and of the sound."""

    film: str
    made: tuple[float, float]
    by_ffmpeg: tuple[float, float]
    result: tuple[float, float] = (0.0, 0.0)
    verdict: str = "right"


# Times are changed in the bytes of a film, because no muxer writes such times.


def restamp_ts(data: bytes, stamp: Stamp) -> bytes:
    """MPEG-TS with other presentation times of its picture, ticks of 1/90000 s."""
    changed, number = bytearray(data), 0
    for at in range(0, len(data) - 187, 188):
        pid, starts = ((data[at + 1] & 0x1F) << 8) | data[at + 2], data[at + 1] & 0x40
        if pid != 0x100 or not starts:
            continue
        pes = at + 4 + (1 + data[at + 4] if data[at + 3] & 0x20 else 0)
        flags = data[pes + 7] >> 6
        moved = stamp(number, _read_pts(data, pes + 9))
        number += 1
        if moved is None:
            changed[pes + 7] &= 0x3F
            changed[pes + 9 : pes + 9 + (10 if flags == 3 else 5)] = b"\xff" * (10 if flags == 3 else 5)
        else:
            changed[pes + 9 : pes + 14] = _write_pts(moved, flags)
    return bytes(changed)


def _read_pts(data: bytes, at: int) -> int:
    high, middle, low = data[at] >> 1 & 7, int.from_bytes(data[at + 1 : at + 3], "big") >> 1, data[at + 3 : at + 5]
    return high << 30 | middle << 15 | int.from_bytes(low, "big") >> 1


def _write_pts(pts: int, prefix: int) -> bytes:
    pts %= 1 << 33
    high = prefix << 4 | (pts >> 30) << 1 | 1
    return (
        bytes([high])
        + ((pts >> 15 & 0x7FFF) << 1 | 1).to_bytes(2, "big")
        + ((pts & 0x7FFF) << 1 | 1).to_bytes(2, "big")
    )


def restamp_flv(data: bytes, stamp: Stamp) -> bytes:
    """FLV with other times of its picture, ticks of 1/1000 s."""
    changed, number, at = bytearray(data), 0, 13
    while at + 11 < len(data):
        size = int.from_bytes(data[at + 1 : at + 4], "big")
        if data[at] == 9 and data[at + 12] == 1:  # a coded picture, and not a header
            time = stamp(number, data[at + 7] << 24 | int.from_bytes(data[at + 4 : at + 7], "big"))
            changed[at + 4 : at + 8] = ((time or 0) & 0xFFFFFF).to_bytes(3, "big") + bytes([(time or 0) >> 24 & 0xFF])
            number += 1
        at += 15 + size
    return bytes(changed)


def restamp_mkv(data: bytes, stamp: Stamp) -> bytes:
    """Matroska with other times of the picture, track 1, ticks of 1/1000 s; within 32 s of their cluster's time."""
    changed, number, cluster = bytearray(data), 0, 0
    for identity_, begin, end in ebml(data, 0, len(data)):
        if identity_ == 0xE7:
            cluster = int.from_bytes(data[begin:end], "big")
        if identity_ in (0xA3, 0xA1) and data[begin] == 0x81:
            time = int.from_bytes(data[begin + 1 : begin + 3], "big", signed=True)
            moved = stamp(number, cluster + time)
            changed[begin + 1 : begin + 3] = ((moved or 0) - cluster).to_bytes(2, "big", signed=True)
            number += 1
    return bytes(changed)


_EBML_FOLDERS = (0x18538067, 0x1F43B675, 0xA0)


def ebml(data: bytes, at: int, end: int) -> Iterator[tuple[int, int, int]]:
    """(identity, begin, end) of elements of Matroska, those of the segment, clusters and block groups one by one."""
    while at < end:
        length = 9 - data[at].bit_length()
        identity_ = int.from_bytes(data[at : at + length], "big")
        at += length
        length = 9 - data[at].bit_length()
        size = int.from_bytes(data[at : at + length], "big") & ~(1 << 7 * length)
        at += length
        if size == (1 << 7 * length) - 1:
            size = end - at
        if identity_ in _EBML_FOLDERS:
            yield from ebml(data, at, min(at + size, end))
        else:
            yield identity_, at, at + size
        at += size


RESTAMP = {".ts": restamp_ts, ".flv": restamp_flv, ".mkv": restamp_mkv}
TICKS = {".ts": 90000, ".flv": 1000, ".mkv": 1000}
"""Ticks a second of these formats."""


def plain(path: Path, *options: str, offset: float = 0.0, seconds: float = SECONDS, mpeg2: bool = False) -> bytes:
    """A film of 25 frames a second with sound of the same length, without B-frames."""
    video = MPEG2 if mpeg2 else (*X264, "-bf", "0", "-g", "10")
    sound = ("-c:a", "mp2" if path.suffix in (".ts", ".mpg") else "aac")
    late = ("-output_ts_offset", str(offset)) if offset else ()
    ffmpeg(*picture("64x48", str(RATE), seconds), *noise(seconds=seconds), *(options or video), *sound, *late, path)
    return path.read_bytes()


def damaged(change: Change, suffix: str, *, variable: bool = False) -> Make:
    """Makes a film in which `change` gives the times of its pictures. `variable` is its rate before."""

    def make(path: Path, chance: random.Random) -> float:
        data = plain(path, *((*X264, "-bf", "0", *UNEVEN) if variable else ()))
        times: list[int] = []

        def note(_: int, time: int) -> int:
            times.append(time)
            return time

        RESTAMP[suffix](data, note)
        changed = change(chance, times)
        path.write_bytes(RESTAMP[suffix](data, lambda number, _: changed[number]))
        return VARIABLE_SECONDS if variable else SECONDS

    return make


def repeated(chance: random.Random, times: list[int]) -> list[int | None]:
    at = chance.randrange(2, LAST)
    return [*times[:at], times[at - 1], *times[at + 1 :]]


def backward(chance: random.Random, times: list[int]) -> list[int | None]:
    at = chance.randrange(2, LAST)
    return [*times[:at], (times[at - 2] + times[at - 1]) // 2, *times[at + 1 :]]


def stray_ahead(chance: random.Random, times: list[int]) -> list[int | None]:
    at = chance.randrange(2, LAST)
    return [*times[:at], times[at] + chance.randrange(4, 15) * (times[-1] - times[0]), *times[at + 1 :]]


def stray_behind(chance: random.Random, times: list[int]) -> list[int | None]:
    at = chance.randrange(LAST // 2, LAST)
    return [*times[:at], times[chance.randrange(at - 8)], *times[at + 1 :]]


def several_repeated(chance: random.Random, times: list[int]) -> list[int | None]:
    at = chance.randrange(2, LAST - 5)
    return [*times[:at], *([times[at - 1]] * 4), *times[at + 4 :]]


def jittering(chance: random.Random, times: list[int]) -> list[int | None]:
    frame = times[1] - times[0]
    return [times[0], *(time + chance.randrange(-frame // 2, frame // 2) for time in times[1:-1]), times[-1]]


def swapped(chance: random.Random, times: list[int]) -> list[int | None]:
    at = chance.randrange(2, LAST)
    return [*times[:at], times[at + 1], times[at], *times[at + 2 :]]


def some_missing(chance: random.Random, times: list[int]) -> list[int | None]:
    missing = chance.sample(range(1, LAST), 6)
    return [None if number in missing else time for number, time in enumerate(times)]


def joined(*begins: float, mpeg2: bool = False) -> Make:
    """Makes recordings put together byte by byte, whose clocks begin at these seconds."""

    def make(path: Path, chance: random.Random) -> float:
        lengths = [chance.choice((1, 2)) for _ in begins]
        parts = [plain(path, offset=a, mpeg2=mpeg2, seconds=b) for a, b in zip(begins, lengths, strict=True)]
        path.write_bytes(b"".join(parts))
        return float(sum(lengths))

    return make


def written(*options: str, lasts: float) -> Make:
    """Makes a film that ffmpeg itself writes with odd times."""

    def make(path: Path, chance: random.Random) -> float:
        plain(path, *options)
        return lasts

    return make


def before_zero(path: Path, chance: random.Random) -> float:
    """Makes a film that begins before zero, where Matroska's demuxer gives no times."""
    whole = path.with_name(f"whole-{path.name}")
    plain(whole)
    early = f"{-chance.uniform(0.3, 1.6):.3f}"
    ffmpeg("-itsoffset", early, "-i", whole, "-c", "copy", "-copyts", "-avoid_negative_ts", "disabled", path)
    return SECONDS


PAUSE = ("-vf", f"setpts='PTS+gte(N,{LAST})*{{}}/TB'", "-fps_mode", "passthrough", "-enc_time_base", "1:90000", *X264)


def pause(seconds: float) -> tuple[str, ...]:
    """Options of a film whose picture stands still for so long."""
    return tuple(option.format(seconds) for option in PAUSE)


NEAR_WRAP = ((95441.6,), (95441.6, 900), (1, 95441.6), (900, 95441.6), (95400, 95441.6), (95441.6, 95440.1),
             (95441.6, 95441.6), (95441.6, 50000), (50000, 95441.6), (95441.6, 95300), (95300, 95441.6))  # fmt: skip
"""Seconds at which recordings begin, some of which pass 95443.7 s, where 33 bits are full. ffmpeg adds 1.4 s.

None begins within ten seconds after the end of the one before, which would be a pause, for ffmpeg as well.
"""
CHANGES = (repeated, backward, stray_ahead, stray_behind, several_repeated, jittering, swapped)


def films() -> Iterator[tuple[str, Make]]:
    """(file name, what makes it) of all films."""
    for suffix in RESTAMP:
        for change in CHANGES:
            yield f"{change.__name__}{suffix}", damaged(change, suffix)
            yield f"{change.__name__}_variable{suffix}", damaged(change, suffix, variable=True)
    yield "some_missing.ts", damaged(some_missing, ".ts")
    for number, begins in enumerate(((3, 1), (1, 900), (1, 95000), (95000, 1), (1, 1.2), (1, 500, 3))):
        yield f"joined{number}.ts", joined(*begins)
    for number, begins in enumerate(NEAR_WRAP):
        yield f"joined_wrap{number}.ts", joined(*begins)
    yield "joined.mpg", joined(0, 0, mpeg2=True)
    yield "joined_mpeg2.ts", joined(5, 1, mpeg2=True)
    for number in range(3):
        yield f"before_zero{number}.mkv", before_zero
    yield "variable.mp4", written(*X264, *UNEVEN, lasts=VARIABLE_SECONDS)
    yield "pause.mkv", written(*pause(20), lasts=SECONDS + 20)
    yield "pause.mp4", written(*pause(3), lasts=SECONDS + 3)
    yield "pause.ts", written(*pause(4), lasts=SECONDS + 4)
    yield "late.ts", joined(90000)
    yield "wraps.ts", joined(95442.7)


def own_durations(path: str) -> tuple[float, float]:
    """Seconds of picture and sound in ffmpeg's own decode."""
    command = [ffmpeg_binary(), "-v", "quiet", "-nostdin", "-i", ffmpeg_url(path), "-map", "0:v:0", "-map", "0:a:0?",
               "-fps_mode", "passthrough", "-f", "framecrc", "-"]  # fmt: skip
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    tick = {line[4]: Fraction(line.split()[-1]) for line in lines if line.startswith("#tb")}
    rows = [line.split(",") for line in lines if not line.startswith("#")]
    spans = []
    for stream in "01":
        times = [(int(row[2]), int(row[2]) + int(row[3])) for row in rows if row[0].strip() == stream]
        length = max(end for _, end in times) - min(begin for begin, _ in times) if times else 0
        spans.append(float(length * tick.get(stream, 0)))
    return spans[0], spans[1]


def durations_of(film: Path) -> tuple[float, float]:
    """Seconds of picture and sound of a film that the farm has written."""
    probe = probe_video(str(film))
    with av.open(str(film)) as container:
        packets = [p for p in container.demux(audio=0) if p.pts is not None and p.size] if probe.audio else []
        begins = [p.pts * p.time_base for p in packets]
        ends = [(p.pts + (p.duration or 0)) * p.time_base for p in packets]
    return float(probe.duration), float(max(ends, default=0) - min(begins, default=0))


def check(path: Path, folder: Path, lasts: float) -> Row:
    """Render the film and compare the durations with `lasts`, the seconds of its picture."""
    made = (lasts, SECONDS if path.name.startswith("pause") or "variable" in path.name else lasts)
    row = Row(path.name, made, own_durations(str(path)))
    folder.mkdir()
    output = folder / "film.mkv"
    try:
        identity(path, output)
    except Exception as error:  # a traceback of the farm is a wrong film like any other
        row.verdict = f"{'refused' if isinstance(error, FarmError) else type(error).__name__}: {first_line(error)}"
        return row
    row.result = durations_of(output)
    off = [abs(a - b) for a, b in zip(row.result, made, strict=True)]
    if max(off) > FRAME:
        row.verdict = f"{'picture' if off[0] > FRAME else 'sound'} wrong by {max(off):.3f} s"
    return row


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("films", nargs="*", help="Names of some of the films. All without any.")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--output", "-o", type=Path, default=Path("media_times.json"))
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory(prefix="farm-times-") as name:
        print(f"{'seconds of picture and sound':<24} {'made with':>16}  {'by ffmpeg':>18}  {'by the farm':>18}")
        chosen = [film for film in films() if not options.films or film[0] in options.films]
        for number, (file, make) in enumerate(chosen):
            path = Path(name) / file
            row = check(path, Path(name) / str(number), make(path, random.Random(f"{options.seed} {file}")))
            rows.append(row)
            lengths = "  ".join(f"{value:8.3f}" for value in (*row.made, *row.by_ffmpeg, *row.result))
            print(f"{row.film:<24} {lengths}  {row.verdict}", flush=True)
    wrong = sum(row.verdict != "right" for row in rows)
    agrees = sum(max(abs(a - b) for a, b in zip(r.by_ffmpeg, r.result, strict=True)) < FRAME for r in rows)
    print(f"{len(rows)} films, {wrong} wrong, {agrees} within a frame of ffmpeg's own decode")
    options.output.write_text(json.dumps([asdict(row) for row in rows], indent=1))
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
