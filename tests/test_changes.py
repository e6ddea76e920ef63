"""What an edit of the spec means for a run that has begun."""

import attrs
import pytest

from loraspec.changes import COMFORT, EXTENSION, IDENTITY, KEYS, changes
from loraspec.spec.schema import Spec


def keys_of(table, prefix=""):
    """Return the dotted keys of a table of the schema; tables of stages are one key."""
    found = []
    for field in attrs.fields(attrs.resolve_types(table)):
        inner = field.type if attrs.has(field.type) and field.type.__name__ != "Choice" else None
        found += keys_of(inner, f"{prefix}{field.name}.") if inner else [prefix + field.name]
    return found


def test_every_key_of_the_schema_has_a_class():
    """A key that is added to the schema has to be classified, and one that is gone leaves the table."""
    assert set(keys_of(Spec)) == set(KEYS)


SPEC = {
    "train": {"epochs": 2, "log_every": 10, "threads": 0},
    "lr_scheduler": {"use": "guide:constant", "warmup": 0.0},
    "optimizer": {"use": "guide:adamw", "lr": 0.1},
    "trackers": [{"use": "guide:console"}],
    "grid": {"weights": [0.5]},
    "data": {"sources": [{"use": "x", "path": "a"}]},
}


@pytest.mark.parametrize(
    ("path", "value", "kind"),
    [
        ("train.log_every", 1, COMFORT), ("trackers", [], COMFORT), ("grid.weights", [0.5, 1.0], EXTENSION), ("train.epochs", 3, EXTENSION),
        ("train.epochs", 1, IDENTITY), ("train.threads", 1, IDENTITY), ("optimizer.lr", 0.2, IDENTITY), ("optimizer.lr", 1, IDENTITY),
        ("data.sources", [{"use": "x", "path": "b"}], IDENTITY), ("nobody.knows", 1, IDENTITY), ("lr_scheduler.warmup", 0.1, IDENTITY),
    ],
)  # fmt: skip
def test_changes_are_classified_by_their_key(path, value, kind):
    """Keys inside lists and stage tables take the class of the table; what no class names is identity."""
    table, key = path.split(".") if "." in path else ("", path)
    after = {**SPEC, table: {**SPEC.get(table, {}), key: value}} if table else {**SPEC, key: value}

    assert [change.kind for change in changes(SPEC, after)] == [kind]


@pytest.mark.parametrize("scheduler", [{"use": "guide:cosine", "warmup": 0.0}, {"use": "guide:constant", "warmup": 0.1}, None])
def test_epochs_are_extended_under_a_constant_learning_rate_only(scheduler):
    """What is spread over all steps would be another training."""
    before = {**SPEC, "lr_scheduler": scheduler}

    (change,) = changes(before, {**before, "train": {**SPEC["train"], "epochs": 3}})

    assert change.kind == IDENTITY
    assert "only a constant one" in change.why


def test_nothing_changed():
    """Equal specs have no difference, tuples and lists are the same."""
    assert changes(SPEC, {**SPEC, "grid": {"weights": (0.5,)}}) == []
