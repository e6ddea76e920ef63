"""Run Python code in a process where torch and its friends cannot be imported."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

HEAVY = ("torch", "torchvision", "diffusers", "transformers", "peft", "accelerate")

_BLOCK = """
import sys
class _Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {heavy!r}:
            raise ImportError(name + " cannot be imported here")
sys.meta_path.insert(0, _Blocked())
"""

_OFFER = """
import json, pathlib, sys
from loraspec.catalog import discover
catalog = discover([pathlib.Path(file) for file in json.loads(sys.argv[1])])
offered = [f"{entry.stage} {entry.qualified}" for entry in catalog.entries()]
print(json.dumps({"offered": offered, "broken": {plugin.title: plugin.error for plugin in catalog.broken}}))
"""


def run_without_torch(code: str, *words: str, timeout: float = 120) -> subprocess.CompletedProcess[str]:
    """Run ``code`` with ``sys.argv[1:] = words`` and this process's import path; any import of ``HEAVY`` raises ImportError."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, "-c", _BLOCK.format(heavy=set(HEAVY)) + code, *words],
        capture_output=True, text=True, encoding="utf-8", env=environment, timeout=timeout, check=False,
    )


def offered_without_torch(files: tuple[Path, ...] = ()) -> tuple[frozenset[str], Mapping[str, str]]:
    """Import every plugin where torch cannot be imported.

    One process serves all that ask, as long as the import path stays the same.

    Args:
        files: Plugin files to load besides the installed plugins.

    Returns:
        What is offered, as ``<stage> <plugin>:<name>``, and the error of each plugin that fails.
    """
    return _offered(tuple(map(str, files)), tuple(sys.path))


@functools.cache
def _offered(files: tuple[str, ...], import_path: tuple[str, ...]) -> tuple[frozenset[str], Mapping[str, str]]:
    done = run_without_torch(_OFFER, json.dumps(files))
    if done.returncode:
        raise AssertionError(done.stderr)
    told = json.loads(done.stdout)
    return frozenset(told["offered"]), told["broken"]
