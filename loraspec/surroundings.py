"""What is installed and set on this machine and may change a number: packages, codecs, switches. Nothing heavy is imported."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterable
from importlib import metadata
from typing import Any

from loraspec.distributions import code_sha256

PACKAGES = (
    "attrs", "cattrs", "dadaptation", "diffusers", "numpy", "peft", "pillow", "pluggy", "safetensors", "tokenizers", "torch",
    "transformers",
)  # fmt: skip

# Names only that hold numbers and words: none of them may hold a path of the machine.
VARIABLES = (
    "ATEN_CPU_CAPABILITY", "CUBLAS_WORKSPACE_CONFIG", "CUDA_LAUNCH_BLOCKING", "DNNL_DEFAULT_FPMATH_MODE", "DNNL_MAX_CPU_ISA",
    "GOMP_SPINCOUNT", "KMP_BLOCKTIME", "MKL_CBWR", "MKL_DYNAMIC", "MKL_ENABLE_INSTRUCTIONS", "MKL_NUM_THREADS", "NVIDIA_TF32_OVERRIDE",
    "OMP_DYNAMIC", "OMP_NUM_THREADS", "OMP_PROC_BIND", "OMP_SCHEDULE", "OMP_WAIT_POLICY", "OPENBLAS_CORETYPE", "OPENBLAS_NUM_THREADS",
    "PYTHONHASHSEED", "PYTORCH_CUDA_ALLOC_CONF", "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE",
)  # fmt: skip

def surroundings(libraries: Iterable[str] = ()) -> dict[str, Any]:
    """Return Python, platform, packages (those named and those of the core), image codecs and the switches that are set."""
    return {
        "python": platform.python_version(),
        "platform": {"system": sys.platform, "machine": platform.machine(), "libc": " ".join(platform.libc_ver())},
        "packages": packages({*PACKAGES, *libraries} - {"loraspec"}),
        "codecs": codecs(),
        "variables": {name: os.environ[name] for name in VARIABLES if name in os.environ},
    }


def packages(names: Iterable[str]) -> dict[str, dict[str, str]]:
    """Return version and code digest of each package that is installed."""
    found: dict[str, dict[str, str]] = {}
    for name in sorted(set(names)):
        try:
            distribution = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            continue
        found[name] = {"version": distribution.version, "code_sha256": code_sha256(distribution)}
    return found


def codecs() -> dict[str, str]:
    """Return the versions of what decodes images, as Pillow was built."""
    from PIL import features

    asked = {
        "jpeg": features.version_feature("libjpeg_turbo") or features.version_codec("jpg"),
        "zlib": features.version_feature("zlib_ng") or features.version_codec("zlib"),
        "webp": features.version_module("webp"),
        "lcms2": features.version_module("littlecms2"),
    }
    return {name: str(version) for name, version in asked.items() if version}
