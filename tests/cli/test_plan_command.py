"""``loraspec plan`` and ``loraspec captions preview``."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from PIL import Image

from loraspec.cli import main
from loraspec.plan import resolve

SPEC = """\
loraspec = 1
[run]
name = "test"
[model]
use = "sdxl"
checkpoint = "stabilityai/stable-diffusion-xl-base-1.0"
[data]
repeats = 2
expect = { images = [1, 9] }
[[data.sources]]
use = "folder"
path = "images"
rights = "own"
get = "from the museum"
[[captions.transforms]]
use = "shuffle"
[train]
epochs = 3
[profiles.own]
data = { sources = [{ use = "folder", path = "other", rights = "own" }] }
"""


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    """A spec with three images of a kind."""
    (tmp_path / "images").mkdir()
    for number in range(3):
        Image.new("RGB", (1024, 1024), (number, 0, 0)).save(tmp_path / "images" / f"{number}.png")
        (tmp_path / "images" / f"{number}.txt").write_text(f"man {number}, coat, street, dog, ink")
    (tmp_path / "spec.toml").write_text(SPEC)
    return tmp_path / "spec.toml"


def call(*words: object, columns: int = 80) -> Result:
    """Call the command line in a terminal of some width."""
    return CliRunner(env={"COLUMNS": str(columns)}).invoke(main, [str(word) for word in words], prog_name="loraspec")


def test_plan_fits_80_columns_and_changes_nothing(spec: Path) -> None:
    """The screen a person reads: numbers of the summary, and nothing left behind."""
    before = sorted(spec.parent.rglob("*"))
    result = call("plan", spec)
    lines = result.stdout.splitlines()

    assert result.exit_code == 0, result.output
    assert all(len(line) <= 80 for line in lines[1:])
    assert lines[-1] == "Nothing was changed."
    assert "3 images; 6 samples per epoch (repeats 2)" in result.stdout
    assert "18 steps = 3 epochs x 6 (batch 1)" in result.stdout
    assert "1024 x 1024: 3" in result.stdout
    assert sorted(spec.parent.rglob("*")) == before


def test_plan_prints_json_alone(spec: Path) -> None:
    """stdout is one JSON object, equal to the plan's summary but for the disk's free space."""
    result = call("plan", spec, "--json")
    found, expected = json.loads(result.stdout), resolve(spec).summary()
    found["disk"].pop("free")
    expected["disk"].pop("free")

    assert result.exit_code == 0
    assert found == json.loads(json.dumps(expected))


def test_missing_data_says_what_where_and_meanwhile(spec: Path) -> None:
    """Exit code 3, without a traceback."""
    (spec.parent / "images").rename(spec.parent / "away")
    for words in (["plan", spec], ["captions", "preview", spec]):
        result = call(*words)
        assert result.exit_code == 3
        assert "data folder 'images' is not there" in result.stderr
        assert "hint: from the museum" in result.stderr
        assert "--profile own" in result.stderr
        assert "Traceback" not in result.output


def test_bad_image_is_exit_code_2(spec: Path) -> None:
    """Named, at the source's line."""
    (spec.parent / "images" / "1.png").write_bytes(b"")
    result = call("plan", spec)

    assert result.exit_code == 2
    assert "spec.toml:10" in result.stderr
    assert "1.png  is empty (0 bytes)" in result.stderr


def test_preview_prints_the_captions_of_the_plan(spec: Path) -> None:
    """Exactly those that training draws, in the order of its steps."""
    result = call("captions", "preview", spec, "--epoch", 3, "--json")
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    plan = resolve(spec)
    expected = [(step.index, visit.key, visit.repeat, plan.data.caption(visit)) for step in plan.data.steps(3) for visit in step.visits]

    assert [(row["step"], row["key"], row["repeat"], row["caption"]) for row in rows] == expected
    assert [row["step"] for row in rows] == list(range(13, 19))
    text = call("captions", "preview", spec, "--epoch", 3, columns=200).stdout
    assert all(caption in text for *_, caption in expected)


def test_preview_stops_at_its_limit(spec: Path) -> None:
    """And says how many are left."""
    result = call("captions", "preview", spec, "-n", 2)

    assert len(result.stdout.splitlines()) == 3
    assert "4 more visits" in result.stderr


def test_preview_of_an_epoch_that_is_not_trained_is_refused(spec: Path) -> None:
    """Epochs are 1 to train.epochs."""
    result = call("captions", "preview", spec, "--epoch", 4)

    assert result.exit_code == 2
    assert "epochs are 1 to 3" in result.stderr


@pytest.mark.parametrize("words", [["plan", "--json"], ["captions", "preview"]])
def test_no_torch_is_imported(spec: Path, words: list[str]) -> None:
    """Planning works where torch is not installed."""
    code = (
        "import sys\n"
        "class Refuse:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] in ('torch', 'diffusers', 'transformers', 'peft', 'safetensors', 'dadaptation'):\n"
        "            raise ImportError(f'{name} must not be imported')\n"
        "sys.meta_path.insert(0, Refuse())\n"
        "from loraspec.cli import main\n"
        "main(sys.argv[1:])\n"
    )
    done = subprocess.run([sys.executable, "-c", code, *words, str(spec)], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
