"""Packets of a film, and the frames in them."""

from __future__ import annotations

from collections.abc import Iterator

import av
from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream

from farm.media.foreign import reading


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
