from __future__ import annotations

from pathlib import Path

import pytest

from tests.media.clips import HEIGHT, WIDTH, numbered, run_ffmpeg, tone, write_clip, write_numbered

X264 = ("-c:v", "libx264", "-preset", "veryfast", "-crf", "12", "-pix_fmt", "yuv420p")


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Every kind of film that the tests read, by name. 48 numbered frames each unless told."""
    folder = tmp_path_factory.mktemp("clips")

    def make(name: str, *options: str, frames: int = 48, **more: object) -> None:
        made[name.partition(".")[0]] = write_numbered(folder / name, frames, *options, **more)

    made: dict[str, Path] = {}
    make("long_gop.mp4", *X264, "-bf", "3", "-g", "250")
    make("open_gop.mkv", *X264, "-x264-params", "open-gop=1:keyint=12:min-keyint=12:bframes=3:b-adapt=0:scenecut=0")
    make("open_gop_hevc.mp4", "-c:v", "libx265", "-preset", "ultrafast", "-x265-params", HEVC_OPEN_GOP)
    make("open_gop_mpeg2.ts", "-c:v", "mpeg2video", "-bf", "2", "-g", "12", "-q:v", "2")
    make("no_pts.avi", "-c:v", "mpeg4", "-bf", "2", "-g", "12", "-q:v", "2")
    make("vp9.webm", "-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-b:v", "1M", rate="24")
    make("vfr.mp4", *X264, "-bf", "2", *VARIABLE_RATE)
    make("odd.mkv", "-c:v", "ffv1", "-pix_fmt", "yuv444p", "-vf", "crop=95:63:0:0", frames=8)
    make("ten_bit.mkv", "-c:v", "ffv1", "-pix_fmt", "yuv420p10le", frames=8)
    make("one_frame.mp4", *X264, frames=1)
    make("anamorphic.mp4", *X264, "-vf", "setsar=16/15", frames=8, rate="25")
    make("alpha.mov", "-c:v", "qtrle", "-pix_fmt", "argb", "-vf", HALF_TRANSPARENT, frames=4)
    make("interlaced.ts", "-c:v", "mpeg2video", "-flags", "+ildct+ilme", "-vf", "setfield=tff", "-q:v", "2", rate="25")
    make("two_sounds.mp4", *X264, "-bf", "2", *TWO_SOUNDS, inputs=(*tone(440, 1.7), *tone(880, 1.7)))
    make("faststart.mp4", *X264, "-bf", "0", "-g", "12", "-movflags", "+faststart")

    made["rotated"] = folder / "rotated.mp4"
    run_ffmpeg("-display_rotation:v", "-90", "-i", made["long_gop"], "-c", "copy", made["rotated"])
    made["mirrored"] = folder / "mirrored.mp4"
    run_ffmpeg("-display_rotation:v", "90", "-display_hflip:v", "-i", made["long_gop"], "-c", "copy", made["mirrored"])

    made["sound_only"] = folder / "sound_only.mp4"
    run_ffmpeg(*tone(440, 0.5), made["sound_only"])
    whole = made["faststart"].read_bytes()
    made["truncated"] = folder / "truncated.mp4"
    made["truncated"].write_bytes(whole[: len(whole) * 2 // 3])
    made["no_moov"] = folder / "no_moov.mp4"
    made["no_moov"].write_bytes(made["long_gop"].read_bytes()[:2000])
    made["text"] = folder / "text.mp4"
    made["text"].write_text("these are words, not pictures\n" * 50)
    made["empty"] = folder / "empty.mp4"
    made["empty"].touch()
    made["directory"] = folder

    big = write_clip(folder / "big.ts", [numbered(i, 128, 64) for i in range(12)], "-c:v", "mpeg2video", rate="25")
    small = write_clip(folder / "small.ts", [numbered(i) for i in range(12)], "-c:v", "mpeg2video", rate="25")
    made["size_changes"] = folder / "size_changes.ts"
    made["size_changes"].write_bytes(small.read_bytes() + big.read_bytes())

    made["subtitled"] = folder / "subtitled.mkv"
    words = folder / "words.srt"
    words.write_text("1\n00:00:00,200 --> 00:00:01,000\nhello\n")
    run_ffmpeg(
        "-i", made["two_sounds"], "-i", words, "-map", "0", "-map", "1", "-c", "copy",
        "-metadata", "title=the film", "-metadata:s:s:0", "language=fra", "-metadata:s:v:0", "title=the picture",
        made["subtitled"],
    )  # fmt: skip
    assert (WIDTH, HEIGHT) == (96, 64)
    return made


HALF_TRANSPARENT = "format=argb,geq=r='r(X,Y)':g='g(X,Y)':b='b(X,Y)':a=128"

HEVC_OPEN_GOP = "open-gop=1:keyint=12:min-keyint=12:bframes=3:scenecut=0:log-level=none:crf=12"

# Gaps of 1, 1 and 2 ticks of 1/30 s in turn.
VARIABLE_RATE = (
    "-vf", "settb=1/90000,setpts='3000*(N+floor(N/3))'",
    "-fps_mode", "passthrough", "-enc_time_base", "1:90000", "-video_track_timescale", "90000",
)  # fmt: skip

TWO_SOUNDS = (
    "-map", "0:v", "-map", "1:a", "-map", "2:a", "-c:a:0", "aac", "-c:a:1", "libmp3lame",
    "-metadata:s:a:0", "language=eng", "-metadata:s:a:1", "language=nld",
)  # fmt: skip
