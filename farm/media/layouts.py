"""How the channels of a sound track become those of a layout that an encoder takes. Pure tables and choices.

    mixed = mix(("FL", "FR", "FC", "LFE", "SL", "SR"), XIPH)
    mixed.layout, mixed.filter        # "5.1", "pan=5.1|FL=1*c0|..."

Channels and layouts have ffmpeg's names (`ffmpeg -layouts`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

LAYOUTS: dict[str, tuple[str, ...]] = {
    "mono": ("FC",),
    "stereo": ("FL", "FR"),
    "2.1": ("FL", "FR", "LFE"),
    "3.0": ("FL", "FR", "FC"),
    "4.0": ("FL", "FR", "FC", "BC"),
    "quad": ("FL", "FR", "BL", "BR"),
    "5.0": ("FL", "FR", "FC", "BL", "BR"),
    "5.1": ("FL", "FR", "FC", "LFE", "BL", "BR"),
    "6.1": ("FL", "FR", "FC", "LFE", "BC", "SL", "SR"),
    "7.1": ("FL", "FR", "FC", "LFE", "BL", "BR", "SL", "SR"),
}
"""The layouts that are encoded, each with its channels in ffmpeg's order."""

AAC = ("mono", "stereo", "3.0", "4.0", "5.0", "5.1", "7.1")
"""Layouts for which AAC has a number. ffmpeg encodes others too, in a way that few players read."""
XIPH = ("mono", "stereo", "3.0", "quad", "5.0", "5.1", "6.1", "7.1")
"""Layouts of Opus and Vorbis (RFC 7845, section 5.1.1.2), and of FLAC (RFC 9639, section 9.1.3)."""

_BY_COUNT = {1: "mono", 2: "stereo", 3: "2.1", 4: "4.0", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1"}
"""What ffmpeg takes channels without a name for. More than these are tracks of a recorder, which have no place."""
_UNNAMED = frozenset({"NONE", "UNK", "UNSD", ""})
_SAME = {"DL": "FL", "DR": "FR", "BIL": "FL", "BIR": "FR"}
"""Channels of sound that was mixed for two loudspeakers or for headphones."""
_MOVED = {"SL": "BL", "SR": "BR", "BL": "SL", "BR": "SR"}
"""Surround channels at the sides and at the back are the same loudspeakers where a layout has only one of them."""
_HALF, _SHARED = 0.5, 0.7071
"""Gain of a channel that two of the same side share, and of one that is added to another or split in two (-3 dB)."""
_MIXED_INTO: Mapping[str, tuple[dict[str, float], ...]] = {
    "FC": ({"FL": _SHARED, "FR": _SHARED},),
    "FL": ({"FC": _SHARED},),
    "FR": ({"FC": _SHARED},),
    "FLC": ({"FL": _SHARED, "FC": _HALF}, {"FL": 1.0}, {"FC": _SHARED}),
    "FRC": ({"FR": _SHARED, "FC": _HALF}, {"FR": 1.0}, {"FC": _SHARED}),
    "BC": ({"BL": _SHARED, "BR": _SHARED}, {"SL": _SHARED, "SR": _SHARED}, {"FL": _HALF, "FR": _HALF}),
    "TC": ({"FL": _HALF, "FR": _HALF}, {"FC": _SHARED}),
    "TFC": ({"FC": _SHARED}, {"FL": _HALF, "FR": _HALF}),
    "BFC": ({"FC": _SHARED}, {"FL": _HALF, "FR": _HALF}),
    "TBC": ({"BL": _HALF, "BR": _HALF}, {"FL": _HALF, "FR": _HALF}),
    "LFE2": ({"LFE": 1.0},),
}
"""By channel: where it goes in a layout that lacks it, the first that the layout has. LFE goes nowhere, as is usual."""


class Mix(NamedTuple):
    """Sound as it goes into an encoder: the layout, and the filter that makes it, empty where nothing changes."""

    layout: str
    filter: str

    @property
    def channels(self) -> int:
        """How many channels the encoder gets."""
        return len(LAYOUTS[self.layout])


def mix(channels: Sequence[str], layouts: Sequence[str], source_layout: str = "") -> Mix:
    """The layout of `layouts` for a track with these channels: the smallest that has a place for each of them.

    Where none has, it is the largest, and channels without a place are added to those beside them, all at a gain that
    cannot clip. More than eight channels without a name go left and right in turn. `source_layout` is ffmpeg's name of
    the source's layout, by which parts of the track that have other channels are brought to it.
    """
    if any(channel in _UNNAMED for channel in channels):
        if len(channels) not in _BY_COUNT:
            return Mix("stereo", _pan("stereo", [{("FL", "FR")[at % 2]: 1.0} for at in range(len(channels))]))
        channels, source_layout = LAYOUTS[_BY_COUNT[len(channels)]], ""
    channels = [_SAME.get(channel, channel) for channel in channels]
    whole = [(name, places) for name in layouts if (places := _places(channels, LAYOUTS[name])) is not None]
    if whole:
        layout, gains = min(whole, key=lambda one: len(LAYOUTS[one[0]]))
    else:
        layout = max(layouts, key=lambda name: len(LAYOUTS[name]))
        gains = [_gains(channel, channels, LAYOUTS[layout]) for channel in channels]
    if tuple(channels) == LAYOUTS[layout]:
        return Mix(layout, "")
    same = f"aformat=channel_layouts={source_layout}," if source_layout else ""
    return Mix(layout, same + _pan(layout, gains))


def stereo(channels: Sequence[str], source_layout: str = "") -> Mix:
    """A mix to two channels, which every encoder and player takes."""
    return mix(channels, ("stereo",), source_layout)


def _places(channels: Sequence[str], target: Sequence[str]) -> list[dict[str, float]] | None:
    """Each channel at a place of its own in `target`, or None where one has none."""
    places = [_place(channel, channels, target) for channel in channels]
    return [{place: 1.0} for place in places if place] if all(places) else None


def _place(channel: str, channels: Sequence[str], target: Sequence[str]) -> str:
    if channel in target:
        return channel
    moved = _MOVED.get(channel, "")
    return moved if moved in target and moved not in channels else ""


def _gains(channel: str, channels: Sequence[str], target: Sequence[str]) -> dict[str, float]:
    """By channel of `target`: how much of `channel` it gets. Empty for one that is left out."""
    if place := _place(channel, channels, target):
        return {place: 1.0}
    for places in (*_MIXED_INTO.get(channel, ()), *_beside(channel)):
        if all(place in target for place in places):
            return places
    return {}


def _beside(channel: str) -> list[dict[str, float]]:
    """Places for a channel of one side by its name alone: behind for one that is behind, else in front."""
    side = channel[-1:]
    if side not in ("L", "R"):
        return []
    behind = ("BL", "SL") if side == "L" else ("BR", "SR")
    surround = channel[:-1] in ("B", "S", "TB", "TS", "TT", "SD", "SS")
    return [{place: _SHARED} for place in (*(behind if surround else ()), f"F{side}", "FC")]


def _pan(layout: str, gains: Sequence[Mapping[str, float]]) -> str:
    """The filter that mixes channel number i of the source into those that `gains[i]` names."""
    sums = [sum(gain.get(place, 0.0) for gain in gains) for place in LAYOUTS[layout]]
    most = max(1.0, *sums)
    outputs = []
    for place in LAYOUTS[layout]:
        terms = [f"{gain[place] / most:.4g}*c{at}" for at, gain in enumerate(gains) if place in gain]
        outputs.append(f"{place}={'+'.join(terms) or '0*c0'}")
    return f"pan={'|'.join([layout, *outputs])}"
