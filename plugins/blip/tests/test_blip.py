"""BLIP and Florence-2 on tiny models that were taught two captions; and weights that are none."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from loraspec_blip.captioners import Blip, Florence
from loraspec_blip.hooks import BlipOptions, FlorenceOptions
from loraspec_blip.words import descriptors
from tiny_captioners import blip_folder, florence_folder, picture

from loraspec.drafts import CaptionDraft, CaptionRequest, drafted
from loraspec.errors import EnvironmentMissing
from loraspec.randomness import rng_of
from loraspec.testing import TINY_SPEC, CaptionerSuite
from loraspec.values import Context

EXPECTED = {"red": "a red square on paper, by Tiny", "blue": "a blue circle, small, by Tiny"}
MADE = {"blip": blip_folder, "florence-2": florence_folder}
KNOWN = {"blip": (Blip, BlipOptions), "florence-2": (Florence, FlorenceOptions)}


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return the folder of a tiny model, made once."""
    made: dict[str, Path] = {}

    def folder(use: str) -> Path:
        if use not in made:
            made[use] = MADE[use](tmp_path_factory.mktemp(use))
        return made[use]

    return folder


def asked(name: str, seed: int = 1) -> CaptionRequest:
    """Return a request about a red square or a blue circle."""
    file = io.BytesIO()
    picture(name, seed).save(file, "PNG")
    return CaptionRequest(f"{name}-{seed}.png", "0", file.getvalue, style_tag="by Tiny")


def drafts(use: str, weights: str, requests: list[CaptionRequest], folder: Path = Path(), **options: Any) -> list[CaptionDraft]:
    """Ask a captioner."""
    kind, made = KNOWN[use]
    captioner = kind(made(**{"weights": weights, "device": "cpu", **options}))
    return list(drafted(captioner, requests, name=use, context=Context(folder, rng_of(0), lambda hook: [])))


class _Suite(CaptionerSuite):
    @pytest.fixture(autouse=True)
    def _model(self, models: Callable[[str], Path]) -> None:
        self.folder = models(self.use)

    def prepare(self, folder: Path) -> dict[str, Any]:
        """Name the tiny model."""
        return {"weights": str(self.folder), "device": "cpu"}


class TestBlip(_Suite):
    """``blip`` keeps the contract."""

    use = "blip"


class TestFlorence(_Suite):
    """``florence-2`` keeps the contract."""

    use = "florence-2"


@pytest.mark.parametrize("use", ["blip", "florence-2"])
@pytest.mark.parametrize("batch_size", [1, 3, 8])
def test_it_tells_what_it_sees(models: Callable[[str], Path], use: str, batch_size: int) -> None:
    """The same whatever the batches; the style tag is a descriptor of its own."""
    requests = [asked(name, seed) for seed in (1, 2, 3) for name in ("red", "blue")]
    found = drafts(use, str(models(use)), requests, batch_size=batch_size, num_beams=1)
    assert {one.key: one.text for one in found} == {request.key: EXPECTED[request.key.partition("-")[0]] for request in requests}
    assert {one.model for one in found} == {str(models(use))}
    assert all(one.seconds > 0 for one in found)


@pytest.mark.parametrize("use", ["blip", "florence-2"])
def test_an_image_that_cannot_be_read_keeps_no_other_back(models: Callable[[str], Path], use: str) -> None:
    """It has a problem, its neighbours have captions."""
    broken = CaptionRequest("broken.png", "0", lambda: b"no image")
    found = {one.key: one for one in drafts(use, str(models(use)), [asked("red"), broken, asked("blue")])}
    assert "image" in found["broken.png"].problem
    assert found["red-1.png"].text == EXPECTED["red"]
    assert found["blue-1.png"].text == EXPECTED["blue"]


def test_a_prompt_is_taken_off_again(models: Callable[[str], Path]) -> None:
    """It guides the model and is no part of the caption."""
    [draft] = drafts("blip", str(models("blip")), [asked("red")], prompt="a picture of")
    assert not draft.problem
    assert not draft.text.startswith("a picture of")


def test_weights_lie_beside_the_spec(models: Callable[[str], Path]) -> None:
    """Wherever the program was started."""
    folder = models("blip")
    [draft] = drafts("blip", folder.name, [asked("red")], folder.parent)
    assert draft.text == EXPECTED["red"]


def test_other_weights_are_refused(models: Callable[[str], Path], tmp_path: Path) -> None:
    """Nothing there, another kind of model, weights that could run code, a processor that is missing."""
    with pytest.raises(EnvironmentMissing, match=r"no config\.json"):
        drafts("blip", str(tmp_path), [asked("red")])
    with pytest.raises(EnvironmentMissing, match="no model of this kind") as caught:
        drafts("blip", str(models("florence-2")), [asked("red")])
    assert "florence2" in str(caught.value.hint)
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in models("blip").iterdir():
        if path.suffix != ".safetensors":
            (copy / path.name).write_bytes(path.read_bytes())
    (copy / "pytorch_model.bin").write_bytes(b"a program")
    with pytest.raises(EnvironmentMissing, match="cannot be loaded"):
        drafts("blip", str(copy), [asked("red")])
    config = json.loads((models("blip") / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps({**config, "auto_map": {"AutoConfig": "code.Config"}, "model_type": "unknown"}))
    (copy / "code.py").write_text("raise SystemExit('code was run')\n")
    with pytest.raises(EnvironmentMissing, match="cannot be loaded"):
        drafts("blip", str(copy), [asked("red")])


@pytest.mark.parametrize(("written", "said"), [
    ('weights = "nowhere"', "nothing is at 'nowhere'"), ('weights = "hf:Salesforce/blip-image-captioning-large"', "is not pinned"),
])  # fmt: skip
def test_a_plan_tells_what_is_missing(
    spec_file: Callable[..., Path], loraspec_cli: Any, tiny_plugin: None, written: str, said: str
) -> None:
    """Before anything is loaded; the hub wants a commit."""
    path = spec_file(TINY_SPEC.replace("[adapter]", f'[captions.captioner]\nuse = "blip"\n{written}\n\n[adapter]'))
    loraspec_cli("plan", path).assert_failed(2, said)


@pytest.mark.parametrize(("text", "wanted"), [
    ("The image shows a man in a green coat. He is old; the sky is grey.", "a man in a green coat, he is old, the sky is grey"),
    ("In this image, there are two dogs on a street.", "two dogs on a street"),
    ("</s><s>A painting of Dr. Smith by the sea.</s>", "Dr, Smith by the sea"),
    ("a boat", "a boat"), ("", ""), ("Paris at night, 3.5 metres high.", "Paris at night, 3.5 metres high"),
    ("This is a picture of a cat . it is small .", "a cat, small"),
])  # fmt: skip
def test_sentences_become_descriptors(text: str, wanted: str) -> None:
    """Openings that show nothing go; numbers stay whole."""
    assert descriptors(text) == wanted


def test_the_style_tag_stands_once() -> None:
    """In any case, wherever it stands."""
    assert descriptors("a boat", "by Tiny") == "a boat, by Tiny"
    assert descriptors("a boat By tiny.", "by Tiny") == "a boat By tiny"
