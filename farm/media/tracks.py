"""Which sound, subtitles and video codecs go into which container. Pure tables and choices.

A track is copied wherever the output container can carry it as players expect, re-encoded where it cannot.
"""

from __future__ import annotations

from pathlib import PurePath
from typing import NamedTuple

from farm.errors import OutputError, UsageError
from farm.plan.video import StreamInfo

EXTENSIONS = (".mp4", ".mov", ".mkv", ".webm")
"""Endings of the films that the farm writes."""

VIDEO_ENCODERS: dict[str, tuple[str, ...]] = {
    ".mp4": (
        "libx264", "libx265", "h264_nvenc", "hevc_nvenc", "av1_nvenc", "libsvtav1", "libaom-av1", "libvpx-vp9",
    ),
    ".mov": ("libx264", "libx265", "h264_nvenc", "hevc_nvenc", "prores_ks"),
    ".mkv": (
        "libx264", "libx265", "h264_nvenc", "hevc_nvenc", "av1_nvenc", "libsvtav1", "libaom-av1", "libvpx-vp9",
        "libvpx", "prores_ks", "ffv1",
    ),
    ".webm": ("libvpx-vp9", "libvpx", "libsvtav1", "libaom-av1", "av1_nvenc"),
}  # fmt: skip
"""ffmpeg's video encoders by output extension, the one to recommend first."""

_AUDIO_COPIED: dict[str, frozenset[str]] = {
    ".mp4": frozenset({"aac", "mp3", "ac3", "eac3", "alac", "opus", "flac", "dts"}),
    ".mov": frozenset(
        {"aac", "mp3", "ac3", "eac3", "alac", "pcm_s16le", "pcm_s16be", "pcm_s24le", "pcm_s24be"}
        | {"pcm_s32le", "pcm_s32be", "pcm_f32le", "pcm_f32be", "pcm_mulaw", "pcm_alaw"}
    ),
    ".webm": frozenset({"opus", "vorbis"}),
}
_NOT_IN_MATROSKA = frozenset({"aac_latm", "pcm_dvd", "pcm_bluray", "pcm_s16be_planar", "unknown"})
_AUDIO_ENCODED = {".mp4": "aac", ".mov": "aac", ".mkv": "flac", ".webm": "libopus"}

_SUBTITLES_COPIED: dict[str, frozenset[str]] = {
    ".mp4": frozenset({"mov_text"}),
    ".mov": frozenset({"mov_text"}),
    ".mkv": frozenset({"subrip", "ass", "webvtt", "hdmv_pgs_subtitle", "dvd_subtitle", "dvb_subtitle"}),
    ".webm": frozenset({"webvtt"}),
}
_SUBTITLES_ENCODED = {".mp4": "mov_text", ".mov": "mov_text", ".mkv": "subrip", ".webm": "webvtt"}
_TEXT_SUBTITLES = frozenset({"subrip", "ass", "ssa", "webvtt", "mov_text", "text", "eia_608"})


class Track(NamedTuple):
    """One stream of the source and how it goes into the output: `copy`, or the name of an encoder."""

    stream: StreamInfo
    codec: str


def container_extension(output: str) -> str:
    """`.mp4`, `.mov`, `.mkv` or `.webm`. Raises OutputError for any other ending."""
    extension = PurePath(output).suffix.lower()
    if extension not in EXTENSIONS:
        raise OutputError(
            f"{output} does not end in a kind of film the farm writes", f"end it in {', '.join(EXTENSIONS)}"
        )
    return extension


def check_video_encoder(codec: str, extension: str) -> None:
    """Check that a film with this ending can hold what the encoder makes.

    Raises UsageError where it cannot, or the farm does not know the encoder.
    """
    fitting = VIDEO_ENCODERS[extension]
    if codec not in fitting:
        raise UsageError(
            f"{codec} cannot be used for a {extension} film", f"use {fitting[0]} (or {', '.join(fitting[1:])})"
        )


def audio_tracks(streams: tuple[StreamInfo, ...], extension: str) -> list[Track]:
    """Every audio stream, copied where the container can carry it."""
    return [Track(s, "copy" if _carries(s.codec, extension) else _AUDIO_ENCODED[extension]) for s in streams]


def subtitle_tracks(streams: tuple[StreamInfo, ...], extension: str) -> tuple[list[Track], list[str]]:
    """(tracks that are kept, a note for each stream that is dropped).

    Subtitles that are pictures (PGS, DVD) cannot be turned into text, so they are dropped where they cannot be copied.
    """
    kept, notes = [], []
    for stream in streams:
        if stream.codec in _SUBTITLES_COPIED[extension]:
            kept.append(Track(stream, "copy"))
        elif stream.codec in _TEXT_SUBTITLES:
            kept.append(Track(stream, _SUBTITLES_ENCODED[extension]))
        else:
            notes.append(f"subtitle stream {stream.index} ({stream.codec}) does not fit into {extension}, dropped")
    return kept, notes


def _carries(codec: str, extension: str) -> bool:
    if extension == ".mkv":
        return codec not in _NOT_IN_MATROSKA
    return codec in _AUDIO_COPIED[extension]
