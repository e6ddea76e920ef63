"""Device, dtypes and the switches of torch that a run sets."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import resource
import sys
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch

from loraspec.contracts import ModelFacts, Precision
from loraspec.errors import EnvironmentMissing
from loraspec.spec.schema import TrainTable

COMPUTE = {"no": None, "bf16": torch.bfloat16, "fp16": torch.float16}
# the first block of SD 1.5 and SDXL is 320 wide: a base of that size takes hours a step-thousand on a CPU
FULL_SIZE_WIDTH = 320


def choose_device(wanted: str) -> torch.device:
    """Return the device that ``train.device`` names; ``auto`` takes cuda, then mps, then cpu.

    Raises:
        EnvironmentMissing: The named device is not here.
    """
    if wanted == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(wanted)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        found = "cuda, cpu" if torch.cuda.is_available() else "cpu"
        raise EnvironmentMissing(
            f"train.device: {wanted!r} cannot be used here: {str(error).splitlines()[0]}",
            hint=f"found: {found}; or train.device = \"auto\"",
        ) from error
    return device


def check_device(train: TrainTable, model: ModelFacts) -> torch.device:
    """Return the device, unless it cannot compute as asked, or a full-size base would silently train on a CPU.

    Raises:
        EnvironmentMissing: No accelerator, and the spec did not ask for the CPU by name; or a dtype that the device lacks.
    """
    device = choose_device(train.device)
    widths = model.unet_config.get("block_out_channels") or (0,)
    if device.type == "cpu" and train.device == "auto" and widths[0] >= FULL_SIZE_WIDTH:
        raise EnvironmentMissing(
            f"no GPU found: training {model.family} needs one (CUDA, 12 GB or more for SDXL, 4 GB for SD 1.5)",
            hint="run this spec on a machine with a GPU, or insist with --set train.device=cpu",
        )
    compute_dtype(train, device)
    return device


def compute_dtype(train: TrainTable, device: torch.device) -> torch.dtype | None:
    """Return the dtype of autocast, None without.

    Raises:
        EnvironmentMissing: The device cannot compute in the wanted dtype.
    """
    compute = COMPUTE[train.mixed_precision]
    if compute is torch.bfloat16 and device.type == "cuda" and not torch.cuda.is_bf16_supported():
        raise EnvironmentMissing(f"{torch.cuda.get_device_name(device)} has no bf16", hint="--set train.mixed_precision=fp16")
    if compute is torch.float16 and device.type == "cpu":
        raise EnvironmentMissing("fp16 training needs a GPU: the CPU has no loss scaling", hint="--set train.mixed_precision=bf16")
    return compute


def setup(train: TrainTable, device: torch.device) -> Precision:
    """Set threads, TF32, attention kernels and whether only deterministic kernels may run; return the run's dtypes.

    The CPU's kernels are deterministic for a fixed number of threads. A GPU's are in strict mode only, which refuses an
    operation that has no such kernel: a mode that only warns would let attention keep the other one.

    Raises:
        EnvironmentMissing: The device cannot compute in the wanted dtype.
    """
    compute = compute_dtype(train, device)
    use_threads(train.threads)
    strict = train.deterministic and device.type != "cpu"
    if strict:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read when the first product is computed
    torch.use_deterministic_algorithms(strict)
    if device.type == "cuda":
        torch.backends.cuda.matmul.allow_tf32 = train.allow_tf32
        torch.backends.cudnn.allow_tf32 = train.allow_tf32
        torch.backends.cudnn.benchmark = False
        torch.backends.cudnn.deterministic = strict
        cuda = torch.backends.cuda
        for choose in (cuda.enable_flash_sdp, cuda.enable_mem_efficient_sdp, cuda.enable_cudnn_sdp):
            choose(not strict)
        cuda.enable_math_sdp(True)
        torch.cuda.reset_peak_memory_stats(device)
    weights = torch.float32 if compute is None or device.type == "cpu" else compute
    return Precision(device=device, weights=weights, compute=compute)


def use_threads(count: int) -> None:
    """Let ``count`` threads of the CPU work on every operation; 0 changes nothing."""
    if count:
        torch.set_num_threads(count)


def autocast(precision: Precision) -> AbstractContextManager[Any]:
    """Return the context of a forward pass."""
    if precision.compute is None:
        return nullcontext()
    return torch.autocast(precision.device.type, dtype=precision.compute)


def peak_memory(device: torch.device) -> dict[str, int]:
    """Return peak bytes: ``host`` (resident) and, on CUDA, ``device`` (allocated) and ``device_reserved``."""
    unit = 1 if sys.platform == "darwin" else 1024
    peak = {"host": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit}
    if device.type == "cuda":
        peak["device"] = torch.cuda.max_memory_allocated(device)
        peak["device_reserved"] = torch.cuda.max_memory_reserved(device)
    return peak


def facts(precision: Precision) -> dict[str, Any]:
    """Return what the lock says of the device: type, name, dtypes, threads, switches; no host name."""
    device = precision.device
    return {
        "device": device.type,
        "name": torch.cuda.get_device_name(device) if device.type == "cuda" else torch.backends.cpu.get_cpu_capability(),
        "compute": str(precision.compute or torch.float32).removeprefix("torch."),
        "weights": str(precision.weights).removeprefix("torch."),
        "threads": torch.get_num_threads(),
        "interop_threads": torch.get_num_interop_threads(),
        "torch": torch.__version__,
        "torch_build_sha256": _sha256(torch.__config__.show()),
        "cpu_sha256": _sha256(_cpu_flags()),
        "cuda": torch.version.cuda or "",
        "cudnn": str(torch.backends.cudnn.version() or "") if device.type == "cuda" else "",  # type: ignore[no-untyped-call]
        "allow_tf32": bool(torch.backends.cuda.matmul.allow_tf32) if device.type == "cuda" else False,
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        **(_gpu(device) if device.type == "cuda" else {}),
    }


def determinism(train: TrainTable, precision: Precision) -> dict[str, Any]:
    """Return how far equal bits are promised here: ``strict`` (equal for an equal lock) or ``off``, and what was fixed for it."""
    strict = train.deterministic or precision.device.type == "cpu"
    return {
        "mode": "strict" if strict else "off",
        "attention": "math" if strict and precision.device.type == "cuda" else "torch's choice by shape",
        "autocast": "off" if precision.compute is None else str(precision.compute).removeprefix("torch."),
        "weights": str(precision.weights).removeprefix("torch."),
        "tf32": train.allow_tf32 and precision.device.type == "cuda",
    }


def _gpu(device: torch.device) -> dict[str, Any]:
    """Compute capability, number of multiprocessors, driver."""
    properties = torch.cuda.get_device_properties(device)
    version = Path("/proc/driver/nvidia/version")
    found = re.search(r"\b\d{3}\.\d+(\.\d+)?\b", version.read_text(encoding="utf-8", errors="replace")) if version.is_file() else None
    return {
        "capability": f"{properties.major}.{properties.minor}",
        "multiprocessors": properties.multi_processor_count,
        "driver": found[0] if found else "",
    }


def _cpu_flags() -> str:
    """What the processor can do, sorted: which kernels a library picks depends on it."""
    known = Path("/proc/cpuinfo")
    lines = known.read_text(encoding="utf-8", errors="replace").splitlines() if known.is_file() else []
    flags = next((line.partition(":")[2].split() for line in lines if line.startswith(("flags", "Features"))), [])
    return " ".join(sorted(set(flags))) or platform.machine()


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
