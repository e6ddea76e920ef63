"""From file to spec: all problems placed and sorted; contradictions; formats."""

from __future__ import annotations

from pathlib import Path

import pytest

from loraspec.errors import Problem, SpecError
from loraspec.spec.load import load

ROOT = Path(__file__).resolve().parents[2]
GOOD = """\
loraspec = 1
[run]
name = "x"
[model]
use = "sdxl"
[[data.sources]]
use = "folder"
"""


@pytest.fixture
def said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Load a text; return its problems as lines."""
    monkeypatch.chdir(tmp_path)

    def lines(text: str, *profiles: str, sets: tuple[str, ...] = ()) -> list[str]:
        Path("s.toml").write_text(text, encoding="utf-8")
        loaded, problems = load("s.toml", profiles=profiles, sets=sets, strict=False)
        if problems:
            with pytest.raises(SpecError) as caught:
                load("s.toml", profiles=profiles, sets=sets)
            assert caught.value.problems == problems
            if loaded is not None:
                with pytest.raises(SpecError):
                    _ = loaded.spec
        return [str(problem) for problem in problems]

    return lines


def test_load_gives_a_typed_spec(said, tmp_path: Path) -> None:
    """A good file has no problems and its defaults are there."""
    assert said(GOOD) == []
    loaded = load(tmp_path / "s.toml")
    assert loaded.spec.train.epochs == 20
    assert loaded.spec.grid.weights == (0.4, 0.6, 0.8, 1.0)
    assert loaded.document.name == str(tmp_path / "s.toml")


@pytest.mark.parametrize("path", sorted((ROOT / "specs").glob("*.toml")), ids=lambda p: p.stem)
def test_every_shipped_spec_loads_with_each_profile(path: Path) -> None:
    """The core tables of every file in specs/ are right, whatever profile is chosen."""
    for profile in [None, *load(path).document.tables.get("profiles", {})]:
        loaded = load(path, profiles=[profile] if profile else [])
        assert loaded.spec.run.name == path.stem


def test_load_tells_everything_sorted_by_place(said) -> None:
    """Values are shown at the value, unknown keys at the key, missing keys at their table."""
    text = GOOD.replace('name = "x"', 'nmae = "x"') + '[train]\nepochs = "3"\nbatch_sise = 2\n[grid]\nguidance = -1.0\n'
    assert said(text) == [
        ("s.toml:2:2  run.name  required key missing  [E-SPEC-MISSING]\n"
        "    hint: Name of the run, for its folder and files: letters, digits, dot, - and _."),
        "s.toml:3:1  run.nmae  unknown key  [E-SPEC-UNKNOWN]\n    hint: did you mean 'name'?",
        's.toml:9:10  train.epochs  expected an integer, got "3"  [E-SPEC-TYPE]\n    hint: write it without quotes: 3',
        "s.toml:10:1  train.batch_sise  unknown key  [E-SPEC-UNKNOWN]\n    hint: did you mean 'batch_size'?",
        "s.toml:12:12  grid.guidance  must be at least 0, got -1.0  [E-SPEC-RANGE]",
    ]


def test_load_places_problems_in_the_layer_they_came_from(said) -> None:
    """A profile's value is shown in the profile, a --set on the command line."""
    text = GOOD + "[train]\nepochs = 3\n[profiles.a]\ntrain = { epochs = 0 }\n[profiles.b.train]\nepoch = 1\n"
    limits = "[E-SPEC-RANGE]\n    hint: 1 to 100000; the nearest is 1"
    assert said(text, "a")[0] == f"s.toml:11:20  train.epochs  must be greater than 0, got 0  {limits}"
    assert said(text)[1] == "s.toml:13:1  train.epoch  unknown key  [E-SPEC-UNKNOWN]\n    hint: did you mean 'epochs'?"
    assert said(text, sets=("train.epochs=-1",))[0] == f"--set  train.epochs  must be greater than 0, got -1  {limits}"


def test_load_checks_profiles_that_were_not_chosen(said) -> None:
    """A slip in any profile is told; what only a combination could break is not."""
    assert len(said(GOOD + "[profiles.a]\ntrian = {}\n[profiles.b]\ndata = { resolution = 64 }\n")) == 1


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("data.buckets = { min = 640, max = 512 }", "data.buckets.min  data.buckets.min (640) is larger than data.buckets.max (512)"),
        ("data.resolution = 256", "data.resolution  data.buckets.min (512, the default) is larger than data.resolution (256)"),
        ("data.resolution = 4096", "data.resolution  data.resolution (4096) is larger than data.buckets.max (2048, the default)"),
        ("data.buckets.max = 1000", "data.buckets.max  data.buckets.max (1000) is not a multiple of data.buckets.step (64, the default)"),
        ("data.buckets.step = 96", "data.buckets.step  data.resolution (1024, the default) is not a multiple of data.buckets.step (96)"),
        ("grid.epochs = [1, 21]", "grid.epochs  epoch 21 is not trained: train.epochs (20, the default)"),
        ("grid.epochs = [5]\ntrain.epochs = 4", "grid.epochs  epoch 5 is not trained: train.epochs (4)"),
        ("grid.epochs = [0]", "grid.epochs  epoch 0 is not trained"),
        ("grid.weights = [0.5, 1, 0.5]", "grid.weights  0.5 is there twice"),
        ("grid.seeds = [3, 3, 3]", "grid.seeds  3 is there twice"),
        ("grid.seeds = [-1]", "grid.seeds  every seed must be at least 0, got -1"),
        ('grid.prompts = ["a", "a"]', 'grid.prompts  "a" is there twice'),
        ("data.expect.images = [9, 3]", "data.expect.images  expected [least, most], got [9, 3]"),
        ('captions.style_tag = "by X, Jr."', 'captions.style_tag  "by X, Jr." holds captions.separator (",")'),
        ('plugins = ["./a.py", "./a.py"]', 'plugins  "./a.py" is there twice'),
    ],
)
def test_load_tells_contradictions_of_two_keys(said, lines: str, message: str) -> None:
    """Keys that are right alone and wrong together are told, both named, where somebody wrote one."""
    found = said("loraspec = 1\n" + lines + "\n" + GOOD.partition("\n")[2])
    assert any(message in line for line in found), found
    assert all(not line.startswith("s.toml:1:1") for line in found)


def test_load_tells_contradictions_beside_other_mistakes(said) -> None:
    """Keys that are right are compared although others are wrong; a wrong key is not compared by its default."""
    more = 'train = { epochs = "x" }\ngrid = { epochs = [99], seeds = [1, 1] }\ndata.repeats = 0\n'
    more += "data.buckets = { min = 640, max = 512 }\n"
    found = said("loraspec = 1\n" + more + "[run]\nseed = 1\n[model]\nuse = 3\n[adapter]\nuse = 1\n")
    paths = [line.split("  ")[1] for line in found]
    assert set(paths) == {"train.epochs", "grid.seeds", "data.sources", "data.repeats", "data.buckets.min", "data.buckets.max"} | {
        "run.name", "model.use", "adapter.use",
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("loraspec = 2\nfuture = 1\n", "s.toml:1:12  loraspec  this file needs a newer loraspec: it has format 2, this one reads 1"),
        ("loraspec = 0\n", ("s.toml:1:12  loraspec  this file has format 0; this loraspec reads 1  "
         "[E-SPEC-VERSION]\n    hint: loraspec migrate s.toml")),
        ("[base]\nuse = 'x'\n", "s.toml:1:1  loraspec  this file has format 0"),
        ('loraspec = "1"\n', "s.toml:1:12  loraspec  expected the number of the format"),
        ("loraspec = true\n", "s.toml:1:12  loraspec  expected the number of the format"),
    ],
)
def test_load_tells_only_the_format_when_it_is_another(said, text: str, message: str) -> None:
    """The keys of another format would only be noise."""
    (line,) = said(text)
    assert line.startswith(message)


def test_load_asks_for_the_number_of_the_format(said) -> None:
    """A file of today without its number is told with everything else."""
    found = said(GOOD.partition("\n")[2] + "[train]\nepochs = 0\n")
    assert [line.split("  ")[1] for line in found] == ["loraspec", "train.epochs"]


def test_load_keeps_an_empty_file_to_the_point(said) -> None:
    """Nothing written: what is required is named."""
    assert [line.split("  ")[1] for line in said("")] == ["data", "loraspec", "model", "run"]


def test_loaded_places_problems_of_others(said, tmp_path: Path) -> None:
    """What a component's options have against the file is placed by the same rules."""
    said(GOOD + "[adapter]\nrank = 3\n")
    loaded = load("s.toml", sets=["optimizer.lr=2"])
    assert str(loaded.place(Problem("adapter.rank", "odd"))) == "s.toml:9:8  adapter.rank  odd"
    assert str(loaded.place(Problem("optimizer.lr", "odd"))) == "--set  optimizer.lr  odd"
    assert str(loaded.place(Problem("objective.x", "odd"))) == "s.toml:1:1  objective.x  odd"
    assert str(loaded.place(Problem("", "odd"))) == "s.toml  odd"
    assert loaded.place(Problem("x", "odd", file="else")).file == "else"
