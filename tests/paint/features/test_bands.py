"""Convolutions in bands of rows: every bit as in one piece, and in one piece where that does not hold."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from farm.paint.features import bands
from farm.paint.features.bands import in_bands, lent_cores
from farm.paint.features.convolution import Convolution


@pytest.fixture
def one_thread(monkeypatch):
    monkeypatch.setattr(bands, "_kinds", {})
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def numbers(*shape: int, seed: int = 0) -> torch.Tensor:
    """Whole numbers, whose products and sums are exact in float32, in any order."""
    return torch.randint(-8, 9, shape, generator=torch.Generator().manual_seed(seed)).float()


@pytest.mark.parametrize(("rows", "cores", "calls"), [(8, 1, [8]), (8, 2, [5, 5]), (9, 2, [5, 6]), (7, 2, [7])])
@pytest.mark.usefixtures("one_thread")
def test_each_band_has_a_row_more_at_its_inner_edges(rows, cores, calls):
    x, weight = numbers(1, 3, rows, 5), numbers(4, 3, 3, 3, seed=1)
    seen = []

    def convolve(part: torch.Tensor) -> torch.Tensor:
        seen.append(part.shape[2])
        return functional.conv2d(part, weight, padding=1)

    whole = functional.conv2d(x, weight, padding=1)
    with lent_cores(cores):
        assert torch.equal(in_bands(convolve, x, "kind"), whole)
        seen.clear()
        assert torch.equal(in_bands(convolve, x, "kind"), whole)
    assert sorted(seen) == calls


@pytest.mark.usefixtures("one_thread")
def test_bands_that_take_longer_are_left_out_for_a_while(monkeypatch):
    """By the clock bands take 5 seconds and the whole 2."""
    x, seen = numbers(1, 1, 8, 4), []
    monkeypatch.setattr(bands, "PAUSE_CALLS", 4)
    monkeypatch.setattr(bands, "_timed", lambda compute: (compute(), 5.0 if seen[-1:] == [5] or not seen else 2.0))

    def identity(part: torch.Tensor) -> torch.Tensor:
        seen.append(part.shape[2])
        return part

    with lent_cores(2):
        in_bands(identity, x, "kind")
        seen.clear()
        for _ in range(9):
            assert torch.equal(in_bands(identity, x, "kind"), x)
    slow = [5, 5]
    assert seen == 3 * slow + 4 * [8] + slow + [8]


@pytest.mark.parametrize("count", [3, 5])
@pytest.mark.usefixtures("one_thread")
def test_any_number_of_bands_gives_the_whole(count):
    x, weight = numbers(1, 3, 23, 5), numbers(4, 3, 3, 3, seed=1)
    whole = functional.conv2d(x, weight, padding=1)
    assert torch.equal(bands._banded(lambda part: functional.conv2d(part, weight, padding=1), x, count), whole)


@pytest.mark.usefixtures("one_thread")
def test_what_differs_in_bands_is_computed_in_one_piece():
    x, seen = numbers(1, 1, 8, 4), []

    def counts_rows(part: torch.Tensor) -> torch.Tensor:
        seen.append(part.shape[2])
        return part + part.shape[2]

    with lent_cores(2):
        for _ in range(2):
            assert torch.equal(in_bands(counts_rows, x, "kind"), x + 8)
    assert sorted(seen[:4]) == [5, 5, 8, 8]
    assert seen[4:] == [8]


@pytest.mark.usefixtures("one_thread")
def test_threads_of_its_own_count_as_cores():
    torch.set_num_threads(2)
    seen = []
    with lent_cores(2):
        in_bands(lambda part: seen.append(part.shape[2]) or part, numbers(1, 1, 8, 4), "kind")
    assert seen == [8]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.usefixtures("one_thread")
def test_a_layer_gives_the_same_bits_on_lent_cores(dtype, generator):
    layer = Convolution(
        torch.randn(32, 16, 3, 3, generator=generator), torch.randn(32, generator=generator), torch.device("cpu"), dtype
    )
    x, at_output = (
        torch.randn(1, channels, 16, 24, generator=generator).to(dtype, memory_format=torch.channels_last)
        for channels in (16, 32)
    )
    wanted = layer(x), layer.gradient(at_output)
    for _ in range(2):  # tried, then believed
        with lent_cores(2):
            assert torch.equal(layer(x), wanted[0])
            assert torch.equal(layer.gradient(at_output), wanted[1])
    assert len(bands._kinds) == 2
