"""High dynamic range to standard: what a viewer of an ordinary screen should see of an HLG or PQ film.

A network trained on ordinary photographs, and paintings that are ordinary pictures, expect ordinary values.
Light is decoded to nits (SMPTE ST 2084, or BT.2100 for HLG on a display of 1000), diffuse white of 203 nits
(BT.2408) becomes the brightest white, highlights above it are rolled off by the Hermite spline of BT.2390-11,
section 5.4.1, applied to the largest of R, G and B so that no hue is turned, and BT.2020 primaries become BT.709's.
"""

from __future__ import annotations

import functools

import numpy as np

from farm.plan.video import ColorTags

WHITE_NITS = 203.0
"""Brightness of diffuse white, in nits, that becomes the brightest white (BT.2408)."""
PEAK_NITS = 1000.0
"""Brightness of the brightest highlight, in nits; what is brighter is cut.

Why: it is HLG's nominal display, and most PQ films are mastered for it.
"""
_DISPLAY_GAMMA = 2.4
"""BT.1886: how a BT.709 film is shown."""

SDR = ColorTags(range="tv", space="bt709", primaries="bt709", transfer="bt709")
"""Colour tags of a tone-mapped film."""

_TO_709 = np.array(
    [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]], dtype=np.float32
)
"""Linear BT.2020 to BT.709 (BT.2087)."""
_LUMA_2020 = np.array([0.2627, 0.6780, 0.0593], dtype=np.float32)
_LEVELS = 1 << 16


def tone_map(picture: np.ndarray, tags: ColorTags) -> np.ndarray:
    """An HDR picture, (H, W, 3) uint16 full-range RGB, PQ or HLG as `tags` say, as (H, W, 3) uint8 RGB of BT.709."""
    if tags.transfer == "arib-std-b67":
        light = _hlg_scene_light()[picture]
        # the system gamma of a 1000-nit display works on luminance (BT.2100, table 5)
        nits = light * (PEAK_NITS * np.maximum(light @ _LUMA_2020, 1e-6) ** 0.2)[..., None]
    else:
        nits = _pq_nits()[picture]
    brightest = np.clip(nits.max(axis=-1), 1e-4, PEAK_NITS)
    shown = np.interp(brightest, *_roll_off()).astype(np.float32)
    linear = np.minimum(nits, PEAK_NITS) * (shown / brightest / WHITE_NITS)[..., None]
    if tags.primaries in (None, "bt2020"):
        linear = linear @ _TO_709.T
    return _display_code()[np.rint(np.clip(linear, 0, 1) * (_LEVELS - 1)).astype(np.uint16)]


def pq_to_nits(value: np.ndarray) -> np.ndarray:
    """Code values 0..1 of any shape as nits (SMPTE ST 2084)."""
    power = np.power(value, 1 / 78.84375)
    return 10000 * np.power(np.maximum(power - 0.8359375, 0) / (18.8515625 - 18.6875 * power), 1 / 0.1593017578125)


def nits_to_pq(nits: np.ndarray) -> np.ndarray:
    """Nits of any shape as code values 0..1: the inverse of `pq_to_nits`."""
    power = np.power(np.asarray(nits) / 10000, 0.1593017578125)
    return np.power((0.8359375 + 18.8515625 * power) / (1 + 18.6875 * power), 78.84375)


@functools.cache
def _pq_nits() -> np.ndarray:
    return pq_to_nits(np.linspace(0, 1, _LEVELS)).astype(np.float32)


@functools.cache
def _hlg_scene_light() -> np.ndarray:
    """The inverse OETF of BT.2100: code values to scene light 0..1."""
    value = np.linspace(0, 1, _LEVELS)
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    return np.where(value <= 0.5, value**2 / 3, (np.exp((value - c) / a) + b) / 12).astype(np.float32)


@functools.cache
def _roll_off() -> tuple[np.ndarray, np.ndarray]:
    """Nits as mastered, and as shown: the EETF of BT.2390 from 1000 to 203 nits, black left alone."""
    top = nits_to_pq(np.array(PEAK_NITS))
    value = np.linspace(0, 1, 4096)
    most = nits_to_pq(np.array(WHITE_NITS)) / top
    knee = 1.5 * most - 0.5
    t = np.clip((value - knee) / (1 - knee), 0, 1)
    spline = (2 * t**3 - 3 * t**2 + 1) * knee + (t**3 - 2 * t**2 + t) * (1 - knee) + (-2 * t**3 + 3 * t**2) * most
    return pq_to_nits(value * top), pq_to_nits(np.where(value < knee, value, spline) * top)


@functools.cache
def _display_code() -> np.ndarray:
    return np.rint(np.linspace(0, 1, _LEVELS) ** (1 / _DISPLAY_GAMMA) * 255).astype(np.uint8)
