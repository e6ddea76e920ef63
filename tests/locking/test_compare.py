"""What differs between two locks, and which level that leaves."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from loraspec.locking.compare import ABSENT, differences, reachable, words
from loraspec.locking.fields import BEST, CLASSES, FIELDS, LEVELS, classes_table, field_of, fields_table, levels_table
from loraspec.locking.files import read_lock

LOCK = Path(__file__).parents[2] / "specs" / "daumier.twin.lock"


@pytest.fixture(scope="module")
def lock() -> dict[str, Any]:
    """A whole lock."""
    return read_lock(LOCK)


def changed(lock: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """A copy with one value set; ``ABSENT`` takes it out."""
    made = copy.deepcopy(lock)
    *above, last = path.split("/")
    table = made
    for key in above:
        table = table[key]
    if value is ABSENT:
        del table[last]
    else:
        table[last] = value
    return made


def leaves(value: Any, parts: tuple[str, ...] = ()) -> Any:
    """Every place of a lock that holds a value."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from leaves(inner, (*parts, key))
    else:
        yield parts


def test_every_field_has_a_row(lock: dict[str, Any]) -> None:
    """No field of a lock is without a class, and no row of the table is without a class of its own."""
    kinds = {field_of(parts).kind for parts in leaves(lock)}

    assert kinds == set(CLASSES)
    assert set(BEST) == set(CLASSES)
    assert len({field.path for field in FIELDS}) == len(FIELDS)
    with pytest.raises(KeyError):
        field_of(("nonsense",))


def test_docs_hold_the_tables() -> None:
    """The page says what the code does."""
    page = (Path(__file__).parents[2] / "docs" / "lock.md").read_text(encoding="utf-8")

    for table in (fields_table(), levels_table(), classes_table()):
        assert table in page
    assert list(LEVELS) == sorted(LEVELS, reverse=True)


@pytest.mark.parametrize(
    ("path", "value", "kind", "level"),
    [
        ("spec/resolved/adapter/rank", 5, "recipe", "R0"),
        ("run/optimizer/d", 1e-5, "recipe", "R0"),
        ("stages/optimizer", [], "recipe", "R0"),
        ("spec/resolved/train/log_every", 3, "info", "R4"),
        ("spec/resolved/grid/prompts", [], "info", "R4"),
        ("spec/resolved/grid/heldout", 3, "recipe", "R0"),
        ("spec/text_sha256", "00" * 32, "info", "R4"),
        ("data/images/lithograph-0001.png/caption_sha256", "00" * 32, "inputs", "R1"),
        ("data/images/lithograph-0001.png/rights", "licensed", "info", "R4"),
        ("data/images/lithograph-0001.png", ABSENT, "inputs", "R1"),
        ("model/files/unet~diffusion_pytorch_model.safetensors/content_sha256", "00" * 32, "inputs", "R1"),
        ("model/files/unet~diffusion_pytorch_model.safetensors/sha256", "00" * 32, "info", "R4"),
        ("plugin_files", {"own.py": "00" * 32}, "inputs", "R1"),
        ("plugins/loraspec/version", "9", "info", "R4"),
        ("plugins/other", {"version": "9"}, "inputs", "R1"),
        ("random", "philox-sha256/2", "inputs", "R1"),
        ("plan/stream_sha256", [], "inputs", "R1"),
        ("environment/packages/torch/version", "9", "bits", "R4"),
        ("environment/variables/MKL_CBWR", "AVX2", "bits", "R4"),
        ("run/device/threads", 7, "bits", "R4"),
        ("run/fingerprint/cpu float32/conv", "00", "bits", "R2"),
        ("run/pixels/lithograph-0001.png/prepared_sha256", "00" * 32, "bits", "R2"),
        ("run/determinism/autocast", "bfloat16", "bits", "R2"),
    ],
)
def test_a_field_leaves_its_level(lock: dict[str, Any], path: str, value: Any, kind: str, level: str) -> None:
    """One field differs: it is found alone, in its class, and the level falls as far as it should."""
    other = changed({**lock, "model": {**lock["model"], "files": _flat(lock)}}, path, value)
    found = differences({**lock, "model": {**lock["model"], "files": _flat(lock)}}, other)

    assert [item.field.kind for item in found] == [kind]
    verdict = reachable(found, other)
    assert verdict.level == level
    assert bool(verdict.why) == (level != "R4")


def _flat(lock: dict[str, Any]) -> dict[str, Any]:
    return {name.replace("/", "~"): value for name, value in lock["model"]["files"].items()}


def test_equal_locks_do_not_differ(lock: dict[str, Any]) -> None:
    """Not with themselves, not in their own digest, not in what is expected."""
    other = {**lock, "sha256": "00", "expected": {}}

    assert differences(lock, other) == []
    assert reachable([], lock).level == "R4"


def test_what_one_side_cannot_know_is_left_out(lock: dict[str, Any]) -> None:
    """The lock of a plan has no fingerprint, no device and no digests of files that are not here."""
    light = {key: value for key, value in lock.items() if key not in ("run", "expected")}
    light["model"] = {key: value for key, value in light["model"].items() if key != "files"}

    assert differences(lock, light) == []
    assert differences(light, lock) == []


def test_a_gpu_that_is_not_strict_reaches_r2(lock: dict[str, Any]) -> None:
    """Equal in every field, and still not the same bits."""
    off = changed(lock, "run/determinism/mode", "off")
    verdict = reachable(differences(off, off), off)

    assert verdict.level == "R2"
    assert "train.deterministic" in verdict.why[0]


def test_numbers_of_another_type_differ(lock: dict[str, Any]) -> None:
    """1 and 1.0 and true are three values."""
    one = changed(lock, "spec/resolved/train/log_every", 1)
    for value in (1.0, True):
        assert differences(one, changed(lock, "spec/resolved/train/log_every", value))


def test_values_are_shown_on_one_line() -> None:
    """Digests are cut, long texts shortened, control characters escaped."""
    assert words("ab" * 32) == "ab" * 6
    assert words(ABSENT) == "-"
    assert words(["ab" * 32] * 3) == "abababababab ... (3)"
    assert words({"a": 1}) == "(table of 1)"
    assert len(words("x" * 500)) < 80
    assert "\x1b" not in words("\x1b[31mred")
    assert words(1.5) == "1.5"
