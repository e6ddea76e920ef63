"""Device, dtypes and the switches of torch that a run sets."""

from __future__ import annotations

import resource
import sys
from contextlib import AbstractContextManager, nullcontext
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
    """Set threads, TF32 and attention kernels; return the run's dtypes.

    Raises:
        EnvironmentMissing: The device cannot compute in the wanted dtype.
    """
    compute = compute_dtype(train, device)
    if train.threads:
        torch.set_num_threads(train.threads)
    if device.type == "cuda":
        torch.backends.cuda.matmul.allow_tf32 = train.allow_tf32
        torch.backends.cudnn.allow_tf32 = train.allow_tf32
        torch.backends.cuda.enable_flash_sdp(True)
        torch.backends.cuda.enable_mem_efficient_sdp(True)
        torch.cuda.reset_peak_memory_stats(device)
    weights = torch.float32 if compute is None or device.type == "cpu" else compute
    return Precision(device=device, weights=weights, compute=compute)


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
        "torch": torch.__version__,
        "cuda": torch.version.cuda or "",
        "cudnn": str(torch.backends.cudnn.version() or "") if device.type == "cuda" else "",  # type: ignore[no-untyped-call]
        "allow_tf32": bool(torch.backends.cuda.matmul.allow_tf32) if device.type == "cuda" else False,
        "deterministic": torch.are_deterministic_algorithms_enabled(),
    }
