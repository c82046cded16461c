"""Packets of a film, and the frames in them. Here errors of PyAV become the farm's own.

PyAV raises its own FFmpegError for most of what is wrong with a file. But where a file holds what PyAV has no name for,
it raises what Python does: ValueError, AttributeError, and others. So everything that it raises counts.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import av
from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream

from farm.errors import FarmError, VideoError, first_line


@contextlib.contextmanager
def reading(name: str) -> Iterator[None]:
    """Whatever a library raises inside about the film `name` is raised as VideoError. The farm's errors pass."""
    try:
        yield
    except FarmError:
        raise
    except Exception as error:
        reason = error.strerror if isinstance(error, av.FFmpegError) else first_line(error)
        raise VideoError(f"{name} cannot be read: {reason}", "convert it to H.264 in MP4 first") from error


def demux(container: InputContainer, name: str, *streams: Stream) -> Iterator[Packet]:
    """The packets of these streams, or of all, the last ones empty for flushing. Raises VideoError."""
    packets = container.demux(*streams)
    while True:
        with reading(name):
            packet = next(packets, None)
        if packet is None:
            return
        yield packet


def is_flush(packet: Packet) -> bool:
    """Whether this is one of the packets after the last, which make a decoder give out what it has kept."""
    return packet.size == 0 and packet.dts is None and packet.pos is None


def repeats_a_picture(packet: Packet) -> bool:
    """Whether an empty packet says that the picture before is shown on (AVI, Theora). Decoders refuse it."""
    return packet.size == 0 and not is_flush(packet)


def decode(packet: Packet) -> list[av.VideoFrame] | None:
    """The frames that come out of a decoder with this packet. None is a packet that does not decode."""
    if repeats_a_picture(packet):
        return []
    try:
        return [frame for frame in packet.decode() if isinstance(frame, av.VideoFrame)]
    except Exception:  # what a damaged packet makes PyAV raise is no other thing than that it does not decode
        return None
