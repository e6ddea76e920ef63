"""Layers: what merges, what replaces, what resets, and where values came from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from loraspec.spec.document import parse
from loraspec.spec.overlay import Overlay, apply

TEXT = """\
loraspec = 1
[run]
name = "x"
[model]
use = "sdxl"
vae = "fixed"
[data]
repeats = 10
buckets = { min = 512, max = 2048 }
[[data.sources]]
use = "folder"
[adapter]
rank = 8
[optimizer]
weight_decay = 0.01
[grid]
weights = [0.5, 1.0]
[profiles.small]
data = { buckets = { max = 1024 }, sources = [{ use = "picturebook" }, { use = "b" }] }
adapter = { rank = 4 }
[profiles.sd15]
model = { use = "sd15" }
grid.weights = [1.0]
[profiles.lora]
adapter = { use = "lora", alpha = 2 }
"""


def lay(*profiles: str, sets: tuple[str, ...] = (), text: str = TEXT) -> Overlay:
    return apply(parse(text, name="s.toml", path=Path("s.toml")), profiles, sets)


def test_apply_without_layers_is_the_file() -> None:
    """Profiles go, the rest stays, each value with its line."""
    overlay = lay()
    assert "profiles" not in overlay.tables
    assert overlay.tables["data"]["buckets"] == {"min": 512, "max": 2048}
    assert overlay.origin["data.buckets.max"] == "file:9"
    assert overlay.origin["data.sources[0].use"] == "file:11"
    assert overlay.origin_of("train.epochs") == "default"
    assert overlay.problems == ()


def test_apply_merges_tables_and_replaces_everything_else() -> None:
    """A table is merged key by key; a list is replaced whole."""
    overlay = lay("small", "sd15")
    assert overlay.tables["data"]["buckets"] == {"min": 512, "max": 1024}
    assert overlay.tables["data"]["sources"] == [{"use": "picturebook"}, {"use": "b"}]
    assert overlay.tables["grid"]["weights"] == [1.0]
    assert overlay.origin["data.buckets.min"] == "file:9"
    assert overlay.origin["data.buckets.max"] == "profile small"
    assert overlay.origin["data.sources[0].use"] == "profile small"
    assert overlay.origin_of("grid.weights[0]") == "profile sd15"


def test_apply_empties_a_table_whose_use_changes() -> None:
    """Options of one component never reach another; a stage's default counts as written."""
    assert lay("sd15").tables["model"] == {"use": "sd15"}
    assert lay("sd15").origin_of("model.vae") == "default"
    assert lay("lora").tables["adapter"] == {"rank": 8, "use": "lora", "alpha": 2}
    assert lay(sets=("optimizer.use=adamw",)).tables["optimizer"] == {"use": "adamw"}
    assert lay(sets=('optimizer.use="dadapt-adamw"',)).tables["optimizer"] == {"use": "dadapt-adamw", "weight_decay": 0.01}


def test_apply_lays_profiles_in_order_and_sets_last() -> None:
    """The later layer wins."""
    text = TEXT + "[profiles.more]\nadapter = { rank = 5 }\n"
    assert lay("small", "more", text=text).tables["adapter"]["rank"] == 5
    assert lay("more", "small", text=text).tables["adapter"]["rank"] == 4
    overlay = lay("small", sets=("adapter.rank=6", "adapter.rank = 7"))
    assert overlay.tables["adapter"]["rank"] == 7
    assert overlay.origin["adapter.rank"] == "--set"


def test_apply_takes_sets_in_any_order_around_use() -> None:
    """A rate named before the optimizer it is meant for is kept."""
    for sets in (("optimizer.use=adamw", "optimizer.lr=1e-4"), ("optimizer.lr=1e-4", "optimizer.use=adamw")):
        assert lay(sets=sets).tables["optimizer"] == {"use": "adamw", "lr": 1e-4}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a.b=32", 32),
        ("a.b=[0.5, 1.0]", [0.5, 1.0]),
        ("a.b=true", True),
        ("a.b=org/name", "org/name"),
        ('a.b="quoted"', "quoted"),
        ("a.b=", ""),
        ("a.b=x=y", "x=y"),
        ("a.b={ c = 1 }", {"c": 1}),
        ("a.b=1\nc = 2", "1\nc = 2"),
        ('a."b"=3', 3),
    ],
)
def test_set_reads_toml_and_else_a_string(text: str, value: Any) -> None:
    """A value that is TOML has its type; anything else is text, and can never add a second key."""
    overlay = lay(sets=(text,))
    assert overlay.tables["a"] == {"b": value}
    assert "c" not in overlay.tables


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("adapter.rank", "KEY=VALUE"),
        ("=3", "KEY=VALUE"),
        ("a b=3", "KEY=VALUE"),
        ("data.sources[0].path=x", "--set 'data.sources=[...]'"),
        ("data.sources.path=x", "data.sources is a list"),
        ("grid.weights.x=1", "grid.weights is a list"),
        ("loraspec=2", "--set cannot change loraspec"),
        ("profiles.small.adapter.rank=2", "--set cannot change profiles"),
        ("a.b=" + "[" * 60 + "]" * 60, "nests deeper"),
    ],
)
def test_set_says_what_it_cannot_do(text: str, words: str) -> None:
    """A --set that cannot be carried out is a problem, and changes nothing."""
    overlay = lay(sets=(text,))
    assert words in str(overlay.problems[0])
    assert overlay.problems[0].file == "--set"
    assert overlay.tables == lay().tables


def test_unknown_profile_is_a_problem_with_a_suggestion() -> None:
    """The closest name is offered; without any profile, that is said."""
    (problem,) = lay("smal").problems
    assert str(problem) == "s.toml:18:2  profiles  no profile named 'smal'  [E-SPEC-PROFILE]\n    hint: did you mean 'small'?"
    (problem,) = lay("small", text="loraspec = 1\n").problems
    assert "no [profiles.NAME] table" in problem.hint


@pytest.mark.parametrize("line", ["loraspec = 2", 'run = { name = "y" }', "profiles = {}"])
def test_profiles_cannot_touch_what_names_the_run(line: str) -> None:
    """Format, name and profiles belong to the file, also in a profile that is not chosen."""
    for chosen in ((), ("bad",)):
        overlay = lay(*chosen, text=TEXT + f"[profiles.bad]\n{line}\n")
        assert "a profile cannot change" in str(overlay.problems[0])
        assert overlay.problems[0].line == TEXT.count("\n") + 2
        assert overlay.tables["run"] == {"name": "x"}
        assert overlay.tables["loraspec"] == 1


def test_apply_leaves_the_document_alone() -> None:
    """Layers work on copies: applying twice gives the same."""
    document = parse(TEXT, name="s", path=Path("s"))
    before = repr(document.tables)
    apply(document, ["small", "sd15"], ["data.buckets.min=1"]).tables["data"]["buckets"]["max"] = 3
    apply(document).tables["data"]["sources"][0]["use"] = "other"
    assert repr(document.tables) == before
