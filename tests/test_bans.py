"""Calls that our own code must not make, each with the few places that may."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCES = sorted(path for folder in ("loraspec", "plugins") for path in (ROOT / folder).rglob("*.py") if "tests" not in path.parts)
MODULES = {"pickle", "cPickle", "dill", "joblib", "shelve", "marshal", "yaml", "requests", "urllib", "http", "httpx", "aiohttp", "random"}
CALLS = {
    "torch.load", "torch.save", "numpy.load", "eval", "exec", "hash", "os.system", "os.popen", "tempfile.mktemp", "shutil.unpack_archive",
    "torch.manual_seed", "torch.seed", "torch.normal", "torch.bernoulli", "torch.multinomial", "torch.poisson",
    "torch.rand", "torch.randn", "torch.randint", "torch.randperm", "torch.rand_like", "torch.randn_like", "torch.randint_like",
    "os.listdir", "os.scandir", "os.walk", "PIL.Image.open", "time.time", "time.time_ns",
    "datetime.datetime.now", "datetime.datetime.utcnow", "datetime.datetime.today", "datetime.date.today",
}  # fmt: skip
METHODS = {"extractall", "from_pretrained", "manual_seed", "normal_", "uniform_", "random_", "bernoulli_"}
KEYED = {"Generator", "Philox", "SeedSequence"}  # of numpy.random: what has a key is no global state
LISTINGS = {"glob", "rglob", "iterdir"}
ORDERLESS = {"sorted", "any", "all", "sum", "len", "set", "frozenset", "min", "max"}  # what is made of a listing has no order
WRITES = {"write_text", "write_bytes"}
ALLOWED = {
    "loraspec/download.py": {"requests", "urllib"},  # for `loraspec fetch`, which is asked to
    "loraspec/localpage.py": {"http"},  # serves one page to this machine; asks for nothing
    "loraspec/known.py": {"time.time_ns"},  # how long ago a file changed: what is known of it decides no number
    "loraspec/cachefolder.py": {"os.walk"},  # sizes and ages, sorted by whoever needs an order
    "loraspec/engine/takeup.py": {"os.walk"},  # what was left half-written goes, in any order
    "loraspec/engine/cells.py": {"PIL.Image.open"},  # PNGs of the run's own
    "loraspec/images.py": {"PIL.Image.open"},
    "loraspec/testing/pipelines.py": {"from_pretrained"},  # of folders that it wrote itself
    "loraspec/testing/suites/pictures.py": {"PIL.Image.open", "numpy.random.get_state"},  # to prove that it is left alone
    "plugins/loraspec_guide/captioners/chat.py": {"urllib"},  # takes addresses apart
    "plugins/loraspec_guide/captioners/registry.py": {"urllib"},  # takes addresses apart
    "plugins/loraspec_guide/grid/report.py": {"PIL.Image.open"},  # formats listed, bombs caught
    "plugins/loraspec_guide/models/family.py": {"manual_seed"},  # a picture's seed, as a person gives it to diffusers
    "plugins/loraspec_guide/models/tokens.py": {"from_pretrained"},  # a tokenizer, from a local folder that was looked at
    "plugins/loraspec_guide/data/unsplash.py": {"urllib"},  # takes addresses apart
    "plugins/loraspec_picturebook/export.py": {"from_pretrained"},
    "plugins/blip/loraspec_blip/captioners.py": {"from_pretrained"},  # the same
    "plugins/vision-metrics/loraspec_vision_metrics/margin.py": {"from_pretrained"},  # of a folder of tensors, its code left alone
    "plugins/loraspec_picturebook/models.py": {"manual_seed", "torch.manual_seed"},  # constructors take no generator: forked, put back
    "plugins/loraspec_picturebook/probe.py": {"manual_seed", "torch.manual_seed"},
    "plugins/loraspec_picturebook/quality.py": {"manual_seed"},
    "plugins/loraspec_picturebook/train_vae.py": {"manual_seed", "torch.randn"},
    "plugins/loraspec_picturebook/words.py": {"from_pretrained"},
}
WRITERS = {
    "loraspec/cli/docs.py": "pages of this repository", "loraspec/spec/docs.py": "pages of this repository",
    "loraspec/cli/card.py": "a card, which a person makes again",
    "loraspec/cli/init.py": "a new spec, which a person makes again", "loraspec/cli/schema.py": "a schema, which a person makes again",
    "loraspec/cli/migrate.py": "a person's spec, under version control or shown first",
    "loraspec/download.py": "an unfinished file, which is gone on with",
    "loraspec/locking/files.py": "a lock beside a spec: staged and renamed, a person makes it again",
    "plugins/loraspec_guide/captioners/local.py": "a temporary copy for another program",
    "loraspec/picking.py": "a copy too large for memory: staged, synchronised, compared, renamed",
}
"""Modules that may write files by themselves, each with the reason."""


def names_of(tree: ast.AST) -> dict[str, str]:
    """Return what the names that a module imports stand for: ``np`` -> ``numpy``, ``r`` -> ``torch.randn``."""
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.asname: alias.name for alias in node.names if alias.asname}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    return found


def dotted(node: ast.expr) -> str:
    """Return ``torch.load`` for such an expression, or ""."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        before = dotted(node.value)
        return f"{before}.{node.attr}" if before else ""
    return ""


def banned(source: str) -> set[str]:
    """Return the banned imports and calls of a module's text."""
    found = set()
    tree = ast.parse(source)
    known = names_of(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names} & MODULES
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found |= {node.module.split(".")[0]} & MODULES
        elif isinstance(node, ast.Call):
            first, dot, rest = dotted(node.func).partition(".")
            name = known.get(first, first) + dot + rest
            found |= {name} & CALLS
            if name.startswith("numpy.random.") and name.rpartition(".")[2] not in KEYED:
                found.add(name)
            if isinstance(node.func, ast.Attribute):
                found |= {node.func.attr} & METHODS
            if any(key.arg == "shell" and not (isinstance(key.value, ast.Constant) and key.value.value is False) for key in node.keywords):
                found.add("shell=True")
            if any(key.arg in ("trust_remote_code", "allow_pickle", "custom_pipeline") for key in node.keywords):
                found.add("code of strangers")
            if name.endswith("snapshot_download") and "revision" not in {key.arg for key in node.keywords}:
                found.add("a download without revision")
    return found


def unsorted(source: str) -> list[int]:
    """Return the lines that go through a folder in the order in which the disk happens to give it."""
    tree = ast.parse(source)
    parents = {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
    found = []
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in LISTINGS):
            continue
        up: ast.AST | None = parents.get(node)
        while isinstance(up, ast.expr | ast.comprehension):
            if isinstance(up, ast.SetComp) or (isinstance(up, ast.Call) and dotted(up.func) in ORDERLESS):
                break
            up = parents.get(up)
        else:
            found.append(node.lineno)
    return found


def writes(source: str) -> list[int]:
    """Return the lines that write a file past the writer that is atomic and synchronous."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else dotted(node.func)
        mode = [*node.args[(1 if isinstance(node.func, ast.Name) else 0):][:1], *(key.value for key in node.keywords if key.arg == "mode")]
        opened = name == "open" and any(isinstance(one, ast.Constant) and isinstance(one.value, str) and set(one.value) & set("wax+")
                                        and len(one.value) <= 3 for one in mode)  # fmt: skip
        if (name in WRITES and isinstance(node.func, ast.Attribute)) or opened:
            found.append(node.lineno)
    return found


DURABLE = [path for path in SOURCES if "loraspec_picturebook" not in path.parts and "testing" not in path.parts]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_folder_is_gone_through_unsorted(path: Path) -> None:
    """The same folder gives the same run on every file system."""
    assert unsorted(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("path", DURABLE, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_file_is_written_past_the_durable_writer(path: Path) -> None:
    """What a run or the cache leaves is whole or not there; the list says who else may write, and why."""
    allowed = str(path.relative_to(ROOT)) in WRITERS
    assert bool(writes(path.read_text(encoding="utf-8"))) == allowed


@pytest.mark.parametrize(("text", "seen"), [
    ("for x in p.iterdir(): pass", True), ("[x for x in p.glob('*')]", True), ("next(p.rglob('*'))", True), ("list(p.iterdir())", True),
    ("sorted(p.iterdir())", False), ("sorted(x for x in p.glob('*') if x)", False), ("{x.name for x in p.iterdir()}", False),
])  # fmt: skip
def test_the_search_for_listings_sees_what_it_is_for(text: str, seen: bool) -> None:
    """Sorted, or made into something without order, is well."""
    assert bool(unsorted(text)) is seen


@pytest.mark.parametrize(("text", "seen"), [
    ("p.write_text('x')", True), ("open('x', 'w')", True), ("p.open('ab')", True), ("open('x', mode='r+')", True),
    ("open('x')", False), ("p.open('rb')", False), ("Image.open(path)", False),
])  # fmt: skip
def test_the_search_for_writes_sees_what_it_is_for(text: str, seen: bool) -> None:
    """Reading is well."""
    assert bool(writes(text)) is seen


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_banned_call(path: Path) -> None:
    """No pickle, no code from text, no shell, no network, no draw that is not keyed, no unordered folder, one loader of pictures."""
    name = str(path.relative_to(ROOT))
    assert banned(path.read_text(encoding="utf-8")) - ALLOWED.get(name, set()) == set()


def test_every_exception_is_needed() -> None:
    """The allow-list names what is really there."""
    for name, calls in ALLOWED.items():
        assert calls <= banned((ROOT / name).read_text(encoding="utf-8")), name


@pytest.mark.parametrize("text", [
    "import pickle", "from urllib.request import urlopen", "import torch\ntorch.load('x')", "import numpy as np\nnp.load('x')", "eval('1')",
    "hash('x')", "subprocess.run('x', shell=True)", "archive.extractall()", "torch.randn(3)", "os.listdir('.')",
    "from torch import randn as r\nr(3)", "import numpy as n\nn.random.rand(2)", "from time import time\ntime()", "tensor.normal_()",
    "from datetime import datetime\ndatetime.now()", "import numpy.random as q\nq.default_rng()", "from PIL import Image\nImage.open('x')",
    "Model.from_pretrained('x')", "snapshot_download('a/b')", "load('x', trust_remote_code=True)",
])  # fmt: skip
def test_each_ban_is_seen(text: str) -> None:
    """The search finds what it is for."""
    assert banned(text)
