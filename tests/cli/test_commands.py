"""validate, show, plugins, schema, migrate and init do what their help says."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest

from loraspec.testing import TINY_SPEC
from loraspec.testing.suites.pictures import write_pictures

OWN = ("--rights", "own")
BROKEN = TINY_SPEC.replace("rank = 2", 'rank = "2"').replace("batch_size = 2", "batch_sise = 2")

OLD = """\
# a recipe of the first days
[meta]
name = "old"                # kept

[base]
use = "sdxl"

[[data.sources]]
use = "folder"
path = "photos"
rights = "own"
"""


@pytest.fixture(autouse=True)
def _tiny(tiny_plugin):
    """The specs here use the tiny family."""


# -- validate ----------------------------------------------------------------------------------------------------------


def test_validate_says_ok_with_the_hash(spec_file, loraspec_cli):
    """A good spec is one line on stdout and nothing on stderr."""
    outcome = loraspec_cli("validate", spec_file(TINY_SPEC))

    outcome.assert_success()
    assert "spec.toml: ok" in outcome.out
    assert outcome.err == ""


def test_validate_tells_every_mistake_of_every_spec(spec_file, loraspec_cli):
    """With places and a count; the good one is still ok; exit code 2."""
    outcome = loraspec_cli("validate", spec_file(BROKEN, "a.toml"), spec_file(TINY_SPEC, "b.toml"), spec_file(BROKEN, "c.toml"))

    outcome.assert_failed(2, "adapter.rank")
    assert outcome.err.count("did you mean 'batch_size'?") == 2
    line = BROKEN.splitlines().index('rank = "2"') + 1
    assert f"a.toml:{line}:8  adapter.rank" in outcome.err
    assert "4 errors" in outcome.err
    assert "b.toml: ok" in outcome.out


def test_validate_strict_fails_on_warnings(spec_file, loraspec_cli):
    """A warning passes, and with ``--strict`` it is exit code 1."""
    path = spec_file(TINY_SPEC.replace("[adapter]", '[captions]\nstyle_tag = "by Nobody"\n\n[adapter]'))

    outcome = loraspec_cli("validate", path)
    outcome.assert_success()
    assert "warning:" in outcome.err
    loraspec_cli("validate", path, "--strict").assert_failed(1, "warning:")


def test_validate_strict_fails_on_broken_plugins(spec_file, loraspec_cli, install_plugin):
    """A broken plugin that the spec does not need is silent, except with ``--strict``."""
    install_plugin("bad", "1 / 0")
    path = spec_file(TINY_SPEC)

    assert loraspec_cli("validate", path).err == ""
    loraspec_cli("validate", path, "--strict").assert_failed(1, "ZeroDivisionError")


# -- show --------------------------------------------------------------------------------------------------------------


def test_show_resolved_is_the_same_spec(spec_file, loraspec_cli):
    """Printed, saved and validated, it has the same hash."""
    path = spec_file(TINY_SPEC)
    shown = loraspec_cli("show", path, "--resolved", "--set", "train.epochs=5", "--origin")
    shown.assert_success()
    again = spec_file(shown.out, "again.toml")

    first = loraspec_cli("validate", path, "--set", "train.epochs=5").out.split()[-1]
    assert loraspec_cli("validate", again).out.split()[-1] == first
    assert tomllib.loads(shown.out)["train"]["epochs"] == 5


def test_show_origin_names_the_layer(spec_file, loraspec_cli):
    """Line of the file, profile, --set or default: for keys in lists of tables too."""
    text = TINY_SPEC + "\n[profiles.big]\nadapter = { rank = 8 }\n"
    path = spec_file(text)
    line = text.splitlines().index('rights = "own"') + 1

    shown = loraspec_cli("show", path, "--resolved", "--origin", "-p", "big", "-s", "train.epochs=5")
    as_json = json.loads(loraspec_cli("show", path, "--origin", "--format", "json", "-p", "big").out)

    def origin(key):
        return next(row.split("# ")[1] for row in shown.out.splitlines() if row.startswith(f"{key} = "))

    assert [origin(key) for key in ("rank", "epochs", "weight_decay", "rights")] == ["profile big", "--set", "default", f"file:{line}"]
    assert as_json["origin"]["adapter.rank"] == "profile big"
    assert as_json["origin"]["data.sources[0].rights"] == f"file:{line}"
    assert as_json["spec"]["adapter"]["rank"] == 8


# -- plugins and schema ------------------------------------------------------------------------------------------------


def test_plugins_lists_everything(loraspec_cli, install_plugin):
    """Usable, broken, outdated and disabled plugins, each with where it came from."""
    install_plugin("bad", "1 / 0", version="3.1")
    install_plugin("future", "", group="loraspec.v2")

    out = loraspec_cli("plugins").out
    found = json.loads(loraspec_cli("plugins", "--json").out)

    assert "optimizer" in out
    assert "dadapt-adamw" in out
    assert "bad  loraspec-bad 3.1, index\n  cannot be used: ZeroDivisionError: division by zero" in out
    assert "outdated: written for plugin API v2" in out
    assert [plugin["name"] for plugin in found["broken"]] == ["bad"]
    assert {"name": "lr", "type": "float"}.items() <= next(
        option for plugin in found["plugins"] for component in plugin["components"]
        if component["qualified"] == "guide:dadapt-adamw" for option in component["options"] if option["name"] == "lr"
    ).items()  # fmt: skip


def test_plugins_show_prints_options(loraspec_cli):
    """By component, by qualified name, and by plugin."""
    for name in ("dadapt-adamw", "guide:dadapt-adamw", "guide"):
        out = loraspec_cli("plugins", "show", name).out
        assert "weight_decay" in out
        assert "0.01" in out
        assert "[optimizer]" in out
    loraspec_cli("plugins", "show", "dadapt-adam").assert_failed(2, "did you mean 'dadapt-adamw'?")


def test_plugins_show_tells_why_one_is_broken(loraspec_cli, install_plugin):
    """With the traceback, for its author."""
    install_plugin("bad", "x = 1\n1 / 0")

    out = loraspec_cli("plugins", "show", "bad").out

    assert "ZeroDivisionError" in out
    assert "line 2, in <module>" in out


def test_plugins_loads_a_file(loraspec_cli, tmp_path):
    """As a spec does."""
    file = tmp_path / "halftone.py"
    file.write_text("from loraspec import hookimpl\n\n@hookimpl\ndef loraspec_register_optimizer():\n    return []\n")

    out = loraspec_cli("plugins", "--file", file).out

    assert "halftone  file halftone.py" in out


def test_schema_writes_json(loraspec_cli, tmp_path):
    """To the terminal or to a file; installed plugins are in it."""
    shown = json.loads(loraspec_cli("schema").out)
    loraspec_cli("schema", "-o", tmp_path / "deep" / "schema.json").assert_success()

    assert json.loads((tmp_path / "deep" / "schema.json").read_text()) == shown
    assert '"tiny"' in json.dumps(shown)


# -- migrate -----------------------------------------------------------------------------------------------------------


def test_migrate_shows_and_writes_only_when_asked(tmp_path, loraspec_cli):
    """The difference first; ``--check`` is exit code 1; ``--write`` keeps comments, and then there is nothing to do."""
    path = tmp_path / "old.toml"
    path.write_text(OLD)

    shown = loraspec_cli("migrate", path)
    shown.assert_success()
    assert "\n-[meta]" in shown.out
    assert "\n+[run]" in shown.out
    assert path.read_text() == OLD
    loraspec_cli("migrate", path, "--check").assert_failed(1)
    assert path.read_text() == OLD
    loraspec_cli("migrate", path, "--write").assert_success()
    assert "# kept" in path.read_text()
    assert tomllib.loads(path.read_text())["run"]["name"] == "old"
    assert "nothing to do" in loraspec_cli("migrate", path, "--check").out
    loraspec_cli("migrate", path, "--check", "--write").assert_failed(2)


# -- init --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", ["sdxl", "sd15", "embedded"])
def test_init_writes_a_spec_that_validates(model, tmp_path, loraspec_cli, monkeypatch):
    """For every base, with quotes and accents in the style; profiles validate too."""
    monkeypatch.chdir(tmp_path)
    write_pictures(tmp_path / "my photos", 3)
    style = 'by "Honoré" O\'Neil'

    made = loraspec_cli("init", "mine", "--images", "my photos", "--style", style, *OWN, "--model", model, "-o", "specs/mine.toml")

    made.assert_success()
    tables = tomllib.loads(Path("specs/mine.toml").read_text(encoding="utf-8"))
    assert tables["data"]["sources"][0]["path"] == "../my photos"
    assert tables["captions"]["style_tag"] == style
    for profile in ("", *tables.get("profiles", {})):
        loraspec_cli("validate", "specs/mine.toml", *(["-p", profile] if profile else [])).assert_success()
    assert "3 pictures" in made.out
    assert "every picture has a caption" in made.out
    commands = [line.removeprefix("  loraspec ") for line in made.out.splitlines() if line.startswith("  loraspec ")]
    assert commands == ["plan specs/mine.toml", "captions preview specs/mine.toml --epoch 1", "run specs/mine.toml"]


def test_init_counts_missing_captions(tmp_path, loraspec_cli):
    """And says how to write one."""
    write_pictures(tmp_path / "photos", 4)
    (tmp_path / "photos" / "01.txt").unlink()

    out = loraspec_cli("init", "mine", "--images", tmp_path / "photos", "--style", "by X", *OWN, "-o", tmp_path / "mine.toml").out

    assert "1 of 4 do not have a caption" in out
    assert "photo.jpg -> photo.txt" in out
    assert out.splitlines()[out.splitlines().index("next:") + 1] == f"  loraspec captions review {tmp_path / 'mine.toml'}"


def test_init_refuses_before_it_writes(tmp_path, loraspec_cli):
    """A bad name, two descriptors, a file that exists: all at once; a folder that is not there is exit code 3."""
    spec = tmp_path / "mine.toml"
    spec.write_text("mine")

    outcome = loraspec_cli("init", "a name", "--images", tmp_path, "--style", "a, b", *OWN, "-o", spec)
    outcome.assert_failed(2, "3 errors")
    assert spec.read_text() == "mine"
    missing = tmp_path / "nope"
    loraspec_cli("init", "mine", "--images", missing, "--style", "by X", *OWN, "-o", spec, "--force").assert_failed(3, "is no folder")
    assert spec.read_text() == "mine"
    loraspec_cli("init", "mine", "--images", tmp_path, "--style", "by X", *OWN, "-o", spec, "--force").assert_success()
    assert spec.read_text() != "mine"
