"""Odd films of every kind that ffmpeg can make, small: what a farm meets that was tried on ordinary ones only.

file, make, expected = KINDS["turned by 90"]
make(folder / file)          # REFUSED in `expected`: the farm must refuse this film
"""

from __future__ import annotations

import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

from farm.media.ffmpeg import ffmpeg_binary

X264 = ("-c:v", "libx264", "-preset", "veryfast", "-crf", "8", "-pix_fmt", "yuv420p")
FFV1 = ("-c:v", "ffv1")
HEVC10 = ("-c:v", "libx265", "-preset", "ultrafast", "-crf", "10", "-pix_fmt", "yuv420p10le")
QUIET = ("-x265-params", "log-level=none")
MPEG2 = ("-c:v", "mpeg2video", "-q:v", "2", "-pix_fmt", "yuv420p")
DV = ("-c:v", "dvvideo", "-pix_fmt", "yuv420p", "-r", "25", "-frames:v", "6")
MPEG4 = ("-c:v", "mpeg4", "-q:v", "2", "-bf", "0")
HOLE = "geq=r='r(X,Y)':g='g(X,Y)':b='b(X,Y)':a='255*gt(X,40)'"
"""Makes the left of a picture transparent."""
PALETTE = "split[a][b];[a]palettegen=reserve_transparent=1[p];[b][p]paletteuse"
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


def _patched(make: Callable[[Path], None], change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    """Makes a film, and changes its bytes to what no muxer here writes."""

    def patched(path: Path) -> None:
        make(path)
        path.write_bytes(change(path.read_bytes()))

    return patched


def _boxed(kind: bytes, content: bytes) -> Callable[[bytes], bytes]:
    """Puts a box into a picture's sample entry in MP4, in the place of those for colour, pixel aspect and bit rate."""

    def change(film: bytes) -> bytes:
        begin = film.index(b"colr") - 4
        end = film.index(b"btrt") - 4 + 20
        box = (8 + len(content)).to_bytes(4, "big") + kind + content
        left = end - begin - len(box)
        return film[:begin] + box + left.to_bytes(4, "big") + b"free" + bytes(left - 8) + film[end:]

    return change


APERTURE = struct.pack(">8i", 112, 1, 64, 1, 4, 1, -8, 1)
"""112x64 of 128x96 pixels, 12 from the left and 8 from the top."""
BOXES = (*X264, "-vf", "setsar=1,setparams=colorspace=bt709:color_primaries=bt709:color_trc=bt709")
DOLBY_5 = bytes([1, 0, 5 << 1, 1 << 3 | 5]) + bytes(20)


def _as_matroska(make: Callable[[Path], None]) -> Callable[[Path], None]:
    """Makes a film in MP4, and copies its streams and what goes with them to Matroska."""

    def copied(path: Path) -> None:
        film = path.with_suffix(".mp4")
        make(film)
        ffmpeg("-i", film, "-c", "copy", path)
        film.unlink()

    return copied


def _scrambled(film: bytes) -> bytes:
    """A transport stream whose packets of the picture are scrambled."""
    changed = bytearray(film)
    for at in range(0, len(film), 188):
        if (film[at + 1] & 0x1F) << 8 | film[at + 2] == 0x100:
            changed[at + 3] |= 0xC0
            changed[at + 12 : at + 188] = bytes(byte ^ 0x5A for byte in film[at + 12 : at + 188])
    return bytes(changed)


_TWO_SOUNDS = ("-map", "0", "-map", "1", "-map", "1")


def _unheard(film: bytes) -> bytes:
    """A transport stream whose second sound, PID 0x102, is announced only: its packets are those that fill time."""
    changed = bytearray(film)
    for at in range(0, len(film), 188):
        if (film[at + 1] & 0x1F) << 8 | film[at + 2] == 0x102:
            changed[at + 1 : at + 3] = b"\x1f\xff"
    return bytes(changed)


def _unknown_sound(film: bytes) -> bytes:
    """A film whose second sound names a codec that nothing decodes, as phones write beside the ordinary one."""
    entry = film.rindex(b"stsd")
    return film[:entry] + film[entry:].replace(b"mp4a", b"apac").replace(b"esds", b"free")


def _joined(path: Path) -> None:
    plain(*X264, "-output_ts_offset", "40")(path)
    first = path.read_bytes()
    plain()(path)
    path.write_bytes(first + path.read_bytes())


def _attachments(path: Path) -> None:
    """ASS subtitles with the font that they are shown in."""
    words, font = path.with_suffix(".ass"), path.with_suffix(".ttf")
    style = "Style: Default,Odd,20,&H00FFFFFF,&H0,&H0,&H0,0,0,0,0,100,100,0,0,1,1,0,2,9,9,9,1"
    fields = (
        "Format: Name, Fontname, Fontsize, PrimaryColour, SecondaryColour, OutlineColour, BackColour, Bold, Italic, "
    )
    fields += "Underline, StrikeOut, ScaleX, ScaleY, Spacing, Angle, BorderStyle, Outline, Shadow, Alignment, "
    fields += "MarginL, MarginR, MarginV, Encoding"
    events = "Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text\n"
    events += "Dialogue: 0,0:00:00.20,0:00:00.90,Default,,0,0,0,,hello"
    words.write_text(f"[Script Info]\n[V4+ Styles]\n{fields}\n{style}\n[Events]\n{events}\n")
    font.write_bytes(b"\0\1\0\0" + bytes(200))
    attached = ("-attach", font, "-metadata:s:t", "mimetype=application/x-truetype-font")
    ffmpeg(*picture(), *noise(), "-i", words, "-map", "0", "-map", "1", "-map", "2", *X264, *attached, path)
    words.unlink()
    font.unlink()


GAPS = ("-vf", "select='not(between(n,3,6)+eq(n,20))'", "-fps_mode", "passthrough")
"""Leaves frames out, for which containers without times of their own write empty packets."""
MEANINGLESS = "colour_primaries=0:transfer_characteristics=3:matrix_coefficients=0"
"""Reserved code points, and the tag of RGB, on a picture of luma and chroma."""
ENCRYPTED = ("-encryption_scheme", "cenc-aes-ctr", "-encryption_key", "0" * 31 + "1", "-encryption_kid", "0" * 31 + "2")
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
    "empty chunks": ("gaps.avi", plain("-c:v", "mjpeg", "-q:v", "2", *GAPS), ""),
    "empty chunks, B-frames": ("xvid.avi", plain("-c:v", "mpeg4", "-vtag", "XVID", "-bf", "2", "-q:v", "2", *GAPS), ""),
    "DV in AVI": (
        "dv.avi",
        silent("-c:v", "dvvideo", "-pix_fmt", "yuv420p", "-r", "25", "-frames:v", "6", size="720x576"),
        "",
    ),
    "MP3 in AVI": ("mp3.avi", lambda path: ffmpeg(*picture(), *noise(), *MPEG4, "-c:a", "libmp3lame", path), ""),
    "repeats in Theora": ("gaps.ogv", silent("-c:v", "libtheora", "-q:v", "9", *GAPS), ""),
    "colour tags without a meaning": ("tags.mp4", plain(*X264, "-bsf:v", f"h264_metadata={MEANINGLESS}"), ""),
    "joined recordings": ("joined.ts", _joined, ""),
    "animated AVIF": ("animated.avif", silent("-c:v", "libaom-av1", "-cpu-used", "8", "-crf", "10"), ""),
    "animated WebP": ("animated.webp", silent("-c:v", "libwebp_anim", "-lossless", "1", "-r", "25", size="64x48"), ""),
    "animated PNG": ("animated.apng", silent("-c:v", "apng", "-r", "25"), ""),
    "GIF": ("animated.gif", silent("-r", "25"), ""),
    "transparent GIF": ("clear.gif", silent("-r", "25", "-vf", f"format=rgba,{HOLE},{PALETTE}"), ""),
    "raw Motion JPEG": ("raw.mjpeg", silent("-c:v", "mjpeg", "-q:v", "2", "-r", "25", "-pix_fmt", "yuvj420p"), ""),
    "raw Motion JPEG by another name": ("raw.bin", silent("-c:v", "mjpeg", "-q:v", "2", "-r", "25", "-f", "mjpeg"), ""),
    "cropped by MP4": ("crop.mp4", _patched(plain(*BOXES), _boxed(b"clap", APERTURE)), ""),
    "cropped by Matroska": ("crop.mkv", _as_matroska(_patched(plain(*BOXES), _boxed(b"clap", APERTURE))), ""),
    "ASS with a font": ("font.mkv", _attachments, ""),
    "timecode": ("timecode.mov", plain(*X264, "-timecode", "01:02:03:04"), ""),
    "several tracks": ("tracks.mp4", _tracks, ""),
    "sound of an unknown codec": ("apac.mov", _patched(plain(*_TWO_SOUNDS, *X264), _unknown_sound), ""),
    "sound without packets": ("unheard.ts", _patched(plain(*_TWO_SOUNDS, *X264), _unheard), ""),
    "chapters, subtitles": ("chapters.mp4", _chapters, ""),
    "name with everything": ('-it\'s "naïve" 100% [x];日本.mp4', plain(), ""),
    "Dolby Vision 5": ("dv5.mp4", _patched(plain(*BOXES), _boxed(b"dvcC", DOLBY_5)), REFUSED),
    "encrypted": ("encrypted.mp4", silent(*X264, *ENCRYPTED), REFUSED),
    "scrambled": ("scrambled.ts", _patched(silent(*X264), _scrambled), REFUSED),
    "unknown codec": (
        "unknown.mkv",
        _patched(plain(), lambda film: film.replace(b"V_MPEG4/ISO/AVC", b"V_ZZZZZ/ISO/ZZZ")),
        REFUSED,
    ),
    "still as film": ("still.jpg", silent("-frames:v", "1", "-update", "1"), REFUSED),
    "size changes": ("size.ts", _size_changes, REFUSED),
    "cut short": ("short.mp4", _cut_short, REFUSED),
    "only sound": ("sound.mp4", _only_sound, REFUSED),
    "playlist": ("list.mp4", _playlist, REFUSED),
    "subtitles as film": ("words.mp4", _words, REFUSED),
}
"""By name: the file's name, what makes it, and what is expected (REFUSED, or empty)."""
