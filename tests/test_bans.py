"""Calls that our own code must not make, each with the few places that may."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCES = sorted(path for folder in ("loraspec", "plugins") for path in (ROOT / folder).rglob("*.py") if "tests" not in path.parts)
MODULES = {"pickle", "cPickle", "dill", "joblib", "shelve", "marshal", "yaml", "requests", "urllib", "http", "httpx", "aiohttp", "random"}
CALLS = {
    "torch.load", "torch.save", "numpy.load", "np.load", "eval", "exec", "hash", "os.system", "os.popen",
    "tempfile.mktemp", "shutil.unpack_archive",
    "torch.manual_seed", "torch.seed", "np.random.seed", "np.random.default_rng",
    "torch.rand", "torch.randn", "torch.randint", "torch.randperm",
    "torch.rand_like", "torch.randn_like", "os.listdir", "os.scandir", "Image.open", "Images.open",
}  # fmt: skip
METHODS = {"extractall", "from_pretrained", "manual_seed"}
ALLOWED = {
    "loraspec/blind/server.py": {"http"},  # serves one page to this machine; asks for nothing
    "loraspec/engine/cells.py": {"Images.open"},  # PNGs of the run's own
    "loraspec/images.py": {"Image.open"},
    "loraspec/testing/pipelines.py": {"from_pretrained"},  # of folders that it wrote itself
    "loraspec/testing/suites/pictures.py": {"Image.open"},
    "plugins/loraspec_guide/grid/report.py": {"Image.open"},  # formats listed, bombs caught
    "plugins/loraspec_guide/models/family.py": {"manual_seed"},  # a picture's seed, as a person gives it to diffusers
    "plugins/loraspec_guide/models/loading.py": {"from_pretrained"},  # a tokenizer, from a local folder that was looked at
    "plugins/loraspec_picturebook/export.py": {"from_pretrained"},
    "plugins/loraspec_picturebook/models.py": {"manual_seed", "torch.manual_seed"},  # constructors take no generator: forked, put back
    "plugins/loraspec_picturebook/probe.py": {"manual_seed", "torch.manual_seed"},
    "plugins/loraspec_picturebook/quality.py": {"manual_seed"},
    "plugins/loraspec_picturebook/train_vae.py": {"manual_seed", "torch.randn"},
    "plugins/loraspec_picturebook/words.py": {"from_pretrained"},
}


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
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names} & MODULES
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found |= {node.module.split(".")[0]} & MODULES
        elif isinstance(node, ast.Call):
            name = dotted(node.func)
            found |= {name} & CALLS
            if isinstance(node.func, ast.Attribute):
                found |= {node.func.attr} & METHODS
            if any(key.arg == "shell" and not (isinstance(key.value, ast.Constant) and key.value.value is False) for key in node.keywords):
                found.add("shell=True")
            if any(key.arg in ("trust_remote_code", "allow_pickle", "custom_pipeline") for key in node.keywords):
                found.add("code of strangers")
            if name.endswith("snapshot_download") and "revision" not in {key.arg for key in node.keywords}:
                found.add("a download without revision")
    return found


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
    "import pickle", "from urllib.request import urlopen", "import torch\ntorch.load('x')", "np.load('x', allow_pickle=True)", "eval('1')",
    "hash('x')", "subprocess.run('x', shell=True)", "archive.extractall()", "torch.randn(3)", "os.listdir('.')", "Image.open('x')",
    "Model.from_pretrained('x')", "snapshot_download('a/b')", "load('x', trust_remote_code=True)",
])  # fmt: skip
def test_each_ban_is_seen(text: str) -> None:
    """The search finds what it is for."""
    assert banned(text)
