"""What is fuzzed: each target makes an input from a draw and feeds it to the code that reads such files.

A target returns whether the input was accepted. Only errors that loraspec raises on purpose may come out of it besides.
"""

from __future__ import annotations

import functools
import json
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fuzz import mutators
from fuzz.mutators import Draw
from loraspec.digests import file_sha256
from loraspec.lock import lock_bytes, make_lock

ROOT = Path(__file__).resolve().parents[2]
SMALL = """\
loraspec = 1
[run]
name = "a"
seed = 3
[data]
repeats = 2
resolution = 64
buckets = { step = 8, min = 16, max = 64 }
[[data.sources]]
use = "folder"
path = "images"
rights = "own"
[captions]
style_tag = "by A"
[[captions.transforms]]
use = "shuffle"
keep = 1
[adapter]
rank = 2
[train]
epochs = 2
[profiles.embedded]
train.epochs = 3
"""
SEEDS = [SMALL] * 14 + [
    (ROOT / "specs" / "daumier.toml").read_text(encoding="utf-8"),
    (ROOT / "tests" / "spec" / "fixtures" / "format0.toml").read_text(encoding="utf-8"),
]


def spec(draw: Draw, folder: Path) -> bool:
    """A spec with profiles and --set: a checked spec, or problems with a message, a file and a place that the file has."""
    from loraspec.spec.document import parse
    from loraspec.spec.load import load
    from loraspec.spec.resolved import resolved_toml, spec_hash

    text = mutators.toml_text(draw.pick(SEEDS), draw)
    if draw.below(5):  # the text alone: most of the mistakes that a file can hold, at a tenth of the time
        parse(text, name="s.toml", path=folder / "s.toml")
        return True
    file = folder / "s.toml"
    file.write_bytes(text.encode("utf-8", "surrogatepass"))
    key = draw.pick(["train.epochs", "data", "model.use", "a b", "x", "data.sources[0].path", ""])
    sets = [f"{key}={draw.pick(mutators.TOML)}"] if draw.below(4) == 0 else []
    loaded, problems = load(file, profiles=["embedded"] if draw.below(4) == 0 else [], sets=sets, strict=False)
    lines = text.count("\n") + text.count("\r") + 1
    for problem in problems:
        assert problem.message
        assert problem.code
        assert problem.file in (str(file), "--set")
        assert 0 <= problem.line <= lines
    errors = [problem for problem in problems if problem.severity == "error"]
    assert bool(errors) == (loaded is None or loaded.checked is None)
    if loaded is not None and draw.below(4) == 0:
        tables = loaded.overlay.tables
        assert spec_hash(tomllib.loads(resolved_toml(tables))) == spec_hash(tables)
    return not errors


def migrate(draw: Draw, folder: Path) -> bool:
    """An old spec: what comes out is a spec of this format that needs no further migration."""
    from loraspec.spec.migrate import migrate

    made = migrate(mutators.toml_text(SEEDS[-1], draw))
    assert tomllib.loads(made.text)["loraspec"] == 1
    assert migrate(made.text).changes == ()
    return True


CAPTIONS = [
    "a man in a top hat, crayon shading, by Honoré Daumier\n".encode(),
    b"one, two,  , three\r\n",
    "猫, 犬, 鳥".encode(),
    b"\xef\xbb\xbfwith a mark, x",
    b",,,",
    b"\n",
    "e\u0301, \u00e9, \u202eabc, \u200b".encode(),
]


def caption(draw: Draw, folder: Path) -> bool:
    """A caption file, through the built-in transforms: one line of text, the same when done again, in descriptors that stay apart."""
    from loraspec_guide.data.captionfile import Caption, read_caption

    from loraspec.captions import Pipeline, join, split
    from loraspec.randomness import rng_of
    from loraspec.values import Sample, Visit

    path = folder / "a.txt"
    path.write_bytes(mutators.data(draw.pick(CAPTIONS), draw))
    read = read_caption("a.png", path)
    if not isinstance(read, Caption):
        assert read.code
        assert read.message.isprintable()
        return False
    assert len(read.text.splitlines()) <= 1
    sample = Sample("a.png", 8, 8, read.text, "own", "", lambda: b"")
    chain, visit = Pipeline(_transforms(), ",", rng_of(draw.below(100))), Visit(draw.below(3), "a.png", 0)
    said = chain(sample, visit)
    assert said == chain(sample, visit)
    assert join(split(said, ","), ",") == said
    return True


@functools.cache
def _transforms() -> tuple[Any, ...]:
    from loraspec_guide.captions.registry import CAPTION_TRANSFORMS

    chosen: dict[str, dict[str, Any]] = {"tidy": {}, "ensure": {"descriptors": ("by A",)}, "shuffle": {}, "dropout": {"descriptor": 0.2}}
    by_name = {component.name: component for component in CAPTION_TRANSFORMS}
    return tuple(by_name[name].build(by_name[name].options(**options)) for name, options in chosen.items())


@functools.cache
def _lock() -> Any:
    from loraspec.plan import resolve

    return json.loads(lock_bytes(make_lock(resolve(ROOT / "specs" / "daumier.toml", profiles=["embedded"], sets=[]))))


HEADER = {
    "__metadata__": {"format": "pt", "title": "x"},
    "a.weight": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]},
    "b.bias": {"dtype": "F16", "shape": [4], "data_offsets": [24, 32]},
    "c": {"dtype": "I64", "shape": [], "data_offsets": [32, 40]},
}


def header(draw: Draw, folder: Path) -> bool:
    """A safetensors file: what passes the check, the library reads as well, with the same names."""
    from safetensors import safe_open

    from loraspec.weights import read_header

    path = folder / "f.safetensors"
    path.write_bytes(mutators.safetensors(HEADER, 40, draw))
    found = read_header(path)
    with safe_open(str(path), framework="np") as file:
        assert {*file.keys()} == {*found.tensors}
    return True


INDEX = {
    "layout": 1,
    "epochs": [
        {
            "epoch": 1,
            "step": 4,
            "loss": 0.5,
            "d_lr": 1e-6,
            "weight_norm": 1.0,
            "files": [{"path": "tiny-000001.safetensors", "bytes": 10, "sha256": "0" * 64}],
        }
    ],
}
MANIFEST = {"layout": 2, "step": 4, "sha256": {"tensors.safetensors": "0" * 64, "state.json": "0" * 64}}
STATE = {
    "$dict": [
        ["adapter", {"$dict": [["tensors", {"$tensor": "/a", "device": "cpu"}], ["rank", 2]]}],
        ["betas", {"$tuple": [0.9, {"$float": "inf"}]}],
        ["losses", [1.0, 2.0]],
    ]
}

FACTS = {
    "layout": 1,
    "name": "a",
    "spec": "../spec.toml",
    "profiles": [],
    "sets": ["run.seed=1"],
    "spec_hash": "0" * 64,
    "state": "stopped",
    "data_sha256": "1" * 64,
    "headers": [{"from": 1, "spec_hash": "0" * 64, "epochs": 2, "steps": 8}],
    "seconds": {"train": 1.5},
    "files": {"lock.json": ["0" * 64]},
    "peak_memory": {"host": 1},
}


def manifest(draw: Draw, folder: Path) -> bool:
    """A run's small files, sealed as a forger would: the index of epochs, a checkpoint's manifest and state, run.json."""
    import torch

    from loraspec.engine import checkpoint, store
    from loraspec.engine.folder import RunFolder

    run = RunFolder(folder)
    kind = draw.below(4)
    seed: Any = (INDEX, MANIFEST, STATE, FACTS)[kind]
    if draw.below(3) == 0:
        text = mutators.json_text(seed, draw)
    else:
        value = mutators.tree(seed, draw)
        try:
            text = store.json_bytes(store.sealed(value))
        except (TypeError, ValueError):  # what no program can seal
            text = _dumped(value)
    if kind == 0:
        _put(folder / "epochs" / "index.json", text)
        for entry in run.index:
            run.epoch_file(entry["epoch"])
        return True
    if kind == 3:
        _put(folder / "run.json", text)
        run.header(1)
        return bool(run.facts)
    place = folder / "state" / "step-00000004"
    if not place.is_dir():
        place.mkdir(parents=True)
        store.write_tensors(place / "tensors.safetensors", {"/a": torch.zeros(2)}, {})
    if kind == 1:
        _put(place / "state.json", _dumped(STATE))
        _put(place / "manifest.json", text)
    else:
        _put(place / "state.json", text)
        digests = {name: file_sha256(place / name) for name in ("tensors.safetensors", "state.json")}
        _put(place / "manifest.json", store.json_bytes(store.sealed({**MANIFEST, "layout": checkpoint.LAYOUT, "sha256": digests})))
    checkpoint.load(place, device=torch.device("cpu"))
    return True


def _dumped(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, indent=2).encode() + b"\n"


def _put(path: Path, text: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text)


JOURNAL = [
    {"kind": "started", "spec": "0" * 64, "spec_hash": "1" * 64, "layout": 1, "headers": []},
    {"kind": "epoch", "epoch": 1, "step": 4, "loss": 1.0, "files": [{"path": "a.safetensors", "sha256": "0" * 64}]},
    {"kind": "changed", "name": "b"},
    {"kind": "done"},
]


def journal(draw: Draw, folder: Path) -> bool:
    """A journal, forged with right seals or broken: whole lines are returned, what follows a broken one is not."""
    from loraspec.engine import journal
    from loraspec.engine.folder import RunFolder

    path = folder / journal.JOURNAL
    forged: Any = JOURNAL if draw.below(3) else mutators.tree(JOURNAL, draw)
    text, seal = b"", ""
    for line in forged if isinstance(forged, list) else [forged]:
        try:
            seal = journal._seal(seal, line)
            text += journal.line_bytes({**line, journal.SEAL: seal})
        except (TypeError, ValueError):  # what no journal can hold
            text += json.dumps(line).encode() + b"\n"
    path.write_bytes(mutators.data(text, draw) if draw.below(4) else text)
    found = journal.read(path)
    assert 0 <= found.size <= path.stat().st_size
    told = RunFolder(folder).told_facts()
    assert isinstance(told, dict)
    return not found.damaged


def lock(draw: Draw, folder: Path) -> bool:
    """A lock file: a lock, or an error of locks."""
    from loraspec.lock import self_digest
    from loraspec.locking.files import read_lock

    path = folder / "a.lock"
    if draw.below(2):
        path.write_bytes(mutators.json_text(_lock(), draw))
    else:
        forged = mutators.tree(_lock(), draw)
        try:
            path.write_bytes(lock_bytes({**forged, "sha256": self_digest(forged)}))
        except (TypeError, ValueError):  # what no lock can hold
            path.write_bytes(json.dumps(forged).encode())
    read_lock(path)
    return True


TARGETS: dict[str, Callable[[Draw, Path], bool]] = {
    "spec": spec,
    "migrate": migrate,
    "caption": caption,
    "header": header,
    "manifest": manifest,
    "journal": journal,
    "lock": lock,
}
