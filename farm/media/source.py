"""Opening what the user brought: a local file, or a film at a URL (https://, s3://, ...).

`open_source` gives a PyAV container or one clear VideoError; `pick_video_stream` chooses as ffmpeg does.
Only files that hold a film themselves are opened (FILM_FORMATS): a playlist, a list of files or a subtitle file
makes ffmpeg open others, on this machine or elsewhere. `reading_limits` says the same to the ffmpeg program.
"""

from __future__ import annotations

import errno
import hashlib
from pathlib import Path

import av
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from farm.errors import InputError, VideoError
from farm.files.remote import is_remote, is_web, open_remote, remote_identity

HASHED_URL_BYTES = 1 << 16
"""Bytes at the beginning of a film at a URL that its hash is made from."""
_READ_BYTES = 1 << 20

FILM_FORMATS = (
    "mov,matroska,avi,mpegts,mpeg,mpegvideo,m4v,h264,hevc,vvc,av1,obu,ivf,flv,live_flv,asf,ogg,nut,mxf,mxf_opatom,gxf,"
    "rm,dv,vc1,yuv4mpegpipe,gif,apng,swf,nsv,wtv,ty,cdxl,flic,roq,bink,smk,dirac,3dostr,mlv,r3d"
)
"""libavformat's names of the formats that are opened.

Not among them are hls, dash, concat, image2, imf, sdp, rtsp, vobsub, tty, srt, ass and all others that read files by
name, or draw pictures of text.
"""
LARGEST_FRAME = 1 << 27
"""Pixels of a frame, those of 16K video, above which a film is refused. Why: decoding it would take gigabytes."""


def ffmpeg_url(path: str) -> str:
    """A local `path` as ffmpeg is given it. `file:` before it keeps a name such as `-x.mp4` or `a:b.mp4` a file name.

    ffmpeg is given no URL: it would resolve names and follow redirects by itself, to addresses that are not read.
    """
    return f"file:{path}"


def reading_limits() -> dict[str, str]:
    """Options with which libavformat, or the ffmpeg program before its `-i`, opens a file and nothing else."""
    return {"protocol_whitelist": "file", "format_whitelist": FILM_FORMATS}


def display_name(path: str) -> str:
    """The name that a message gives the file."""
    return path if is_web(path) else Path(path).name or path


def open_source(path: str) -> InputContainer:
    """The film, open for demuxing; the caller closes it. Raises VideoError that names the file and what to do."""
    if not is_remote(path):
        _check_local(path)
    try:
        source = open_remote(path) if is_remote(path) else ffmpeg_url(path)
    except InputError as error:
        raise VideoError(error.problem, error.remedy) from None
    try:
        container = av.open(source, metadata_errors="replace", container_options=reading_limits())
    except av.FFmpegError as error:
        raise _open_error(path, error) from error
    return container


def pick_video_stream(container: InputContainer, path: str) -> VideoStream:
    """The stream that ffmpeg would show: of those that are not cover art, the default one, then the largest.

    Raises VideoError where there is none, it cannot be decoded, or its frames are larger than LARGEST_FRAME.
    """
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
    if (stream.width or 0) * (stream.height or 0) > LARGEST_FRAME:
        raise VideoError(
            f"{display_name(path)} says that its frames are {stream.width}x{stream.height} pixels",
            "scale it down first",
        )
    return stream


def content_hash(path: str) -> str:
    """SHA-256 in hex of the file's bytes; for a URL, of its size, its ETag or date, and its first 64 KiB.

    Raises VideoError or InputError where it cannot be read.
    """
    if is_remote(path):
        return hashlib.sha256(remote_identity(path, HASHED_URL_BYTES)).hexdigest()
    return _file_hash(path)


def _file_hash(path: str) -> str:
    digest = hashlib.sha256()
    try:
        with Path(path).open("rb") as file:
            while block := file.read(_READ_BYTES):
                digest.update(block)
    except OSError as error:
        raise VideoError(f"{display_name(path)} cannot be read: {error.strerror}") from error
    return digest.hexdigest()


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
    if error.errno == errno.EINVAL:  # what libavformat says of a format that is not on the list
        return VideoError(
            f"{name} is not a film but text, a picture, or a list of other files",
            "give the film itself (MP4, MOV, MKV, WebM, AVI, MPEG-TS, ...); farm stylize paints a picture",
        )
    if isinstance(error, av.error.InvalidDataError):
        if not is_remote(path) and _looks_like_mp4(path):
            return VideoError(
                f"{name} has no index (moov atom): the recording or the copy was cut short",
                "copy it again, or repair it with the recorder that made it",
            )
        return VideoError(f"{name} is not a video that ffmpeg can read", "give a video file")
    return VideoError(f"{name} cannot be opened: {error.strerror}", "check the address" if is_web(path) else "")


def _looks_like_mp4(path: str) -> bool:
    with Path(path).open("rb") as file:
        return file.read(8)[4:] in (b"ftyp", b"mdat", b"wide", b"free", b"skip", b"moov")
