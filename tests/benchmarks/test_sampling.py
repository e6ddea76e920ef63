"""What the grid costs beside bare sampling of the same pictures from the same weight files with diffusers; read the ratio."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

import pytest
from benchmarks.sizes import EMBEDDED, write_spec
from benchmarks.table import figure, row

WEIGHTS, PROMPTS, SEEDS, STEPS = (0.6, 0.8, 1.0), 4, 2, 10


def test_grid_over_bare_sampling(benchmark: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two epochs, three weights, four prompts, two seeds, and the base; cells written as PNG on both sides, batches of eight pictures."""
    import torch
    from loraspec_guide.models.samplers import sampler
    from loraspec_picturebook.export import load_pipeline

    from loraspec.engine.cells import Cell, Cells
    from loraspec.engine.execute import execute
    from loraspec.plan import resolve

    monkeypatch.setenv("LORASPEC_CACHE", str(tmp_path / "cache"))
    weights, steps, count = (WEIGHTS[-1:], 2, 1) if benchmark.disabled else (WEIGHTS, STEPS, PROMPTS)
    sets = ["train.epochs=2", "data.repeats=1", f"grid.steps={steps}", "grid.sampler='ddim'", "grid.guidance=5.0"]
    spec = write_spec(tmp_path, EMBEDDED, EMBEDDED.checkpoint(tmp_path))
    plan = resolve(spec, profiles=(), sets=tuple(sets))
    run = execute(plan, folder=tmp_path / "run", command={"spec": str(spec), "profiles": [], "sets": sets})
    run.to_generating()
    prompts = [f"a ship number {number} on the sea, by Nobody" for number in range(count)]
    cells = Cells.of(run, batch_size=count * SEEDS)
    places = [(0, 0.0), *((epoch, weight) for epoch in (1, 2) for weight in weights)]
    wanted = [Cell(*place, prompt, seed) for place in places for prompt in prompts for seed in range(SEEDS)]
    pipeline: Any = load_pipeline()
    pipeline.set_progress_bar_config(disable=True)
    pipeline.scheduler = sampler("ddim", pipeline.scheduler)
    files = {epoch: run.files.epoch_file(epoch) for epoch in (1, 2)}

    def ours() -> None:
        shutil.rmtree(cells.folder, ignore_errors=True)
        assert cells.draw(run, wanted).drawn == len(wanted)

    def bare() -> None:
        folder = tmp_path / "bare"
        folder.mkdir(exist_ok=True)
        for epoch, weight in places:
            pipeline.unload_lora_weights()
            if epoch:
                pipeline.load_lora_weights(files[epoch], adapter_name="style")
                pipeline.set_adapters(["style"], [weight])
            asked = [(prompt, seed) for prompt in prompts for seed in range(SEEDS)]
            chance = [torch.Generator("cpu").manual_seed(seed) for _, seed in asked]
            how = {"width": cells.sampling.width, "height": cells.sampling.height, "num_inference_steps": steps, "guidance_scale": 5.0}
            drawn = pipeline([prompt for prompt, _ in asked], generator=chance, **how).images
            for number, image in enumerate(drawn):
                image.save(folder / f"{epoch}-{weight}-{number}.png")

    seconds: dict[str, list[float]] = {"ours": [], "bare": []}

    def turn() -> None:
        for name, work in (("ours", ours), ("bare", bare)):
            since = time.process_time()
            work()
            seconds[name].append(time.process_time() - since)

    benchmark.pedantic(turn, rounds=1 if benchmark.disabled else 5)
    made = row(benchmark, f"grid, embedded, {len(wanted)} cells, CPU", seconds["ours"], seconds["bare"], unit="s", scale=1)
    figure(benchmark, "grid_over_sampling", round(made.ratio, 3))
    assert len(list((tmp_path / "bare").glob("*.png"))) == len(wanted)
