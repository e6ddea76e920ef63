"""The tagger on a model that sees colours; and models that are none."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from loraspec_wd14.hooks import WD14Options
from loraspec_wd14.tagger import Tagger, prepared
from loraspec_wd14.tags import Tag, chosen
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from loraspec.drafts import CaptionDraft, CaptionRequest, drafted
from loraspec.errors import EnvironmentMissing
from loraspec.randomness import rng_of
from loraspec.testing import TINY_SPEC, CaptionerSuite
from loraspec.values import Context

TAGS = [("general", "9"), ("blue_theme", "0"), ("1girl", "0"), ("red_theme", "0"), ("red_(queen)", "4"), ("^_^", "0")]
SIDE = 16
# Confidence of each tag by mean blue, green, red (0..1) and a constant: what the model computes.
WEIGHTS = np.array([[0, 4, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0], [0, 0, 0, 4, 6, 0], [0, -2, 1, -2, -2, 3]], np.float32)


def model(folder: Path, columns: int = len(TAGS), shape: tuple[Any, ...] = ("n", SIDE, SIDE, 3)) -> Path:
    """Write a tagger: the mean of each channel, a linear layer, a sigmoid."""
    folder.mkdir(parents=True, exist_ok=True)
    nodes = [
        helper.make_node("ReduceMean", ["pixels", "axes"], ["mean"], keepdims=0),
        helper.make_node("Div", ["mean", "white"], ["share"]),
        helper.make_node("MatMul", ["share", "weights"], ["sum"]),
        helper.make_node("Add", ["sum", "bias"], ["logits"]),
        helper.make_node("Sigmoid", ["logits"], ["confidence"]),
    ]
    held = {"axes": np.array([1, 2], np.int64), "white": np.array([255], np.float32), "weights": WEIGHTS[:3, :columns],
            "bias": WEIGHTS[3, :columns]}  # fmt: skip
    graph = helper.make_graph(
        nodes, "tagger", [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("confidence", TensorProto.FLOAT, ("n", columns))],
        [numpy_helper.from_array(value, name) for name, value in held.items()],
    )  # fmt: skip
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.save(made, folder / "model.onnx")
    rows = "".join(f"{number},{name},{category},1\n" for number, (name, category) in enumerate(TAGS))
    (folder / "selected_tags.csv").write_text("tag_id,name,category,count\n" + rows)
    return folder


def asked(colour: str, size: tuple[int, int] = (20, 20), tag: str = "") -> CaptionRequest:
    """Return a request about a picture of one colour."""
    file = io.BytesIO()
    Image.new("RGB", size, colour).save(file, "PNG")
    return CaptionRequest(f"{colour}.png", "0", file.getvalue, style_tag=tag)


def drafts(folder: Path, requests: list[CaptionRequest], **options: Any) -> list[CaptionDraft]:
    """Ask the tagger, whose model is in ``model`` beside the spec."""
    tagger = Tagger(WD14Options(**{"weights": "model", "provider": "cpu", **options}))
    return list(drafted(tagger, requests, name="wd14", context=Context(folder, rng_of(0), lambda hook: [])))


class TestWD14(CaptionerSuite):
    """``wd14`` keeps the contract."""

    use = "wd14"

    def prepare(self, folder: Path) -> dict[str, Any]:
        """Write the model."""
        model(folder / "model")
        return {"weights": "model", "provider": "cpu"}


@pytest.mark.parametrize("batch_size", [1, 2, 4])
def test_tags_from_the_surest_on(tmp_path: Path, batch_size: int) -> None:
    """Channels are blue, green, red: a mistake of their order names the wrong colour."""
    model(tmp_path / "model")
    found = drafts(tmp_path, [asked("red", tag="by Ada"), asked("blue"), asked("white")], batch_size=batch_size)
    assert [one.text for one in found] == [
        "1girl, red (queen), ^_^, red theme, by Ada", "1girl, ^_^, blue theme", "1girl, red (queen), ^_^, blue theme, red theme",
    ]  # fmt: skip
    assert found[0].scores["red theme"] == pytest.approx(1 / (1 + np.exp(-2)))
    assert list(found[0].scores) == ["1girl", "red (queen)", "^_^", "red theme"]


@pytest.mark.parametrize(("options", "text"), [
    ({"general": 0.9}, "red (queen), ^_^"), ({"character": 1.0}, "1girl, ^_^, red theme"), ({"general": 1.0}, "red (queen)"),
    ({"rating": 0.5}, "1girl, red (queen), ^_^, red theme, general"), ({"exclude": ("red*",)}, "1girl, ^_^"),
    ({"exclude": ("red_theme",)}, "1girl, red (queen), ^_^"), ({"exclude": ("?_^",)}, "1girl, red (queen), red theme"),
    ({"order": "name"}, "1girl, ^_^, red (queen), red theme"), ({"order": "table"}, "1girl, red theme, red (queen), ^_^"),
    ({"first": ()}, "red (queen), ^_^, red theme, 1girl"), ({"first": ("*theme", "1girl")}, "red theme, 1girl, red (queen), ^_^"),
    ({"most": 2}, "red (queen), ^_^"), ({"underscores": True}, "1girl, red_(queen), ^_^, red_theme"),
])  # fmt: skip
def test_options_choose_and_order(tmp_path: Path, options: dict[str, Any], text: str) -> None:
    """Thresholds by category, exclusions, order, number, spelling."""
    model(tmp_path / "model")
    [draft] = drafts(tmp_path, [asked("red")], **options)
    assert draft.text == text


def test_no_tag_is_a_problem(tmp_path: Path) -> None:
    """An image without a sure tag gets no empty caption."""
    model(tmp_path / "model")
    [draft] = drafts(tmp_path, [asked("red")], general=0.999, character=1.0)
    assert "no tag is sure enough" in draft.problem


def test_an_image_that_cannot_be_read_keeps_no_other_back(tmp_path: Path) -> None:
    """It has a problem, its neighbours have tags."""
    model(tmp_path / "model")
    broken = CaptionRequest("broken.png", "0", lambda: b"no image")
    found = {one.key: one for one in drafts(tmp_path, [asked("red"), broken, asked("blue")])}
    assert "image" in found["broken.png"].problem
    assert found["red.png"].text
    assert found["blue.png"].text


def test_images_come_on_a_white_square() -> None:
    """Aspect ratios are kept, channels are turned round."""
    made = prepared(Image.new("RGB", (40, 20), (255, 0, 0)), 40)
    assert made.shape == (40, 40, 3)
    assert made[0, 0].tolist() == [255, 255, 255]
    assert made[20, 20].tolist() == [0, 0, 255]


def _text(name: str, text: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_text(text) and None


@pytest.mark.parametrize(("damage", "said"), [
    (lambda folder: (folder / "model.onnx").unlink(), "there is no such file"),
    (lambda folder: (folder / "selected_tags.csv").unlink(), "there is no such file"),
    (_text("model.onnx", "no model"), "cannot be loaded"), (_text("selected_tags.csv", "a,b\n1,2\n"), "no columns name and category"),
    (_text("selected_tags.csv", "tag_id,name,category,count\n0,general,9,1\n"), "gives 6 numbers an image, the table has 1 tags"),
    (lambda folder: (folder / "selected_tags.csv").write_bytes(b"name,category\n\xff,0\n"), "cannot be read"),
    (lambda folder: model(folder, shape=("n", SIDE, 8, 3)), "not images"),
])  # fmt: skip
def test_models_that_are_none_are_told(tmp_path: Path, damage: Callable[[Path], Any], said: str) -> None:
    """By file, with what is wanted."""
    damage(model(tmp_path / "model"))
    with pytest.raises(EnvironmentMissing, match=said):
        drafts(tmp_path, [asked("red")])


@pytest.mark.parametrize(("written", "said"), [
    ('weights = "nowhere"', "nothing is at 'nowhere'"), ('weights = "hf:SmilingWolf/wd-vit-tagger-v3"', "is not pinned"),
    ('weights = "hf:SmilingWolf/wd-vit-tagger-v3/model.onnx"', "is no repository"), ('weights = "x"\ngeneral = 2.0', "general"),
])  # fmt: skip
def test_a_plan_tells_what_is_missing(
    spec_file: Callable[..., Path], loraspec_cli: Any, tiny_plugin: None, written: str, said: str
) -> None:
    """Before anything is loaded."""
    path = spec_file(TINY_SPEC.replace("[adapter]", f'[captions.captioner]\nuse = "wd14"\n{written}\n\n[adapter]'))
    loraspec_cli("plan", path).assert_failed(2, said)


def test_a_comma_of_a_table_is_no_separator() -> None:
    """One tag is one descriptor, whatever a table holds; unknown categories are left out."""
    options = WD14Options(weights="x")
    assert chosen([Tag("a,b", "0"), Tag("odd", "7")], [0.9, 0.9], options) == {"a b": 0.9}
