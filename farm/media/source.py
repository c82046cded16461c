"""Opening what the user brought: a local file, or a film at a URL (https://, s3://, ...).

`open_source` gives a PyAV container or one clear VideoError; `pick_video_stream` chooses as ffmpeg does.
Only files that hold a film themselves are opened (FILM_FORMATS): a playlist, a list of files or a subtitle file
makes ffmpeg open others, on this machine or elsewhere. `reading_limits` says the same to the ffmpeg program.
"""

from __future__ import annotations

import errno
import hashlib
import io
import itertools
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from farm.errors import InputError, VideoError
from farm.files.remote import is_remote, is_web, open_remote, remote_identity
from farm.media.animated import is_animated_webp, webp_as_matroska
from farm.media.foreign import reading
from farm.media.header import is_scrambled

HASHED_URL_BYTES = 1 << 16
"""Bytes at the beginning of a film at a URL that its hash is made from."""
_READ_BYTES = 1 << 20
_HEAD_BYTES = 32
_JPEG = b"\xff\xd8\xff"
_MOTION_JPEG_SUFFIXES = (".mjpeg", ".mjpg", ".mjp")
_FILM_JPEGS = 4
"""JPEGs in a row, above which a file is taken for a film whatever its name is."""

FILM_FORMATS = (
    "mov,matroska,avi,mpegts,mpeg,mpegvideo,m4v,h264,hevc,vvc,av1,obu,ivf,flv,live_flv,asf,ogg,nut,mxf,mxf_opatom,gxf,"
    "rm,dv,vc1,yuv4mpegpipe,gif,apng,mjpeg,swf,nsv,wtv,ty,cdxl,flic,roq,bink,smk,dirac,3dostr,mlv,r3d"
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


def reading_limits(container: str = "") -> dict[str, str]:
    """Options with which libavformat, or the ffmpeg program before its `-i`, opens a file and nothing else.

    `container` is the probe's. Motion JPEG is named, because it would be taken for a picture otherwise.
    """
    limits = {"protocol_whitelist": "file", "format_whitelist": FILM_FORMATS}
    return limits | ({"format": "mjpeg"} if container == "mjpeg" else {})


def display_name(path: str) -> str:
    """The name that a message gives the file."""
    return path if is_web(path) else Path(path).name or path


def open_source(path: str) -> InputContainer:
    """The film, open for demuxing; the caller closes it. Raises VideoError that names the file and what to do."""
    if not is_remote(path):
        _check_local(path)
    try:
        source = _for_libavformat(path)
        head = _head(path, source)
    except InputError as error:
        raise VideoError(error.problem, error.remedy) from None
    name = display_name(path)
    with reading(name):
        if is_animated_webp(head):
            return av.open(io.BytesIO(stand_in(path) or b""), "r", container_options=reading_limits())
        try:
            return av.open(source, metadata_errors="replace", container_options=reading_limits())
        except av.FFmpegError as error:
            if error.errno == errno.EINVAL and head.startswith(_JPEG) and _is_motion_jpeg(path):
                return av.open(_for_libavformat(path), format="mjpeg", container_options=reading_limits())
            raise _open_error(path, error) from error


def stand_in(path: str) -> bytes | None:
    """A film in a container that libavformat reads, for a file that it does not read; None where it does.

    Raises VideoError.
    """
    if not is_animated_webp(_head(path)):
        return None
    with reading(display_name(path)), _opened(path) as file:
        return webp_as_matroska(file.read())


def container_name(container: InputContainer, path: str) -> str:
    """Libavformat's name of the format of the file itself."""
    name = str(container.format.name)
    return "webp" if "matroska" in name and is_animated_webp(_head(path)) else name


def _opened(path: str) -> Any:
    return open_remote(path) if is_remote(path) else Path(path).open("rb")


def _for_libavformat(path: str) -> Any:
    return open_remote(path) if is_remote(path) else ffmpeg_url(path)


def _head(path: str, remote: Any = None) -> bytes:
    """The first bytes of a file; of a remote one that is open already, where it is given."""
    if remote is not None and is_remote(path):
        head = bytes(remote.read(_HEAD_BYTES))
        remote.seek(0)
        return head
    with _opened(path) as file:
        return bytes(file.read(_HEAD_BYTES))


def _is_motion_jpeg(path: str) -> bool:
    """Whether a file of JPEGs is a film. A still may have another behind it, such as a depth map or a gain map."""
    if path.lower().endswith(_MOTION_JPEG_SUFFIXES):
        return True
    with av.open(_for_libavformat(path), format="mjpeg", container_options=reading_limits()) as container:
        pictures = itertools.islice(container.demux(video=0), _FILM_JPEGS)
        return sum(packet.size > 0 for packet in pictures) == _FILM_JPEGS


def pick_video_stream(container: InputContainer, path: str) -> VideoStream:
    """The stream that ffmpeg would show: of those that are not cover art, the default one, then the largest.

    Raises VideoError where there is none, it cannot be decoded, or its frames are larger than LARGEST_FRAME.
    """
    with reading(display_name(path)):
        films = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    if not films:
        what = "only a cover picture" if container.streams.video else "no video stream"
        also = ", only sound" if container.streams.audio else ""
        raise VideoError(f"{display_name(path)} has {what}{also}", "give a file with moving pictures in it")
    # One whose codec libavcodec does not know has no sides.
    films = [s for s in films if s.codec_context is not None]
    if not films:
        raise VideoError(
            f"{display_name(path)} is coded in a way this ffmpeg cannot decode",
            "convert it to H.264 first; a film from a shop may be encrypted, and cannot be used then",
        )
    # A stream of one picture beside one of several is the still of an animated AVIF.
    stream = max(
        films,
        key=lambda s: (s.frames != 1, bool(s.disposition & Disposition.default), (s.width or 0) * (s.height or 0)),
    )
    if (stream.width or 0) * (stream.height or 0) > LARGEST_FRAME:
        raise VideoError(
            f"{display_name(path)} says that its frames are {stream.width}x{stream.height} pixels",
            "scale it down first",
        )
    return stream


def encrypted(path: str) -> VideoError:
    """The error for a film whose picture is encrypted."""
    return VideoError(f"{display_name(path)} is encrypted", "give a copy without protection")


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
    if is_scrambled(path):
        return encrypted(path)
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
