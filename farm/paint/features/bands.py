"""Cores that a painter has on loan: convolutions are cut into bands of rows, each computed by a thread of its own.

    with lent_cores(2):
        styler.first(frame, steps=200)          # the same bits as without the loan, in less time
    out = in_bands(convolve, x, kind)           # what a convolution calls

Why bands and not PyTorch's threads: those change the last bits of long sums, and all of them wait for the slowest at
each operation, so that a core which is busy otherwise for a moment costs more than it gives. A pixel of a convolution
is one sum, in whichever band it is computed. That this holds here is not believed but tried, the first time that a
convolution of a kind is computed in bands.
"""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Callable, Hashable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

LEAST_ROWS = 4
"""Least rows of a band. Why: up to two more rows are computed for each, and thrown away."""

SLOW_CALLS, PAUSE_CALLS = 3, 60
"""After so many calls in a row in which bands took longer than the whole, so many are computed whole: another program
has the core.
"""

_lent = 1
_kinds: dict[tuple[Hashable, ...], _Kind] = {}
"""By kind, shape and number of bands: what is known of a convolution in bands."""


@dataclass
class _Kind:
    """Whether bands give the bits of the whole, the least seconds of the whole, and how bands have fared lately."""

    same: bool
    whole: float
    slow: int = 0
    pause: int = 0


@contextlib.contextmanager
def lent_cores(count: int) -> Iterator[None]:
    """Let convolutions inside the block use `count` cores, this thread's own among them. The number is the process's.

    The picture is the same for any number.
    """
    global _lent
    before, _lent = _lent, count
    try:
        yield
    finally:
        _lent = before


def in_bands(convolve: Callable[[Tensor], Tensor], x: Tensor, kind: Hashable) -> Tensor:
    """`convolve(x)`, a 3x3 convolution of `x` (1, C, H, W) with zeros around it, computed on the cores on loan.

    `kind` names all beside the shape of `x` that the order of its sums may depend on, such as the channels that come
    out. The first one of each kind and shape is computed whole as well, and where a bit differs, all later ones are
    computed whole. So are those for which that takes less time.
    """
    count = min(_lent // torch.get_num_threads(), x.shape[2] // LEAST_ROWS) if _lent > 1 else 1
    if count < 2:
        return convolve(x)
    key = (kind, tuple(x.shape), count)
    known = _kinds.get(key)
    if known is None:
        out, whole = _banded(convolve, x, count), convolve(x)
        _kinds[key] = _Kind(torch.equal(out, whole), _timed(lambda: convolve(x))[1])
        return whole
    if not known.same:
        return convolve(x)
    if known.pause:
        known.pause -= 1
        out, seconds = _timed(lambda: convolve(x))
        known.whole = min(known.whole, seconds)
        return out
    out, seconds = _timed(lambda: _banded(convolve, x, count))
    known.slow = known.slow + 1 if seconds > known.whole else 0
    if known.slow >= SLOW_CALLS:
        known.slow, known.pause = SLOW_CALLS - 1, PAUSE_CALLS
    return out


def _timed(compute: Callable[[], Tensor]) -> tuple[Tensor, float]:
    """What `compute` gives, and the seconds that it took."""
    began = time.perf_counter()
    out = compute()
    return out, time.perf_counter() - began


def _banded(convolve: Callable[[Tensor], Tensor], x: Tensor, count: int) -> Tensor:
    height = x.shape[2]
    edges = [height * at // count for at in range(count + 1)]

    def band(first: int, last: int) -> Tensor:
        """Rows `first` to `last` (half-open). They are computed with one more on either side, which is cut off."""
        above, below = min(first, 1), min(height - last, 1)
        return convolve(x[:, :, first - above : last + below])[:, :, above : above + last - first]

    own, *others = itertools.pairwise(edges)
    elsewhere = [_threads(count - 1).submit(band, *pair) for pair in others]
    return torch.cat([band(*own), *(part.result() for part in elsewhere)], dim=2)


@lru_cache(maxsize=1)
def _threads(count: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(count, thread_name_prefix="band")
