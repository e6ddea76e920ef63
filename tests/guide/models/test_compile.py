"""``model.compile``: training goes through torch.compile, drawing and measuring do not, and the numbers stay."""

import pytest
import torch
from safetensors.torch import load_file

from loraspec.testing.pipelines import build_tiny

SPEC = """\
loraspec = 1
evaluators = [{{ use = "grid" }}]
[run]
name = "same"
[model]
use = "sd15"
checkpoint = "base"
compile = {compile}
[data]
repeats = 2
resolution = 64
buckets = {{ step = 64, min = 64, max = 64, upscale = true }}
[[data.sources]]
use = "folder"
path = "pictures"
rights = "own"
[adapter]
rank = 2
[train]
epochs = 1
mixed_precision = "no"
device = "cpu"
[grid]
prompts = ["picture, noise, by Nobody"]
weights = [1.0]
steps = 2
sampler = "ddim"
"""


@pytest.fixture
def ran(run_spec, spec_file, paint, tmp_path):
    """Run the spec, compiled or not: ``ran(compiled) -> outcome``."""
    build_tiny(tmp_path / "base", "sd15-small")
    for number in range(2):
        paint(number)

    def run(compiled):
        name = "compiled" if compiled else "plain"
        outcome = run_spec(spec_file(SPEC.format(compile=str(compiled).lower()), f"{name}.toml"), folder=name)
        outcome.assert_success()
        return load_file(outcome.epoch_files[-1])

    return run


def test_steps_go_through_it_and_nothing_else(ran, monkeypatch):
    """Four steps; the grid's predictions, which want no gradient, use the module itself."""
    calls = []

    def compiled(module, **_):
        def call(*given, **named):
            calls.append(torch.is_grad_enabled())
            return module(*given, **named)

        return call

    monkeypatch.setattr(torch, "compile", compiled)
    through = ran(True)
    assert calls == [True] * 4
    plain = ran(False)
    assert calls == [True] * 4
    assert all(torch.equal(through[name], plain[name]) for name in plain)


@pytest.mark.slow
def test_compiled_numbers_are_near(ran):
    """Through torch's own compiler: half-precision files differ by their last bits at most."""
    through, plain = ran(True), ran(False)
    for name, weight in plain.items():
        torch.testing.assert_close(through[name].float(), weight.float(), rtol=1e-2, atol=1e-3)
