"""What becomes of sound, subtitles and fonts, decided before anything is painted: every track is tried.

    tracks = settle_tracks(probe, frames, ".webm", settings)
    tracks[0].outcome                  # "encoded as libopus, 5.1"

A trial runs ffmpeg on the whole track as the join will, and writes to nowhere; the first packets also go into a file,
which is read back. So a codec that the container cannot hold, a layout that the encoder refuses, a track that nothing
decodes and one that breaks off in the middle are all found at the start, at the cost of reading the source once more.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import av

from farm.files.remote import local_path
from farm.media.ffmpeg import ffmpeg_binary, reason_of_failure
from farm.media.film_times import film_times, source_options
from farm.media.source import ffmpeg_url, reading_limits
from farm.media.tracks import Kind, Track, selected, sound_candidates, subtitle_candidates, wants_fonts
from farm.plan import VideoProbe
from farm.spec import FrameRange
from farm.spec.render import EncodeSettings

MUXERS = {".mp4": "mp4", ".mov": "mov", ".mkv": "matroska", ".webm": "webm"}
"""libavformat's names of the containers, by the ending of the film."""
READ_BACK_PACKETS = 50
"""Packets of each sound track that are written to a file and read back: about a second of sound."""
SILENT = "it has no sound in this part of the film"
NOT_ASKED_FOR = "not asked for"
"""Why a track is left out that `--audio` or `--subtitles` does not name."""


def settle_tracks(probe: VideoProbe, frames: FrameRange, extension: str, settings: EncodeSettings) -> tuple[Track, ...]:
    """Every track of the source, and how it goes into a film of `frames` or why it does not.

    The film ends in `extension`. Raises UsageError for a track in `settings` that the source does not have, InputError
    where a source at a URL cannot be read.
    """
    choices = _sound(probe, extension, settings.audio) + _subtitles(probe, frames, extension, settings.subtitles)
    if not any(candidates[0].kept for candidates in choices):
        return tuple(candidates[0] for candidates in choices)
    path = str(local_path(probe.path))
    entered = source_options(film_times(probe, frames))
    cut = [word for name, value in entered.items() for word in (f"-{name}", value)]
    settled = _settled(_Trial(path, cut, extension), choices)
    if wants_fonts(settled, extension):
        fonts = [[Track("attachment", n, s, "copy")] for n, s in enumerate(probe.attachments, start=1)]
        settled += _settled(_Trial(path, cut, extension), fonts)
    return tuple(settled)


def track_notes(tracks: Sequence[Track]) -> tuple[str, ...]:
    """A line for each track that the film does not have, or not as it was asked for."""
    told = [track for track in tracks if track.why and track.why != NOT_ASKED_FOR]
    return tuple(
        f"{track.name} {track.why}: {track.outcome}" if track.kept else f"{track.name} is {track.outcome}"
        for track in told
    )


def _sound(probe: VideoProbe, extension: str, selection: str) -> list[list[Track]]:
    """For each sound track how it may go into the film, the best first; a track that is left out stands alone."""
    wanted, choices = selected("sound", probe.audio, selection), []
    for number, stream in enumerate(probe.audio, start=1):
        candidates = sound_candidates(stream, number, extension, encode=selection == "encode")
        if number not in wanted:
            candidates = [_left_out(candidates[0], NOT_ASKED_FOR)]
        elif stream.packets == 0:
            candidates = [_left_out(candidates[0], "it is announced, but there is nothing in it")]
        choices.append(candidates)
    return choices


def _subtitles(probe: VideoProbe, frames: FrameRange, extension: str, selection: str) -> list[list[Track]]:
    """The same for each subtitle track."""
    wanted, choices = selected("subtitles", probe.subtitles, selection), []
    for number, stream in enumerate(probe.subtitles, start=1):
        blank = Track("subtitles", number, stream, "")
        candidates = subtitle_candidates(stream, number, extension)
        if number not in wanted:
            candidates = [_left_out(blank, NOT_ASKED_FOR)]
        elif len(frames) != probe.frame_count:
            # ffmpeg does not cut a subtitle that is being shown where the range begins, it moves the film instead.
            candidates = [_left_out(blank, "a part of a film has no subtitles")]
        choices.append(candidates or [_left_out(blank, f"{extension} has no place for it")])
    return choices


def _left_out(track: Track, why: str) -> Track:
    return track._replace(codec="", mix=None, why=why)


def _settled(trial: _Trial, choices: Sequence[Sequence[Track]]) -> list[Track]:
    """The first of each track's candidates that passes its trial. All are tried at once; only if that fails, singly."""
    first = [candidates[0] for candidates in choices]
    if not trial.fault(first):
        return first
    return [_settled_alone(trial, candidates) for candidates in choices]


def _settled_alone(trial: _Trial, candidates: Sequence[Track]) -> Track:
    faults: dict[str, str] = {}
    for track in candidates:
        fault = trial.fault([track])
        if not fault:
            copied = faults.get("copy")
            return track._replace(why=f"cannot be copied ({copied})") if copied else track
        if fault == SILENT:
            return _left_out(track, SILENT)
        faults.setdefault(track.codec, fault)
    # Why it cannot be encoded says more than why it cannot be copied.
    encoding = [fault for codec, fault in faults.items() if codec != "copy"]
    return _left_out(candidates[0], (encoding or list(faults.values()))[0])


class _Trial:
    """Tries tracks of the file at `path`, entered with the input options `cut`, in a film with this ending."""

    def __init__(self, path: str, cut: Sequence[str], extension: str) -> None:
        limits = [word for name, value in reading_limits().items() for word in (f"-{name}", value)]
        self._input = [*limits, *cut, "-i", ffmpeg_url(path)]
        self._extension = extension

    def fault(self, tracks: Sequence[Track]) -> str:
        """Why these tracks together cannot be in the film; empty where they can, or none of them is kept."""
        tracks = [track for track in tracks if track.kept]
        if not tracks:
            return ""
        with tempfile.TemporaryDirectory(prefix="farm-tracks-") as folder:
            sample = Path(folder) / f"sample{self._extension}"
            done = subprocess.run(self._command(tracks, sample), capture_output=True, check=False)
            if done.returncode:
                return reason_of_failure(done.stderr.decode("utf-8", "replace"))
            return _difference(sample, [track for track in tracks if track.kind == "sound"])

    def _command(self, tracks: Sequence[Track], sample: Path) -> list[str]:
        """The whole of the tracks to nowhere, and the first packets of the sound to `sample`."""
        sound = [track for track in tracks if track.kind == "sound"]
        command = [ffmpeg_binary(), "-hide_banner", "-loglevel", "error", "-nostdin", "-y", *self._input]
        if not {"sound", "subtitles"} & {track.kind for track in tracks}:
            # Fonts alone are no film.
            command += ["-f", "lavfi", "-i", "color=size=16x16:rate=25:duration=0.2", "-map", "1", "-c:v", "ffv1"]
        command += [*self._output(tracks), "-f", MUXERS[self._extension], os.devnull]
        if sound:
            command += [*self._output(sound), "-frames:a", str(READ_BACK_PACKETS), ffmpeg_url(str(sample))]
        return command

    def _output(self, tracks: Sequence[Track]) -> list[str]:
        places: Counter[Kind] = Counter()
        words = ["-map_chapters", "-1", "-copypriorss:a", "0"]
        for track in tracks:
            words += ["-map", f"0:{track.stream.index}"]
            for name, value in track.options(places[track.kind]).items():
                words += [f"-{name}", value]
            places[track.kind] += 1
        return words


def _difference(sample: Path, sound: Sequence[Track]) -> str:
    """What is wrong with a film of these tracks, read back; empty where nothing is."""
    if not sound:
        return ""
    try:
        with av.open(str(sample)) as film:
            streams = film.streams.audio
            there = [s.codec_context.codec.canonical_name if s.codec_context else "unknown" for s in streams]
            packets = {packet.stream.index for packet in film.demux() if packet.size}
            silent = any(s.index not in packets for s in streams)
    except av.EOFError:
        return SILENT  # Matroska that never got a packet has not even a header
    except (av.FFmpegError, ValueError, OSError) as error:
        return f"what {sample.suffix} makes of it cannot be read ({error})"
    if len(there) != len(sound) or silent:
        return SILENT
    for codec, track in zip(there, sound, strict=True):
        if track.codec == "copy" and codec != track.stream.codec:
            return f"{sample.suffix} makes {codec} of it"
    return ""
