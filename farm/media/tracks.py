"""Which sound, subtitles and video codecs go into which container. Pure tables and choices.

A track is copied wherever the output container can carry it as players expect, re-encoded where it cannot. What is
chosen here are candidates, the best first; `farm.media.settle` tries them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath
from typing import Literal, NamedTuple

from farm.errors import OutputError, UsageError
from farm.media.layouts import AAC, XIPH, Mix, mix, stereo
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
_AUDIO_ENCODERS: dict[str, tuple[str, ...]] = {
    ".mp4": ("aac",),
    ".mov": ("aac", "pcm_s24le"),
    ".mkv": ("flac", "pcm_s24le", "aac"),
    ".webm": ("libopus", "libvorbis"),
}
"""ffmpeg's sound encoders by output extension, the one to take first."""
_LAYOUTS = {"aac": AAC, "libopus": XIPH, "libvorbis": XIPH, "flac": XIPH}
"""Layouts that an encoder takes; PCM takes every one."""
_KBITS_A_CHANNEL = {"aac": 96, "libopus": 64, "libvorbis": 80}
"""Kilobits a second for each channel: transparent for most sound. ffmpeg's own defaults are for two channels."""
_MOST_CHANNELS = 8
"""Channels that FLAC holds. More are kept as PCM where the container can, and mixed where not."""

_SUBTITLES_COPIED: dict[str, frozenset[str]] = {
    ".mp4": frozenset({"mov_text"}),
    ".mov": frozenset({"mov_text"}),
    ".mkv": frozenset({"subrip", "ass", "webvtt", "hdmv_pgs_subtitle", "dvd_subtitle", "dvb_subtitle"}),
    ".webm": frozenset({"webvtt"}),
}
_SUBTITLES_ENCODED = {".mp4": "mov_text", ".mov": "mov_text", ".mkv": "subrip", ".webm": "webvtt"}
_TEXT_SUBTITLES = frozenset({"subrip", "ass", "ssa", "webvtt", "mov_text", "text", "eia_608"})


Kind = Literal["sound", "subtitles", "attachment"]
"""What a track holds. Attachments are the fonts of subtitles."""
LETTERS: dict[Kind, str] = {"sound": "a", "subtitles": "s", "attachment": "t"}
"""How ffmpeg's options name these kinds of stream."""


class Track(NamedTuple):
    """One stream of the source and how it goes into the output.

    `number` counts the tracks of its kind from 1. `codec` is `copy`, the name of an encoder, or empty for a track that
    is left out, and `why` then says why. `mix` is what an encoder gets of the channels.
    """

    kind: Kind
    number: int
    stream: StreamInfo
    codec: str
    mix: Mix | None = None
    why: str = ""

    @property
    def kept(self) -> bool:
        """Whether the film has it."""
        return bool(self.codec)

    @property
    def name(self) -> str:
        """The track for people, with its codec and layout: `sound track 2 (ac3, 5.1(side))`."""
        what = ", ".join(part for part in (self.stream.codec, self.stream.layout) if part)
        return f"{self.kind} track {self.number} ({what})"

    @property
    def outcome(self) -> str:
        """What becomes of it: `carried`, `encoded as libopus, 5.1`, or `left out: ...`."""
        if not self.kept:
            return f"left out: {self.why}"
        mixed = f", {self.mix.layout}" if self.mix else ""
        return "carried" if self.codec == "copy" else f"encoded as {self.codec}{mixed}"

    def options(self, place: int) -> dict[str, str]:
        """Output options of ffmpeg for this track, which is number `place` (from 0) of its kind in the output."""
        at = f"{LETTERS[self.kind]}:{place}"
        options = {f"c:{at}": self.codec}
        if self.mix and self.mix.filter:
            options[f"filter:{at}"] = self.mix.filter
        if self.mix and self.codec in _KBITS_A_CHANNEL:
            options[f"b:{at}"] = f"{_KBITS_A_CHANNEL[self.codec] * max(self.mix.channels, 2)}k"
        return options


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


def sound_candidates(stream: StreamInfo, number: int, extension: str, *, encode: bool) -> list[Track]:
    """How a sound track may go into the container, the best first; with `encode` it is copied only at the very last."""
    copied = Track("sound", number, stream, "copy")
    why = "" if encode else f"does not fit into {extension}"
    encoded = [
        track._replace(why=why) for encoder in _AUDIO_ENCODERS[extension] for track in _encoded(stream, number, encoder)
    ]
    if not encode and _carries(stream.codec, extension):
        return [copied, *encoded]
    # What nothing decodes can still be copied into a container that has a name for it.
    return [*encoded, *([copied] if stream.codec != "unknown" else [])]


def subtitle_candidates(stream: StreamInfo, number: int, extension: str) -> list[Track]:
    """How a subtitle track may go into the container, the best first.

    Subtitles that are pictures (PGS, DVD) cannot be turned into text, so there is none where they cannot be copied.
    """
    copied = stream.codec in _SUBTITLES_COPIED[extension]
    codecs = ["copy"] if copied else []
    if stream.codec in _TEXT_SUBTITLES:
        codecs.append(_SUBTITLES_ENCODED[extension])
    return [Track("subtitles", number, stream, codec) for codec in codecs]


def wants_fonts(tracks: Sequence[Track], extension: str) -> bool:
    """Whether the film needs the files attached to the source: fonts, which ASS subtitles name."""
    return extension == ".mkv" and any(
        track.kind == "subtitles" and track.codec == "copy" and track.stream.codec in ("ass", "ssa") for track in tracks
    )


def selected(kind: Kind, streams: Sequence[StreamInfo], selection: str) -> list[int]:
    """Numbers, from 1, of the tracks that `selection` names: `copy` and `encode` are all, `none` is none.

    Raises UsageError for a number or a language that no track has.
    """
    everything = list(range(1, len(streams) + 1))
    if selection in ("copy", "encode", "none"):
        return [] if selection == "none" else everything
    wanted = []
    for word in selection.split(","):
        if word.isdigit():
            matching = [number for number in everything if number == int(word)]
        else:
            matching = [number for number in everything if streams[number - 1].language == word.lower()]
        if not matching:
            there = ", ".join(
                f"{number} ({stream.language})" if stream.language else str(number)
                for number, stream in enumerate(streams, start=1)
            )
            raise UsageError(
                f"the film has no {kind} track {word}", f"it has {there}" if there else f"it has no {kind}"
            )
        wanted += matching
    return sorted(set(wanted))


def _encoded(stream: StreamInfo, number: int, encoder: str) -> list[Track]:
    if not stream.channels:
        return [Track("sound", number, stream, encoder)]
    if encoder not in _LAYOUTS:
        return [Track("sound", number, stream, encoder)]
    if encoder == "flac" and len(stream.channels) > _MOST_CHANNELS:
        return []
    mixes = dict.fromkeys(
        [mix(stream.channels, _LAYOUTS[encoder], stream.layout), stereo(stream.channels, stream.layout)]
    )
    return [Track("sound", number, stream, encoder, one) for one in mixes]


def _carries(codec: str, extension: str) -> bool:
    if extension == ".mkv":
        return codec not in _NOT_IN_MATROSKA
    return codec in _AUDIO_COPIED[extension]
