"""Memory before the run: sizes as people write them, the line of the plan, and ways that fit."""

import json
import re

import pytest
from loraspec_guide.models import footprint

from loraspec.memory import bytes_of, device_memory
from loraspec.plan import resolve
from loraspec.testing.pipelines import build_tiny

SPEC = """\
loraspec = 1
[run]
name = "fits"
[model]
use = "sd15"
checkpoint = "base"
[data]
repeats = 1
resolution = 128
buckets = { step = 64, min = 64, max = 128, upscale = true }
[[data.sources]]
use = "folder"
path = "pictures"
rights = "own"
[adapter]
rank = 8
[train]
mixed_precision = "no"
[profiles.small]
data = { resolution = 64 }
[profiles.wide]
adapter = { rank = 64 }
"""


@pytest.fixture
def spec(spec_file, paint, tmp_path):
    """A spec of a tiny SD 1.5 with two profiles."""
    build_tiny(tmp_path / "base", "sd15-small")
    for number in range(4):
        paint(number)
    return spec_file(SPEC, "fits.toml")


@pytest.mark.parametrize(("text", "count"), [
    ("12GB", 12 * 10**9), ("12 gb", 12 * 10**9), ("11.5GiB", 11.5 * 2**30), ("512MB", 512 * 10**6), ("8G", 8 * 10**9), ("4096", 4096),
])  # fmt: skip
def test_sizes_are_read(text, count):
    """Decimal and binary, with and without the B."""
    assert bytes_of(text) == count


@pytest.mark.parametrize("text", ["", "much", "12 TB of it", "-3GB", "1e9", "GB"])
def test_what_is_no_size_is_told(text):
    """With what was found."""
    with pytest.raises(ValueError, match=re.escape(repr(text))):
        bytes_of(text)


def test_parts_add_up_and_follow_the_spec(spec, monkeypatch):
    """Training is its parts; rank, resolution, checkpointing and 8 bits move theirs."""
    def of(*sets):
        return device_memory(resolve(spec, sets=sets))

    plain = of()
    assert plain.training == plain.weights + plain.adapter + plain.gradients + plain.optimizer + plain.activations <= plain.peak
    assert plain.optimizer == 3 * plain.adapter == 3 * plain.gradients
    assert of("adapter.rank=16").adapter == 2 * plain.adapter
    assert of("data.resolution=64").activations < 0.5 * plain.activations
    less = of("train.gradient_checkpointing=true")
    assert less.activations == plain.with_checkpointing < plain.without_checkpointing == plain.activations
    monkeypatch.setattr(footprint, "WORTH_NARROWING", 64)  # the tiny base has no weight that is worth it
    assert of("model.unet_dtype='int8'").weights < plain.weights
    assert of("train.batch_size=2").activations == pytest.approx(2 * plain.activations, rel=0.01)


def test_plan_says_it(spec, loraspec_cli):
    """As a line, and in JSON."""
    plan = loraspec_cli("plan", spec)
    assert re.search(r"memory +device [\d.]+ MB = [\d.]+ \w+ base \+ .*activations", plan.out)
    numbers = json.loads(loraspec_cli("plan", spec, "--json").out)["memory"]
    assert numbers["training"] == device_memory(resolve(spec)).training


def test_a_device_that_is_too_small_is_told_with_what_fits(spec, loraspec_cli):
    """Only ways that fit; a profile that needs more is not among them."""
    need = device_memory(resolve(spec))
    assert "It fits" in loraspec_cli("plan", spec, "--device-memory", f"{need.peak}").out
    short = loraspec_cli("plan", spec, "--device-memory", f"{need.peak - 1}").out
    assert "does not fit" in short
    for words in ("--set train.gradient_checkpointing=true", "--profile small"):
        assert words in short
    assert "--profile wide" not in short
    assert "Neither does any profile" in loraspec_cli("plan", spec, "--device-memory", "1000").out
    refused = loraspec_cli("plan", spec, "--device-memory", "much")
    assert refused.code == 2
    assert "'much' is no size" in refused.err


def test_a_family_without_a_forecast_says_nothing(run_spec, spec_file, tiny_plugin, loraspec_cli):
    """The plan has no such line, and the question is answered."""
    from loraspec.testing import TINY_SPEC

    path = spec_file(TINY_SPEC, "tiny.toml")
    assert "memory " not in loraspec_cli("plan", path).out
    assert "does not forecast" in loraspec_cli("plan", path, "--device-memory", "1GB").out
