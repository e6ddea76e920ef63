"""The numerics fingerprint: what about a dozen kernels give here, as digests. Equal fingerprints make equal bits worth expecting.

Version numbers do not see a rebuilt wheel, another instruction set or another number of threads; these kernels do. Their input is
built from integers, so that it is the same everywhere.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from functools import cache

import torch
from torch import Tensor
from torch.nn import functional as F

from loraspec.contracts import OptimizerFactory, Precision
from loraspec.randomness import generator

LENGTH = 16  # hexadecimal digits of each digest


def fingerprint(precision: Precision, optimizer: OptimizerFactory) -> dict[str, dict[str, str]]:
    """Return digests by kernel, for each dtype that the run computes in: ``{"cpu float32": {"matmul": "9f0c..."}}``."""
    device = precision.device
    switches = (torch.get_num_threads(), torch.backends.cuda.matmul.allow_tf32, torch.are_deterministic_algorithms_enabled())
    dtypes = dict.fromkeys((torch.float32, precision.compute or torch.float32))
    found = {f"{device.type} {_word(dtype)}": dict(_kernels_once(device, dtype, switches)) for dtype in dtypes}
    found[f"{device.type} float32"]["optimizer steps"] = _digest(_steps(device, optimizer))
    normals = generator(0, "fingerprint").standard_normal(4096, dtype="float32")
    found["host"] = {"normals": hashlib.sha256(normals.tobytes()).hexdigest()[:LENGTH]}
    return found


@cache
def _kernels_once(device: torch.device, dtype: torch.dtype, switches: tuple[int, bool, bool]) -> dict[str, str]:
    """The kernels of this process: nothing but the switches can change what they give."""
    return dict(_kernels(device, dtype))


def _kernels(device: torch.device, dtype: torch.dtype) -> Iterator[tuple[str, str]]:
    def value(number: int, *shape: int) -> Tensor:
        return _input(number, *shape).to(device, dtype)

    wide, square = value(1, 64, 1024), value(2, 160, 320)
    one_to_one: dict[str, Callable[[Tensor], Tensor]] = {"exp": torch.exp, "silu": F.silu, "gelu": F.gelu}
    for name, function in one_to_one.items():
        yield name, _digest([function(wide)])
    yield "softmax", _digest([torch.softmax(wide * 8, dim=-1)])
    yield "sum", _digest([wide.sum(), wide.sum(dim=0)])
    yield "matmul", _digest([square @ value(3, 320, 192)])
    image, filters = value(4, 4, 32, 32, 32), value(5, 64, 32, 3, 3)
    yield "conv", _digest([F.conv2d(image, filters, padding=1)])
    yield "conv backward", _digest(_gradients(lambda x, w: F.conv2d(x, w, padding=1), image, filters))
    scale, shift = value(6, 32), value(7, 32)
    yield "group norm backward", _digest(_gradients(lambda x, a, b: F.group_norm(x, 8, a, b), image, scale, shift))
    query, key, vector = value(8, 2, 8, 256, 40), value(9, 2, 8, 77, 40), value(10, 2, 8, 77, 40)
    yield "attention", _digest([F.scaled_dot_product_attention(query, key, vector)])
    yield "attention backward", _digest(_gradients(F.scaled_dot_product_attention, query, key, vector))


def _input(number: int, *shape: int) -> Tensor:
    """float32 on the host, from integers: multiples of 1/1024 in [-1, 1), all exact in bf16's range of exponents."""
    count = torch.Size(shape).numel()
    mixed = (torch.arange(count, dtype=torch.int64) * 2654435761 + number * 40503) % 4294967291
    return (((mixed >> 7) % 2048 - 1024).to(torch.float32) / 1024).reshape(shape)


def _gradients(function: Callable[..., Tensor], *inputs: Tensor) -> list[Tensor]:
    leaves = [tensor.clone().requires_grad_() for tensor in inputs]
    made = function(*leaves)
    made.backward(_input(11, *made.shape).to(made.device, made.dtype))  # type: ignore[no-untyped-call]
    return [made, *(leaf.grad for leaf in leaves if leaf.grad is not None)]


def _steps(device: torch.device, factory: OptimizerFactory) -> list[Tensor]:
    """Three steps of the run's own optimizer on one tensor."""
    weight = _input(12, 64, 64).to(device).requires_grad_()
    optimizer = factory([{"params": [weight]}])
    for number in range(3):
        weight.grad = _input(13 + number, 64, 64).to(device)
        optimizer.step()
    return [weight]


def _digest(tensors: list[Tensor]) -> str:
    digest = hashlib.sha256()
    for tensor in tensors:
        digest.update(tensor.detach().to("cpu").contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()[:LENGTH]


def _word(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
