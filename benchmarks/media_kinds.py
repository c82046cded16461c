"""Odd films of every kind that ffmpeg can make, small: what a farm meets that was tried on ordinary ones only.

file, make, expected = KINDS["turned by 90"]
make(folder / file)          # REFUSED in `expected`: the farm must refuse this film
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

from farm.media.ffmpeg import ffmpeg_binary

X264 = ("-c:v", "libx264", "-preset", "veryfast", "-crf", "8", "-pix_fmt", "yuv420p")
FFV1 = ("-c:v", "ffv1")
HEVC10 = ("-c:v", "libx265", "-preset", "ultrafast", "-crf", "10", "-pix_fmt", "yuv420p10le")
QUIET = ("-x265-params", "log-level=none")
MPEG2 = ("-c:v", "mpeg2video", "-q:v", "2", "-pix_fmt", "yuv420p")
SECONDS = 1.2
"""Length of a film."""
UNEVEN = ("-vf", "settb=1/90000,setpts='3000*(N+floor(N/3))'", "-fps_mode", "passthrough", "-enc_time_base", "1:90000")


def ffmpeg(*arguments: str | Path) -> None:
    """Run the ffmpeg program. Raises CalledProcessError where it fails."""
    command = [ffmpeg_binary(), "-hide_banner", "-loglevel", "error", "-y", *map(str, arguments)]
    subprocess.run(command, check=True, capture_output=True, stdin=subprocess.DEVNULL, timeout=60)


def picture(size: str = "128x96", rate: str = "30000/1001", seconds: float = SECONDS) -> tuple[str, ...]:
    """Input arguments of a picture that moves, has every colour and has no symmetry."""
    return ("-f", "lavfi", "-i", f"testsrc2=size={size}:rate={rate}:duration={seconds}")


def noise(seed: int = 1, seconds: float = SECONDS) -> tuple[str, ...]:
    """Input arguments of noise: such a sound correlates with itself at one place only."""
    return ("-f", "lavfi", "-i", f"anoisesrc=seed={seed}:duration={seconds}:sample_rate=48000:amplitude=0.5")


def plain(*options: str | Path, size: str = "128x96", rate: str = "30000/1001") -> Callable[[Path], None]:
    """Makes a film with sound, encoded with these options, X264 unless others are given."""
    return lambda path: ffmpeg(*picture(size, rate), *noise(), *(options or X264), "-c:a", "aac", path)


def silent(*options: str, size: str = "128x96") -> Callable[[Path], None]:
    """Makes a film without sound, encoded with these options."""
    return lambda path: ffmpeg(*picture(size), *options, path)


def turned(*options: str) -> Callable[[Path], None]:
    """Makes a film whose container asks to show it turned or mirrored, as these options of ffmpeg say."""

    def make(path: Path) -> None:
        upright = path.with_name(f"upright-{path.name}")
        plain()(upright)
        ffmpeg(*options, "-i", upright, "-c", "copy", path)
        upright.unlink()

    return make


def _edit_list(path: Path) -> None:
    """Cuts between key frames without encoding: MP4 hides the frames before the cut by an edit list."""
    whole = path.with_name(f"whole-{path.name}")
    plain(*X264, "-g", "30", "-bf", "2")(whole)
    ffmpeg("-ss", "0.5", "-i", whole, "-c", "copy", path)
    whole.unlink()


def _late_picture(path: Path) -> None:
    ffmpeg("-itsoffset", "0.4", *picture(), *noise(seconds=SECONDS + 0.4), *X264, "-c:a", "aac", path)


def _late_sound(path: Path) -> None:
    ffmpeg(*picture(), "-itsoffset", "0.4", *noise(seconds=SECONDS - 0.4), *X264, "-c:a", "aac", path)


def _no_duration(path: Path) -> None:
    """Written to a pipe, so that the muxer cannot go back and fill in the header."""
    command = [ffmpeg_binary(), "-v", "error", *picture(), *noise(), *X264, "-c:a", "aac"]
    done = subprocess.run([*command, "-f", "matroska", "pipe:1"], check=True, capture_output=True)
    path.write_bytes(done.stdout)


def _chapters(path: Path) -> None:
    marks = path.with_suffix(".marks")
    marks.write_text(
        ";FFMETADATA1\ntitle=odd\n[CHAPTER]\nTIMEBASE=1/1000\nSTART=0\nEND=500\ntitle=one\n"
        "[CHAPTER]\nTIMEBASE=1/1000\nSTART=500\nEND=1200\ntitle=two\n"
    )
    words = path.with_suffix(".srt")
    words.write_text("1\n00:00:00,200 --> 00:00:00,900\nhello\n")
    inputs: tuple[str | Path, ...] = (*picture(), *noise(), "-i", marks, "-i", words)
    maps = ("-map", "0:v", "-map", "1:a", "-map", "3", "-map_metadata", "2", "-map_chapters", "2")
    ffmpeg(*inputs, *maps, *X264, "-c:a", "aac", "-c:s", "mov_text", path)
    marks.unlink()
    words.unlink()


def _tracks(path: Path) -> None:
    large, small = picture("128x96"), picture("64x48")
    maps = ("-map", "0:v", "-map", "1:v", "-map", "2:a", "-map", "3:a", "-disposition:v:1", "default")
    ffmpeg(*small, *large, *noise(1), *noise(2), *maps, *X264, "-c:a:0", "aac", "-c:a:1", "libmp3lame", path)


def _size_changes(path: Path) -> None:
    parts = []
    for size in ("128x96", "96x64"):
        part = path.with_name(f"{size}-{path.name}")
        silent(*MPEG2, size=size)(part)
        parts.append(part.read_bytes())
        part.unlink()
    path.write_bytes(b"".join(parts))


def _only_sound(path: Path) -> None:
    ffmpeg(*noise(), "-c:a", "aac", path)


def _cut_short(path: Path) -> None:
    plain(*X264, "-movflags", "+faststart")(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) * 2 // 3])


def _playlist(path: Path) -> None:
    path.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n/etc/hostname\n#EXT-X-ENDLIST\n")


def _words(path: Path) -> None:
    path.write_text("1\n00:00:00,000 --> 00:00:05,000\nnot a picture\n" * 20)


def _hdr(transfer: str) -> tuple[str, ...]:
    tags = f"setparams=colorspace=bt2020nc:color_primaries=bt2020:color_trc={transfer}"
    return (*HEVC10, *QUIET, "-vf", f"scale=out_color_matrix=bt2020:out_range=tv,format=yuv420p10le,{tags}")


REFUSED = "refused"
"""What is expected of films that the farm must refuse."""
KINDS: dict[str, tuple[str, Callable[[Path], None], str]] = {
    "ordinary": ("ordinary.mp4", plain(), ""),
    "variable frame rate": ("vfr.mp4", plain(*X264, *UNEVEN, "-video_track_timescale", "90000"), ""),
    "turned by 90": ("turned90.mp4", turned("-display_rotation:v", "90"), ""),
    "turned by 180": ("turned180.mp4", turned("-display_rotation:v", "180"), ""),
    "turned by 270": ("turned270.mp4", turned("-display_rotation:v", "270"), ""),
    "mirrored": ("mirrored.mp4", turned("-display_hflip:v"), ""),
    "odd size": ("odd.mkv", plain(*FFV1, "-pix_fmt", "yuv420p", "-vf", "crop=95:63:0:0:exact=1"), ""),
    "one frame": ("one.mp4", silent(*X264, "-frames:v", "1"), ""),
    "three frames": ("three.mp4", silent(*X264, "-frames:v", "3", "-bf", "2"), ""),
    "10 bit": ("ten.mkv", plain(*FFV1, "-pix_fmt", "yuv420p10le"), ""),
    "4:2:2": ("422.mkv", plain(*FFV1, "-pix_fmt", "yuv422p"), ""),
    "4:4:4": ("444.mkv", plain(*FFV1, "-pix_fmt", "yuv444p"), ""),
    "full range": ("full.mp4", plain(*X264, "-vf", "scale=out_range=pc", "-color_range", "pc"), ""),
    "BT.709 tags": ("bt709.mp4", plain(*X264, "-vf", "scale=out_color_matrix=bt709,setparams=colorspace=bt709"), ""),
    "RGB": ("rgb.mkv", plain(*FFV1, "-pix_fmt", "bgr0"), ""),
    "grey": ("grey.mkv", plain(*FFV1, "-pix_fmt", "gray"), ""),
    "HLG": ("hlg.mp4", silent(*_hdr("arib-std-b67")), ""),
    "PQ": ("pq.mp4", silent(*_hdr("smpte2084")), ""),
    "interlaced": ("interlaced.ts", plain(*MPEG2, "-flags", "+ildct+ilme", "-vf", "setfield=tff", rate="25"), ""),
    "alpha": ("alpha.mov", silent("-vf", "format=argb,colorchannelmixer=aa=0.5", "-c:v", "qtrle"), ""),
    "anamorphic": ("anamorphic.mp4", plain(*X264, "-vf", "setsar=16/11"), ""),
    "edit list": ("edit.mp4", _edit_list, ""),
    "late picture": ("late.mkv", _late_picture, ""),
    "late sound": ("late_sound.mp4", _late_sound, ""),
    "no duration": ("stream.mkv", _no_duration, ""),
    "no time stamps": ("no_pts.avi", silent("-c:v", "mpeg4", "-bf", "2", "-q:v", "2"), ""),
    "several tracks": ("tracks.mp4", _tracks, ""),
    "chapters, subtitles": ("chapters.mp4", _chapters, ""),
    "name with everything": ('-it\'s "naïve" 100% [x];日本.mp4', plain(), ""),
    "size changes": ("size.ts", _size_changes, REFUSED),
    "cut short": ("short.mp4", _cut_short, REFUSED),
    "only sound": ("sound.mp4", _only_sound, REFUSED),
    "playlist": ("list.mp4", _playlist, REFUSED),
    "subtitles as film": ("words.mp4", _words, REFUSED),
}
"""By name: the file's name, what makes it, and what is expected (REFUSED, or empty)."""
