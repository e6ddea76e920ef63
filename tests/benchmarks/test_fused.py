"""What a step costs with PEFT's LoRA layers and with the fused ones, and the optimizers on the same adapter.

The kinds take turns in one process and medians are printed; read the ratios. Nothing here fails on time.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dadaptation
import numpy as np
import pytest
import torch
from benchmarks.table import figure, row
from loraspec_guide.adapters.fused import FusedLinear
from loraspec_guide.models.architecture import unet_targets
from loraspec_guide.models.standard import SDXL
from loraspec_guide.optim.dadapt import DAdaptAdam
from peft.tuners.lora.layer import Linear
from turns import SPEC, show, taken

from loraspec.randomness import generator
from loraspec.values import Placement

PICTURES, SIDE, STEPS = 4, 64, 4  # at once, px, steps in a turn


def opened(folder: Path) -> Any:
    """A run of the embedded base with LoRA of rank 16, before its first step."""
    from loraspec.engine import device
    from loraspec.engine.interrupts import Interrupts
    from loraspec.engine.run import Run
    from loraspec.plan import resolve

    (folder / "spec.toml").write_text(SPEC)
    plan = resolve(folder / "spec.toml", profiles=(), sets=())
    run = Run(plan, folder, precision=device.setup(plan.spec.train, device.choose_device("cpu")), interrupts=Interrupts())
    run.load_model()
    return run


def test_forward_and_backward_of_the_u_net(benchmark: Any, tmp_path: Path) -> None:
    """The same batch, the same adapter, its layers PEFT's and then fused."""
    run = opened(tmp_path)
    run.adapter.inject(run.family, rng=run.rng)
    layers = [one for one in run.family.denoiser.modules() if type(one) is FusedLinear]
    assert layers
    noisy = torch.from_numpy(generator(0, "noisy").standard_normal((PICTURES, 16, SIDE // 4, SIDE // 4))).float()
    square = (SIDE, SIDE)
    with torch.no_grad():
        encoded = run.family.encode_tokens(torch.from_numpy(run.family.tokenize(["a ship on the sea"] * PICTURES)))
        conditioning = run.family.condition(encoded, placements=[Placement(SIDE, SIDE, square, (0, 0), square)] * PICTURES)

    def step() -> torch.Tensor:
        out: torch.Tensor = run.family.denoise(noisy, timesteps=torch.full((PICTURES,), 500), conditioning=conditioning)
        out.square().mean().backward()  # type: ignore[no-untyped-call]
        for layer in layers:
            for weights in (layer.lora_A, layer.lora_B):
                for weight in weights.parameters():
                    weight.grad = None
        return out.detach()

    def as_kind(kind: type) -> torch.Tensor:
        for layer in layers:
            layer.__class__ = kind
        return step()

    outputs = {name: as_kind(kind) for name, kind in (("PEFT", Linear), ("fused", FusedLinear))}
    assert torch.allclose(outputs["PEFT"], outputs["fused"], atol=1e-5)
    seconds: dict[str, list[tuple[float, float]]] = {"PEFT": [], "fused": []}

    def turn() -> None:
        for name, kind in (("PEFT", Linear), ("fused", FusedLinear)):
            seconds[name].append(taken(lambda kind=kind: [as_kind(kind) for _ in range(STEPS)]))  # type: ignore[misc]

    benchmark.pedantic(turn, rounds=1 if benchmark.disabled else 9)
    show(benchmark, f"{STEPS} times forward and backward of {PICTURES} pictures", seconds)


def shapes_of_sdxl(rank: int) -> list[tuple[int, int]]:
    """Return what a LoRA of the published target set has on SDXL: 722 modules."""
    targets = unet_targets(SDXL.unet)
    return [shape for one in targets for shape in ((rank, one.in_features), (one.out_features, rank))]


@pytest.mark.parametrize("what", ["embedded rank 64", "sdxl rank 16", "sdxl rank 64"])
def test_the_optimizers(what: str, benchmark: Any, tmp_path: Path) -> None:
    """A step of ours and of the library's DAdapt AdamW, and of torch's fused AdamW, over the same tensors."""
    if what.startswith("sdxl"):
        shapes: list[Any] = shapes_of_sdxl(int(what.split()[-1]))[: 20 if benchmark.disabled else None]
    else:
        run = opened(tmp_path)
        shapes = [tuple(one.shape) for group in run.adapter.inject(run.family, rng=run.rng) for one in group["params"]]
    made: dict[str, Any] = {}
    chance = np.random.Generator(np.random.Philox(1808))
    grads = [torch.from_numpy(chance.standard_normal(shape, dtype=np.float32)) * 1e-3 for shape in shapes]
    for name, kind, given in (("fused AdamW", torch.optim.AdamW, {"lr": 1e-4, "fused": True}), ("ours", DAdaptAdam, {}),
                              ("the library", dadaptation.DAdaptAdam, {})):  # fmt: skip
        parameters = [torch.nn.Parameter(torch.zeros(shape)) for shape in shapes]
        for parameter, grad in zip(parameters, grads, strict=True):
            parameter.grad = grad
        made[name] = kind(parameters, **given)
        made[name].step()
    seconds: dict[str, list[float]] = {name: [] for name in made}

    def turn() -> None:
        for name, optimizer in made.items():
            seconds[name].append(taken(optimizer.step)[0])

    benchmark.pedantic(turn, rounds=1 if benchmark.disabled else 9)
    count = sum(grad.numel() for grad in grads)
    told = f"DAdapt over fused AdamW, {count:,} numbers"
    ours = row(benchmark, f"optimizer, {what}, CPU", seconds["ours"], seconds["fused AdamW"], note=told)
    row(benchmark, f"optimizer of the library, {what}, CPU", seconds["the library"], seconds["fused AdamW"])
    figure(benchmark, "optimizer_over_fused", round(ours.ratio, 2), what)
    assert count == sum(parameter.numel() for parameter in made["ours"].param_groups[0]["params"])
