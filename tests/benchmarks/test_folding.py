"""What drawing costs with the adapter beside the base, folded into it, and without it: predictions of the embedded base's U-Net.

The kinds take turns in one process and medians are printed; read the ratios. Nothing here fails on time.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from turns import SPEC, show, taken

from loraspec.randomness import generator
from loraspec.values import Placement

PICTURES, SIDE = 32, 64  # at once, as with guidance for 16; px


def test_predictions_beside_and_folded(benchmark: Any, tmp_path: Path) -> None:
    """One prediction of a batch: LoRA of rank 16 beside the base, folded into it (folding counted), and the base alone."""
    from loraspec.engine import device
    from loraspec.engine.cells import weighing
    from loraspec.engine.interrupts import Interrupts
    from loraspec.engine.run import Run
    from loraspec.plan import resolve

    (tmp_path / "spec.toml").write_text(SPEC)
    plan = resolve(tmp_path / "spec.toml", profiles=(), sets=())
    run = Run(plan, tmp_path, precision=device.setup(plan.spec.train, device.choose_device("cpu")), interrupts=Interrupts())
    run.load_model()
    run.adapter.inject(run.family, rng=run.rng)
    run.to_generating()
    count = 2 if benchmark.disabled else PICTURES
    noisy = torch.from_numpy(generator(0, "noisy").standard_normal((count, 16, SIDE // 4, SIDE // 4))).float()
    tokens = torch.from_numpy(run.family.tokenize(["a ship on the sea"] * count))
    square = (SIDE, SIDE)
    places = [Placement(SIDE, SIDE, square, (0, 0), square)] * count

    def predicted() -> torch.Tensor:
        with torch.no_grad():
            found: torch.Tensor = run.family.denoise(noisy, timesteps=torch.full((count,), 500), conditioning=conditioning)
        return found

    def folded() -> torch.Tensor:
        with weighing(run.adapter, 1.0):
            return predicted()

    with torch.no_grad():
        conditioning = run.family.condition(run.family.encode_tokens(tokens), placements=places)
    seconds: dict[str, list[tuple[float, float]]] = {"beside": [], "folded": [], "the base alone": []}

    def turn() -> None:
        seconds["beside"].append(taken(predicted))
        seconds["folded"].append(taken(folded))
        run.adapter.set_weight(0.0)
        seconds["the base alone"].append(taken(predicted))
        run.adapter.set_weight(1.0)

    turn()
    for rounds in seconds.values():
        rounds.clear()
    benchmark.pedantic(turn, rounds=1 if benchmark.disabled else 9)
    show(benchmark, f"{count} predictions of the embedded base", seconds)
    assert folded().allclose(predicted(), atol=1e-5)
