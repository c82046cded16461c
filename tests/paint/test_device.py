from __future__ import annotations

import os
import platform
import subprocess
import sys

import numpy as np
import pytest
import torch

from farm.errors import UsageError
from farm.paint import device
from farm.paint.device import choose_device, choose_precision, configure_threads


def test_auto_takes_cuda_where_there_is_one():
    assert choose_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    assert choose_device("cpu") == torch.device("cpu")


@pytest.mark.parametrize("name", ["gpu", "", "meta", "cuda:99", "mps"])
def test_refuses_a_device_that_is_not_there(name):
    with pytest.raises(UsageError):
        choose_device(name)


def test_precision_asked_for_is_obeyed():
    cpu = torch.device("cpu")
    assert choose_precision("bf16", cpu) == torch.bfloat16
    assert choose_precision("fp32", cpu) == torch.float32
    with pytest.raises(UsageError, match="precision 'half'"):
        choose_precision("half", cpu)  # type: ignore[arg-type]


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/cpuinfo")
def test_auto_precision_on_a_cpu_follows_its_instructions():
    with open("/proc/cpuinfo") as file:  # noqa: PTH123
        flags = set(file.read().split())
    if "avx2" not in flags:
        pytest.skip("not an x86 processor")
    has_bfloat16 = bool(flags & {"avx512_bf16", "amx_bf16"})
    expected = torch.bfloat16 if has_bfloat16 else torch.float32
    assert choose_precision("auto", torch.device("cpu")) == expected


def test_threads():
    before = torch.get_num_threads()
    try:
        configure_threads(before + 1)
        assert torch.get_num_threads() == before + 1
        configure_threads(None)
        assert torch.get_num_threads() == before + 1
    finally:
        torch.set_num_threads(before)
    with pytest.raises(UsageError, match="0 threads"):
        configure_threads(0)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc's allocator")
@pytest.mark.process
def test_memory_that_was_freed_is_taken_again_without_page_faults():
    script = """
import resource, sys, torch
from farm.paint.device import configure_threads
if sys.argv[1] == "kept":
    configure_threads(1)
faults = []
for _ in range(10):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    kept = [torch.ones(1 << 22) for _ in range(6)]
    del kept
    faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
print(faults[-1])
"""
    # glibc's first guess, held still: left to itself it learns, and what depends on where things happen to lie
    still = {**os.environ, "GLIBC_TUNABLES": "glibc.malloc.mmap_threshold=131072"}
    faults = {}
    for way in ("kept", "default"):
        command = [sys.executable, "-c", script, way]
        run = subprocess.run(command, capture_output=True, text=True, check=True, env=still)
        faults[way] = int(run.stdout)
    assert faults["kept"] < 100
    assert faults["default"] > 30  # huge pages may take the place of 16384 small ones


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc's allocator")
@pytest.mark.process
def test_the_maps_of_large_pictures_are_given_back():
    script = """
import torch
from pathlib import Path
from farm.paint.device import configure_threads
def resident():
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("VmRSS"))) // 1024
configure_threads(1)
before = resident()
small, large = [], []
for _ in range(4):  # in turns, so that on one heap small ones would hold the large ones' room
    large.append(torch.ones(1 << 25))
    small.append(torch.ones(1 << 12))
held = resident() - before
del large
print(held, resident() - before)
"""
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    held, left = map(int, run.stdout.split())
    assert held > 400
    assert left < 100


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MemoryError(), True),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), True),
        (RuntimeError("[enforce fail at alloc_cpu.cpp:117] . DefaultCPUAllocator: can't allocate memory"), True),
        (RuntimeError("expected scalar type Float"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_knows_a_lack_of_memory(error, expected):
    assert device.is_out_of_memory(error) == expected


def test_what_numpy_and_torch_really_raise_is_known():
    with pytest.raises(MemoryError) as caught:
        np.ones((1 << 58,), np.uint8)
    assert device.is_out_of_memory(caught.value)
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 58, dtype=torch.uint8)
    assert device.is_out_of_memory(caught.value)


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"memory.max": "1000\n", "memory.current": "400\n"}, 600),
        ({"memory.max": "max\n", "memory.current": "400\n"}, None),
        ({"memory/memory.limit_in_bytes": "900", "memory/memory.usage_in_bytes": "950"}, 0),
        ({}, None),
    ],
)
def test_the_limit_of_the_cgroup(tmp_path, files, expected):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert device._available_to_cgroup(tmp_path) == expected


def test_this_machine_has_memory():
    found = device.available_memory(torch.device("cpu"))
    assert found is None or 1 << 20 < found < 1 << 50
