"""What the machine computes with: device, precision, threads and memory. No other module of paint asks the machine, but
`cores`.

    device = choose_device("auto")              # CUDA where there is a device, else the CPU
    dtype = choose_precision("auto", device)    # bfloat16 where the hardware multiplies in it

Only the network and the products of its features run in `dtype`. Image, Gram matrices, losses and optimiser are float32
everywhere.
"""

from __future__ import annotations

import ctypes
import os
import platform
import sys
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from farm.errors import UsageError
from farm.spec.choices import Precision


def choose_device(name: str = "auto") -> torch.device:
    """The device of that name (`cpu`, `cuda`, `cuda:1`). `auto` is CUDA where PyTorch sees a device, else the CPU.

    For CUDA, this switches TF32 on and cuDNN to its deterministic algorithms, for the whole process. Why: a frame that
    is painted again after its worker was lost must come out the same.
    Raises UsageError for a device that this machine does not have.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UsageError(f"there is no device {name!r}", "use auto, cpu, cuda or cuda:N") from error
    if device.type not in ("cpu", "cuda"):
        raise UsageError(f"device {name!r} is not supported", "use auto, cpu, cuda or cuda:N")
    if device.type == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if (device.index or 0) >= count:
            raise UsageError(f"device {name!r} is not there: PyTorch sees {count} CUDA devices", "use auto")
        torch.backends.cuda.matmul.allow_tf32 = True
        torch.backends.cudnn.allow_tf32 = True
        torch.backends.cudnn.benchmark = False
        torch.backends.cudnn.deterministic = True
    return device


def hide_gpus() -> None:
    """Let this process, and those that it starts, see no GPU. To be called before anything has asked for one.

    Why: Ray leaves all GPUs of a node visible to a worker that has booked none, and the workers of a node would meet on
    the first GPU.
    """
    os.environ["CUDA_VISIBLE_DEVICES"] = ""


def choose_precision(requested: Precision, device: torch.device) -> torch.dtype:
    """The dtype of the features. `auto` is bfloat16 where the hardware multiplies in it, else float32.

    Why: without AMX or AVX512-BF16 a CPU emulates bfloat16 convolutions, which takes 6 to 500 times as long as float32.
    Raises UsageError for an unknown name.
    """
    if requested == "fp32":
        return torch.float32
    if requested == "bf16":
        return torch.bfloat16
    if requested != "auto":
        raise UsageError(f"precision {requested!r} is not known", "use auto, bf16 or fp32")
    return torch.bfloat16 if multiplies_bfloat16(device) else torch.float32


@lru_cache
def multiplies_bfloat16(device: torch.device) -> bool:
    """Whether the hardware of the device multiplies in bfloat16, rather than an emulation. Asked once a process."""
    if device.type == "cuda":
        # Below compute capability 8.0 (Ampere), is_bf16_supported() may answer for an emulation.
        return torch.cuda.get_device_capability(device)[0] >= 8
    if platform.machine().lower() in ("x86_64", "amd64"):
        # mkldnn's own answer is no use here: it is True for any AVX512, with or without bf16 instructions.
        return any(
            getattr(torch.cpu, check, bool)() for check in ("_is_amx_tile_supported", "_is_avx512_bf16_supported")
        )
    supported = getattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", None)
    return bool(supported and supported())


@lru_cache
def packs_convolutions(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether convolutions in `dtype` use PyTorch's oneDNN operators, whose weights are reordered once.

    These operators are not public API, so a small convolution is tried first. In float32 the answer is no, because they
    are no faster there.
    """
    if device.type != "cpu" or dtype != torch.bfloat16 or not multiplies_bfloat16(device):
        return False
    ones, x, weight = [1, 1], torch.ones(1, 16, 4, 4, dtype=dtype), torch.ones(16, 16, 3, 3, dtype=dtype)
    try:
        packed = torch.ops.mkldnn._reorder_convolution_weight(weight, ones, ones, ones, 1, None)
        out = torch.ops.mkldnn._convolution_pointwise(x, packed, None, ones, ones, ones, 1, "relu", [], "")
    except (AttributeError, RuntimeError, TypeError):
        return False
    return bool(out[0, 0, 1, 1] == 144)


def processor_level(device: torch.device, dtype: torch.dtype) -> str:
    """What of the processor decides the last bits of a frame, such as `x86_64 AVX512` or `cuda 9.0`.

    On a CPU it is the widest instructions that PyTorch uses, and those for bfloat16 where the features are. Measured
    with PyTorch 2.14: convolutions with AVX512 and with AVX2 differ. On CUDA it is the compute capability: OpenCV and
    NumPy gave the same flow, warps and scaled pictures with AVX512 and with AVX2.
    """
    if device.type == "cuda":
        return "cuda {}.{}".format(*torch.cuda.get_device_capability(device))
    level = f"{platform.machine().lower()} {torch.backends.cpu.get_cpu_capability()}"
    if dtype != torch.bfloat16:
        return level
    amx = getattr(torch.cpu, "_is_amx_tile_supported", bool)()
    return f"{level} {'AMX' if amx else 'BF16' if multiplies_bfloat16(device) else 'no BF16'}"


def configure_threads(count: int | None) -> None:
    """Let PyTorch use `count` CPU threads; None leaves the number as it is. Results repeat only for equal counts.

    The process also keeps the memory that it frees from now on, for the next step of the optimiser to take.
    Raises UsageError for a count below 1.
    """
    _keep_freed_memory()
    if count is None:
        return
    if count < 1:
        raise UsageError(f"{count} threads cannot work", "give 1 or more")
    torch.set_num_threads(count)


def available_memory(device: torch.device) -> int | None:
    """Bytes that may still be allocated: CUDA's free memory, or the system's within the limit of this cgroup.

    None where the machine does not say: on a CPU without Linux's /proc.
    """
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    limits = [count for count in (_available_to_system(), _available_to_cgroup()) if count is not None]
    return min(limits) if limits else None


def peak_memory(device: torch.device) -> int | None:
    """Peak bytes so far: of tensors on CUDA, else of this process. None on a CPU without Linux's /proc."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return None
    kibibytes = [line.split()[1] for line in lines if line.startswith("VmHWM:")]
    return int(kibibytes[0]) * 1024 if kibibytes else None


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception of PyTorch, oneDNN, CUDA or NumPy means that memory ran out."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    message = str(error).lower()
    phrases = ("can't allocate memory", "not enough memory", "cannot allocate memory", "out of memory")
    return isinstance(error, RuntimeError) and any(phrase in message for phrase in phrases)


def free_memory(device: torch.device) -> None:
    """Return to CUDA and to the system the memory that PyTorch and glibc keep for later use."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
    if libc := _glibc():
        libc.malloc_trim(0)


_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
"""Numbers of two parameters of mallopt, from glibc's malloc.h."""
_LARGEST_KEPT = 1 << 25
"""Largest block, in bytes, that the process keeps after it is freed; glibc allows no larger threshold.

Feature maps of large pictures exceed it and are returned at once. Kept on the heap they left holes: a picture of 3840
pixels took 8.4 GiB where 6 were allowed.
"""


@lru_cache
def _keep_freed_memory() -> None:
    """Let glibc keep freed blocks up to _LARGEST_KEPT.

    Why: a step allocates the same maps as the one before. By default glibc returns large blocks to the system, and the
    20,000 page faults of a step (512x384, bfloat16) take 5 % of its time.
    """
    if libc := _glibc():
        libc.mallopt(_M_MMAP_THRESHOLD, _LARGEST_KEPT)
        libc.mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)


def _glibc() -> Any | None:
    if not sys.platform.startswith("linux"):
        return None
    libc = ctypes.CDLL(None)
    return libc if hasattr(libc, "mallopt") else None  # musl has none


def _available_to_system() -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    kibibytes = [line.split()[1] for line in lines if line.startswith("MemAvailable:")]
    return int(kibibytes[0]) * 1024 if kibibytes else None


def _available_to_cgroup(root: Path = Path("/sys/fs/cgroup")) -> int | None:
    """Bytes between the limit and the use of this cgroup, version 2 or 1. A container sees its own group at the
    root.
    """
    for limit, use in (
        ("memory.max", "memory.current"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
    ):
        try:
            # A file cache counts as used and gives way on demand; version 1's "no limit" is a huge number.
            return max(0, int((root / limit).read_text()) - int((root / use).read_text()))
        except (OSError, ValueError):  # not there, or "max"
            continue
    return None
