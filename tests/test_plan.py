"""Plans: every problem in one go, and exact numbers before a run."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tomlkit
from PIL import Image

from loraspec.errors import EnvironmentMissing, SpecError
from loraspec.lock import make_lock
from loraspec.plan import Plan, resolve
from loraspec.weights import header_bytes

SPEC = """\
loraspec = 1

[run]
name = "test"
seed = 7

[model]
use = "sd15"
checkpoint = "stable-diffusion-v1-5/stable-diffusion-v1-5"

[data]
resolution = 512
repeats = 10
buckets = { min = 256, max = 1024 }
expect = { images = [1, 100] }

[[data.sources]]
use = "folder"
path = "images"
rights = "own"

[[captions.transforms]]
use = "shuffle"

[adapter]
rank = 4
alpha = 4

[train]
epochs = 3
batch_size = 4
"""
SIZES = {(512, 512): 13, (384, 640): 9, (640, 384): 7, (576, 448): 5, (320, 768): 3, (768, 320): 2, (448, 576): 1}


def write_images(folder: Path, sizes: dict[tuple[int, int], int], caption: str = "a man {}, coat, street, dog") -> None:
    """Write images of one colour, each another, with captions."""
    folder.mkdir(exist_ok=True)
    number = 0
    for size, count in sizes.items():
        for _ in range(count):
            image = Image.new("RGB", size, (number * 5 % 256, number, 99))
            image.putpixel((0, 0), (0, 0, 0))  # a picture of one colour would be warned of
            image.save(folder / f"{number:02}.png")
            (folder / f"{number:02}.txt").write_text(caption.format(number))
            number += 1


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Plan]:
    """Plan a variation of SPEC: ``make(old, new, old, new, ..., sets=[...])``."""

    def plan(*changes: str, sizes: dict[tuple[int, int], int] | None = None, **overlay: Any) -> Plan:
        text = SPEC
        for old, new in zip(changes[::2], changes[1::2], strict=True):
            assert old in text
            text = text.replace(old, new)
        (tmp_path / "spec.toml").write_text(text)
        if not (tmp_path / "images").exists():
            write_images(tmp_path / "images", {(512, 512): 3, (384, 640): 2} if sizes is None else sizes)
        return resolve(tmp_path / "spec.toml", **overlay)

    return plan


def places(error: SpecError) -> list[tuple[int, str]]:
    """(line, path) of every problem."""
    return [(problem.line, problem.path) for problem in error.problems]


# -- problems ------------------------------------------------------------------------------------------------------------


def test_every_kind_of_problem_is_told_in_one_go(make: Callable[..., Plan]) -> None:
    """Core keys, unknown components, options, requirements and plugin files: all, placed and sorted."""
    with pytest.raises(SpecError) as caught:
        make(
            "loraspec = 1\n", 'loraspec = 1\nrequires = ["loraspec-none>=2"]\nplugins = ["none.py"]\n',
            "seed = 7", "seed = -1",
            'use = "shuffle"', 'use = "shufle"',
            "rank = 4", 'rank = "4"',
            "epochs = 3", "epoch = 3",
        )  # fmt: skip
    assert places(caught.value) == [
        (2, "requires[0]"),
        (3, "plugins[0]"),
        (7, "run.seed"),
        (25, "captions.transforms[0].use"),
        (28, "adapter.rank"),
        (32, "train.epoch"),
    ]
    assert "pip install 'loraspec-none>=2'" in str(caught.value)
    assert "did you mean 'shuffle'" in str(caught.value)


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("x = (\n", "SyntaxError"),
        ("1 / 0\n", "division by zero"),
        ("import loraspec\n\n@loraspec.hookimpl\ndef loraspec_register_optimiser(): ...\n", "did you mean 'loraspec_register_optimizer'?"),
    ],
)
def test_plugin_file_that_cannot_be_used_is_told(make: Callable[..., Plan], tmp_path: Path, source: str, reason: str) -> None:
    """Whoever names a plugin file needs it, even when every component has the name of a built-in."""
    (tmp_path / "mine.py").write_text(source)
    with pytest.raises(SpecError) as caught:
        make("loraspec = 1\n", 'loraspec = 1\nplugins = ["mine.py"]\n')
    assert places(caught.value) == [(2, "plugins[0]")]
    assert reason in str(caught.value)


def test_refusal_of_an_adapter_is_placed(make: Callable[..., Plan]) -> None:
    """What a component finds against its options when its facts are asked for has a line too."""
    plan = make("rank = 4", 'target_modules = ["to_z"]\nrank = 4')
    with pytest.raises(SpecError) as caught:
        plan.summary()
    assert places(caught.value) == [(26, "adapter.target_modules")]


def test_problem_of_an_overlay_is_placed_there(make: Callable[..., Plan]) -> None:
    """A wrong --set is told as --set, a wrong profile at the profile's line."""
    small = "batch_size = 4\n[profiles.small]\nadapter = { rank = 0 }"
    with pytest.raises(SpecError) as caught:
        make("batch_size = 4", small, sets=["optimizer.use='none'"], profiles=["small"])
    assert [(p.file.rsplit("/")[-1], p.line, p.path) for p in caught.value.problems] == [
        ("--set", 0, "optimizer.use"),
        ("spec.toml", 33, "adapter.rank"),
    ]


def test_all_bad_images_and_captions_are_told_together(make: Callable[..., Plan], tmp_path: Path) -> None:
    """Broken, too small, empty and missing captions: named, and placed at their source."""
    plan = make()
    images = tmp_path / "images"
    (images / "00.png").write_bytes(b"")
    Image.new("RGB", (600, 40)).save(images / "01.png")
    (images / "02.txt").write_text(" \n")
    (images / "03.txt").unlink()
    with pytest.raises(SpecError) as caught:
        _ = plan.data
    assert {problem.path for problem in caught.value.problems} == {"00.png", "01.png", "02.png", "data.sources[0]"}
    assert {problem.line for problem in caught.value.problems} == {17}
    assert "1 of 4 images without a caption: 03.png" in str(caught.value)


def test_every_image_without_a_caption_is_named(make: Callable[..., Plan], tmp_path: Path) -> None:
    """No captioner is chosen, so none may be missing."""
    plan = make(sizes={(512, 512): 20})
    for path in (tmp_path / "images").glob("*.txt"):
        path.unlink()
    with pytest.raises(SpecError, match="20 of 20 images without a caption") as caught:
        _ = plan.data
    assert all(f"{number:02}.png" in str(caught.value) for number in range(20))


def test_missing_data_is_no_mistake_of_the_spec(make: Callable[..., Plan]) -> None:
    """The spec resolves; only its data does not."""
    plan = make("rights =", 'get = "from the museum"\nrights =', 'path = "images"', 'path = "elsewhere/images"')
    with pytest.raises(EnvironmentMissing, match="from the museum") as caught:
        _ = plan.data
    assert caught.value.exit_code == 3


def test_meanwhile_names_a_profile_with_data_of_its_own(make: Callable[..., Plan]) -> None:
    """Only such a profile can be looked at without the data, and only when it is not chosen already."""
    own = 'sources = [{ use = "folder", path = "x", rights = "own" }]'
    profiles = f"\n[profiles.low]\nadapter = {{ rank = 2 }}\n[profiles.own]\ndata = {{ {own} }}"
    plan = make("batch_size = 4", "batch_size = 4" + profiles)

    assert plan.meanwhile.endswith("spec.toml --profile own")
    assert make("batch_size = 4", "batch_size = 4" + profiles, profiles=["own"]).meanwhile == ""
    assert make().meanwhile == ""


@pytest.mark.parametrize(("heldout", "wrong"), [(4, False), (5, True), (50, True)])
def test_holding_out_everything_is_refused(make: Callable[..., Plan], heldout: int, wrong: bool) -> None:
    """One image at least stays to train on."""
    plan = make(sets=[f"grid.heldout={heldout}"])
    if wrong:
        with pytest.raises(SpecError, match="leaves none to train on"):
            _ = plan.data
    else:
        assert (len(plan.data.images), len(plan.data.heldout)) == (1, 4)


def test_two_exporters_of_one_file_are_refused(make: Callable[..., Plan]) -> None:
    """The second would overwrite the first."""
    plan = make("batch_size = 4", 'batch_size = 4\n[[exporters]]\nuse = "kohya"\n[[exporters]]\nuse = "kohya"')
    with pytest.raises(SpecError, match="as another exporter does"):
        plan.exports(1)


def test_warnings_name_what_is_rarely_meant(make: Callable[..., Plan], tmp_path: Path) -> None:
    """Number and size of images, style tag, first descriptor, size and fill of buckets, alpha, prompts."""
    plan = make(
        "images = [1, 100]", "images = [30, 100], min_side = 400",
        "alpha = 4", "alpha = 8",
        "min = 256", "min = 448",
        "batch_size = 4", 'batch_size = 64\n[grid]\nprompts = ["a dog"]',
        "[[captions.transforms]]", '[captions]\nstyle_tag = "by X"\nfirst_prefix = "caricature of"\n[[captions.transforms]]',
    )  # fmt: skip
    from loraspec.forecast import all_warnings

    found = {problem.path: problem.message for problem in all_warnings(plan)}

    assert found.keys() >= {
        "data.expect.images", "data.expect.min_side", "data.buckets.min", "captions.style_tag",
        "captions.first_prefix", "train.batch_size", "adapter.alpha", "grid.prompts",
    }  # fmt: skip
    assert "03.png, 04.png" in found["data.expect.min_side"]
    assert "2 images are too small" in found["data.buckets.min"]
    assert all(problem.line for problem in all_warnings(plan))


def test_style_tag_that_a_transform_adds_is_there(make: Callable[..., Plan]) -> None:
    """Captions are looked at as they are trained, and letters' case does not count."""
    ensure = '[captions]\nstyle_tag = "by X"\n[[captions.transforms]]\nuse = "ensure"\ndescriptors = ["By X"]\n[[captions.transforms]]'
    plan = make("[[captions.transforms]]", ensure)

    assert [problem.path for problem in plan.data.problems] == []


# -- what was chosen -----------------------------------------------------------------------------------------------------


def test_resolved_spec_is_a_spec_with_the_same_hash(make: Callable[..., Plan], tmp_path: Path) -> None:
    """Defaults written out and ``use`` in full: planned again, nothing changes."""
    plan = make(sets=["train.epochs=4"])
    (tmp_path / "again.toml").write_text(tomlkit.dumps(plan.resolved))
    again = resolve(tmp_path / "again.toml")

    assert again.resolved == plan.resolved
    assert again.spec_hash == plan.spec_hash
    assert plan.resolved["optimizer"]["use"] == "guide:dadapt-adamw"


def test_hash_is_of_meaning_and_not_of_text(make: Callable[..., Plan]) -> None:
    """Comments, order, written defaults and the run's folder change nothing; any value does."""
    plain = make()

    same = [
        make("seed = 7", "seed = 7 # a comment"),
        make("rank = 4\nalpha = 4", "alpha = 4.0\nrank = 4"),
        make("epochs = 3", "epochs = 3\ngradient_checkpointing = false"),
        make(sets=["run.output=somewhere"]),
        make('use = "shuffle"', 'use = "guide:shuffle"'),
    ]
    assert {plan.spec_hash for plan in same} == {plain.spec_hash}
    assert make(sets=["run.seed=8"]).spec_hash != plain.spec_hash
    assert make('use = "shuffle"', 'use = "shuffle"\nkeep = 2').spec_hash != plain.spec_hash


def test_run_folder_is_named_by_the_hash(make: Callable[..., Plan]) -> None:
    """Unless the spec says where."""
    plan = make()

    assert plan.run_folder == Path("runs") / f"test-{plan.spec_hash[:8]}"
    assert make(sets=["run.output=there"]).run_folder == Path("there")


def test_plugin_files_of_a_spec_are_loaded(make: Callable[..., Plan], tmp_path: Path) -> None:
    """A component from a file beside the spec is chosen like any other."""
    source = (
        "from attrs import frozen\nfrom loraspec import Component, hookimpl\n\n@frozen\nclass Options:\n    pass\n\n"
        "class Backwards:\n    deterministic = True\n"
        "    def __call__(self, descriptors, *, sample, rng):\n        return descriptors[::-1]\n\n"
        "def build(options):\n    '''Turn captions round.'''\n    return Backwards()\n\n"
        "@hookimpl\ndef loraspec_register_caption_transform():\n    return [Component('backwards', Options, build)]\n"
    )
    (tmp_path / "halftone.py").write_text(source)
    plan = make("loraspec = 1\n", 'loraspec = 1\nplugins = ["halftone.py"]\n', 'use = "shuffle"', 'use = "backwards"')

    assert plan.many("caption_transform")[0].entry.qualified == "halftone:backwards"
    assert plan.data.settled_caption("00.png") == "dog, street, coat, a man 0"


def test_two_sources_have_keys_of_their_own(make: Callable[..., Plan], tmp_path: Path) -> None:
    """Equal names of two folders do not meet."""
    write_images(tmp_path / "more", {(512, 512): 1})
    plan = make('rights = "own"', 'rights = "own"\n[[data.sources]]\nuse = "folder"\npath = "more"\nrights = "own"')

    assert [item.key for item in plan.data.images] == ["1/00.png", "1/01.png", "1/02.png", "1/03.png", "1/04.png", "2/00.png"]


# -- numbers -------------------------------------------------------------------------------------------------------------


def test_summary_of_the_worked_example(make: Callable[..., Plan]) -> None:
    """40 images in buckets of 13, 9, 7, 5, 3, 2, 1 at 10 repeats and batch 4: 103 steps an epoch."""
    found = make(sizes=SIZES).summary()

    assert {(b["width"], b["height"]): b["images"] for b in found["buckets"]} == SIZES
    assert found["images"] == 40
    assert found["repeats"] == 10
    assert found["samples_per_epoch"] == 400
    assert found["steps_per_epoch"] == 103
    assert found["epochs"] == found["epoch_files"] == 3
    assert found["steps"] == 309
    assert found["latents"] == 40
    assert found["grid_cells"] == 3 * 4 * 3 * 1 + 3
    assert found["adapter_modules"] == 192
    json.dumps(found, allow_nan=False)


def test_parameters_grow_with_the_rank(make: Callable[..., Plan]) -> None:
    """Known without torch."""
    one, four = make(sets=["adapter.rank=1"]).summary(), make().summary()

    assert four["adapter_parameters"] == 4 * one["adapter_parameters"]


def test_sizes_of_epoch_files_are_exact(make: Callable[..., Plan]) -> None:
    """The header and the tensors that will be written have exactly the planned size; names count epochs."""
    exporters = '[[exporters]]\nuse = "kohya"\n[[exporters]]\nuse = "diffusers"'
    plan = make("epochs = 3", "epochs = 11", "batch_size = 4", f"batch_size = 4\n{exporters}")
    found = {entry["path"]: entry["bytes"] for entry in plan.summary()["files"]}

    assert len(found) == plan.summary()["epoch_files"] == 22
    assert "test-000001.safetensors" in found
    assert "test-000011.safetensors" in found
    for epoch in (1, 9, 10, 11):
        for facts in plan.exports(epoch):
            head = header_bytes(facts.tensors, facts.metadata)
            data = sum({"F16": 2, "BF16": 2, "F32": 4}[dtype] * _product(shape) for dtype, shape in facts.tensors.values())
            assert found[facts.path] == len(head) + data


def _product(shape: tuple[int, ...]) -> int:
    size = 1
    for side in shape:
        size *= side
    return size


@pytest.mark.parametrize(
    ("sets", "cells"),
    [
        (["grid.epochs=[1, 3]", "grid.weights=[0.5, 1.0]", "grid.seeds=[1, 2]"], 2 * 2 * 3 * 2 + 3 * 2),
        (["grid.weights=[0.0, 1.0]", "grid.prompts=['a', 'b']"], 3 * 1 * 2 * 1 + 2),
        (["evaluators=[]"], 0),
    ],
)
def test_grid_cells_are_counted_once(make: Callable[..., Plan], sets: list[str], cells: int) -> None:
    """Epochs x weights x prompts x seeds, and one picture without LoRA per prompt and seed; weight 0 is that picture."""
    assert make(sets=sets).summary()["grid_cells"] == cells


def test_default_prompts_are_three_captions(make: Callable[..., Plan]) -> None:
    """Of held-out images where there are any, else of training images; drawn by the seed."""
    plan = make()
    captions = set(plan.data.raw_captions.values())

    assert len(plan.grid.prompts) == 3
    assert set(plan.grid.prompts) <= captions
    held = make(sets=["grid.heldout=2"])
    assert set(held.grid.prompts) == {item.sample.caption for item in held.data.heldout}


METRICS = 'evaluators=[{use="grid"}, {use="copy-rate"}]'


def test_judging_is_counted_when_a_metric_is_there(make: Callable[..., Plan]) -> None:
    """Three weights of the guide and the probe, eight prompts, two seeds; the base, also at the four fresh seeds; the tie set."""
    found = make(sets=[METRICS]).summary()
    assert found["judged_cells"] == 3 * 4 * 8 * 2 + 8 * 2 + 8 * 4
    assert found["fresh_cells"] == 3 * 4 * 8 * 4
    assert found["disk"]["grid"] > make(sets=['evaluators=["grid"]'.replace('"grid"', '{use="grid"}')]).summary()["disk"]["grid"]
    silent = make(sets=['evaluators=[{use="grid"}]']).summary()
    assert (silent["judged_cells"], silent["fresh_cells"], silent["judged_prompts"]) == (0, 0, [])
    few = make(sets=[METRICS, "grid.probe=0", "grid.fresh_seeds=0", 'grid.judged_prompts=["a","b","a"]', "grid.judged_seeds=[7]"])
    assert (few.grid.judged_weights, few.grid.judged_prompts, few.grid.judged_seeds) == ((0.8, 0.9, 1.0), ("a", "b"), (7,))
    assert few.summary()["judged_cells"] == 3 * 3 * 2 + 2 + 2 * 2


def test_seeds_are_drawn_apart(make: Callable[..., Plan]) -> None:
    """Judged and fresh seeds have none in common, also where a person wrote one that would be drawn; another run has others."""
    plan = make(sets=["grid.fresh_seeds=3"])
    assert len({*plan.grid.judged_seeds, *plan.grid.fresh_seeds}) == 5
    taken = plan.grid.fresh_seeds[0]
    mine = make(sets=["grid.fresh_seeds=3", f"grid.judged_seeds=[{taken}]"])
    assert taken not in mine.grid.fresh_seeds
    assert len(mine.grid.fresh_seeds) == 3
    assert make(sets=["run.seed=99"]).grid.judged_seeds != plan.grid.judged_seeds
    assert all(0 <= seed < 2**31 for seed in (*plan.grid.judged_seeds, *plan.grid.fresh_seeds))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("grid.probe=0.9", "must be above 1 and at most 2, or 0 for none"), ("grid.probe=3", "above 1 and at most 2"),
        ("grid.heldout=-1", "must be >= 0"), ('grid.heldout="many"', "auto"), ('grid.every="week"', "epoch"),
        ("grid.fresh_seeds=65", "at most 64"),
    ],
)  # fmt: skip
def test_judging_keys_are_checked(make: Callable[..., Plan], change: str, words: str) -> None:
    """Each with what would be right."""
    with pytest.raises(SpecError, match=words):
        make(sets=[change])


def test_auto_holds_out_and_says_what_it_costs(make: Callable[..., Plan]) -> None:
    """Three of five images, which is a warning; the lock names them."""
    plan = make(sets=['grid.heldout="auto"'])
    assert len(plan.data.heldout) == 3
    assert any(problem.code == "W-DATA-HELDOUT" and "leaves 2 to train on" in problem.message for problem in plan.data.problems)
    assert make_lock(plan)["data"]["heldout"] == [item.key for item in plan.data.heldout]


def test_judged_prompts_that_reward_memory_are_warned_about(make: Callable[..., Plan]) -> None:
    """A training caption in another order is one; few prompts and a single seed say little."""
    caption = next(text for text in make().data.raw_captions.values() if text)
    words = ", ".join(reversed([part.strip() for part in caption.split(",")]))
    plan = make(sets=[f"grid.judged_prompts={json.dumps([words, 'a robot'])}", "grid.judged_seeds=[1]"])
    found = [problem.message for problem in plan.data.problems if problem.code == "W-GRID-JUDGED"]
    assert len(found) == 3
    assert found[0].startswith("1 judged prompts are training captions")
    assert not [problem for problem in make().data.problems if problem.code == "W-GRID-JUDGED"]


def test_header_says_what_a_weight_file_may_say(make: Callable[..., Plan], tmp_path: Path) -> None:
    """Strings only; the epoch and its steps; nothing of the machine."""
    plan = make()
    header = plan.header(2)

    assert all(isinstance(value, str) for value in header.values())
    assert (header["epoch"], header["step"], header["steps"]) == ("2", str(2 * plan.data.steps_per_epoch), str(plan.data.total_steps))
    assert header["spec_hash"] == plan.spec_hash
    assert (header["rank"], header["alpha"], header["rights"]) == ("4", "4", "own")
    assert str(tmp_path) not in json.dumps(header)
    assert set(plan.header(1)) == set(header)


def test_disk_is_counted_from_the_files(make: Callable[..., Plan], monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights to the byte, latents by their shape, embeddings of all epochs as far as the cache may grow, free space."""
    plan = make()
    disk, model, data = plan.summary()["disk"], plan.model, plan.data
    latents = (3 * 64 * 64 + 2 * 48 * 80) * 4 * 2 * 4
    one = ((model.max_tokens + 2) * sum(model.text_widths) + model.pooled_width) * 4

    assert disk["epoch_files"] == sum(entry["bytes"] for entry in plan.summary()["files"])
    assert data.distinct_captions > data.distinct_captions_of_an_epoch > 0
    assert disk["cache"] == latents + one * data.distinct_captions
    assert disk["free"] > 0
    assert disk["total"] == disk["epoch_files"] + disk["state"] + disk["cache"] + disk["grid"]

    monkeypatch.setenv("LORASPEC_CACHE_MAX", "1 MB")
    assert plan.summary()["disk"]["cache"] == latents + one * data.distinct_captions_of_an_epoch
