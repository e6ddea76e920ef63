"""What a step costs with PEFT's LoRA layers and with the fused ones, and the optimizers on the same adapter.

The kinds take turns in one process and medians are printed; read the ratios. Nothing here fails on time.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dadaptation
import pytest
import torch
from loraspec_guide.adapters.fused import FusedLinear
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


def test_forward_and_backward_of_the_u_net(benchmark: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
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
    show(capsys, benchmark, f"{STEPS} times forward and backward of {PICTURES} pictures", seconds)


@pytest.mark.parametrize(("what", "width", "modules"), [("the embedded base's", 0, 0), ("wide", 1280, 24)])
def test_the_optimizers(what: str, width: int, modules: int, benchmark: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A step of torch's fused AdamW, of ours and of the library's DAdapt AdamW, over the same tensors."""
    if width:
        shapes = [shape for _ in range(modules) for shape in ((16, width), (width, 16))]
    else:
        run = opened(tmp_path)
        shapes = [tuple(one.shape) for group in run.adapter.inject(run.family, rng=run.rng) for one in group["params"]]
    made: dict[str, Any] = {}
    for name, kind, given in (("AdamW, fused", torch.optim.AdamW, {"lr": 1e-4, "fused": True}), ("flat", DAdaptAdam, {}),
                              ("the library's", dadaptation.DAdaptAdam, {})):  # fmt: skip
        parameters = [torch.nn.Parameter(torch.zeros(shape)) for shape in shapes]
        for number, parameter in enumerate(parameters):
            parameter.grad = torch.from_numpy(generator(number, "grad").standard_normal(parameter.shape)).float() * 1e-3
        made[name] = kind(parameters, **given)
        made[name].step()
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in made}

    def turn() -> None:
        for name, optimizer in made.items():
            seconds[name].append(taken(optimizer.step))

    benchmark.pedantic(turn, rounds=1 if benchmark.disabled else 15)
    count = sum(parameter.numel() for parameter in made["flat"].param_groups[0]["params"])
    show(capsys, benchmark, f"an optimizer step over {what} {len(shapes)} tensors, {count:,} numbers", seconds)
