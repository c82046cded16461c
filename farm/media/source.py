"""Opening what the user brought: a local file, an http(s) URL, or a film on object storage (s3://, ...).

`open_source` gives a PyAV container or one clear VideoError; `pick_video_stream` chooses as ffmpeg does.
"""

from __future__ import annotations

import hashlib
import urllib.error
import urllib.request
from pathlib import Path

import av
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from farm.errors import VideoError
from farm.fetch import is_remote, open_remote, remote_identity

HASHED_URL_BYTES = 1 << 16
_READ_BYTES = 1 << 20
_CONNECT_SECONDS = 30.0
_READ_SECONDS = 60.0
_NOT_PICTURES = ("tty",)
"""Demuxers that make pictures of any text file."""


def is_url(path: str) -> bool:
    return path.lower().startswith(("http://", "https://"))


def is_object(path: str) -> bool:
    """A URL that ffmpeg does not know; its bytes are read by range through fsspec."""
    return is_remote(path) and not is_url(path)


def ffmpeg_url(path: str) -> str:
    """`path` as ffmpeg should be given it. `file:` keeps a name such as `-x.mp4` or `a:b.mp4` a file name."""
    return path if is_url(path) else f"file:{path}"


def display_name(path: str) -> str:
    """What an error calls the file."""
    return path if is_url(path) else Path(path).name or path


def open_source(path: str) -> InputContainer:
    """Open for demuxing; the caller closes it. Raises VideoError that names the file and what to do."""
    if not is_remote(path):
        _check_local(path)
    try:
        container = av.open(
            open_remote(path) if is_object(path) else ffmpeg_url(path),
            metadata_errors="replace",
            timeout=(_CONNECT_SECONDS, _READ_SECONDS) if is_url(path) else None,
        )
    except av.FFmpegError as error:
        raise _open_error(path, error) from error
    if container.format.name in _NOT_PICTURES:
        container.close()
        raise VideoError(f"{display_name(path)} is a text file, not a video", "give a video file")
    return container


def pick_video_stream(container: InputContainer, path: str) -> VideoStream:
    """The stream that ffmpeg would show: of those that are not cover art, the default one, then the largest."""
    films = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    if not films:
        what = "only a cover picture" if container.streams.video else "no video stream"
        also = ", only sound" if container.streams.audio else ""
        raise VideoError(f"{display_name(path)} has {what}{also}", "give a file with moving pictures in it")
    stream = max(films, key=lambda s: (bool(s.disposition & Disposition.default), (s.width or 0) * (s.height or 0)))
    if stream.codec_context is None:
        raise VideoError(
            f"{display_name(path)} is coded in a way this ffmpeg cannot decode", "convert it to H.264 first"
        )
    return stream


def content_hash(path: str) -> str:
    """SHA-256 of the file's bytes; for a URL, of its size, its ETag or date, and its first 64 KiB."""
    if is_object(path):
        return hashlib.sha256(remote_identity(path, HASHED_URL_BYTES)).hexdigest()
    return _url_hash(path) if is_url(path) else _file_hash(path)


def _file_hash(path: str) -> str:
    digest = hashlib.sha256()
    try:
        with Path(path).open("rb") as file:
            while block := file.read(_READ_BYTES):
                digest.update(block)
    except OSError as error:
        raise VideoError(f"{display_name(path)} cannot be read: {error.strerror}") from error
    return digest.hexdigest()


def _url_hash(url: str) -> str:
    request = urllib.request.Request(url, headers={"Range": f"bytes=0-{HASHED_URL_BYTES - 1}"})  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=_CONNECT_SECONDS) as answer:  # noqa: S310  is_url() was checked
            headers = answer.headers
            head = answer.read(HASHED_URL_BYTES)
    except (urllib.error.URLError, OSError, ValueError) as error:
        raise VideoError(f"{url} cannot be read: {error}", "check the address") from error
    # A server without range support sends the whole length instead of `bytes 0-65535/LENGTH`.
    size = (headers.get("Content-Range") or "").rpartition("/")[2] or headers.get("Content-Length") or ""
    version = headers.get("ETag") or headers.get("Last-Modified") or ""
    return hashlib.sha256(f"{size}\n{version}\n".encode() + head).hexdigest()


def _check_local(path: str) -> None:
    name, file = display_name(path), Path(path)
    try:
        if not file.exists():
            raise VideoError(f"{path} does not exist", "check the path")
        if file.is_dir():
            raise VideoError(f"{path} is a directory", "give a video file")
        if file.stat().st_size == 0:
            raise VideoError(f"{name} is empty", "copy or download it again")
        with file.open("rb"):
            pass
    except OSError as error:
        raise VideoError(f"{path} cannot be read: {error.strerror}", "check its permissions") from error


def _open_error(path: str, error: av.FFmpegError) -> VideoError:
    name = display_name(path)
    if isinstance(error, av.error.InvalidDataError):
        if not is_remote(path) and _looks_like_mp4(path):
            return VideoError(
                f"{name} has no index (moov atom): the recording or the copy was cut short",
                "copy it again, or repair it with the recorder that made it",
            )
        return VideoError(f"{name} is not a video that ffmpeg can read", "give a video file")
    return VideoError(f"{name} cannot be opened: {error.strerror}", "check the address" if is_url(path) else "")


def _looks_like_mp4(path: str) -> bool:
    with Path(path).open("rb") as file:
        return file.read(8)[4:] in (b"ftyp", b"mdat", b"wide", b"free", b"skip", b"moov")
