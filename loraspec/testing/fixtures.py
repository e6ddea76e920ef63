"""pytest fixtures for plugin authors: install a plugin for one test, write a spec, plan it, run it."""

from __future__ import annotations

import hashlib
import importlib
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from textwrap import dedent
from typing import TYPE_CHECKING, Any, Protocol

import pytest
from attrs import frozen

from loraspec.plugins import GROUP

if TYPE_CHECKING:
    from loraspec.plan import Plan


class InstallPlugin(Protocol):
    """``install_plugin(name, source)``; see the fixture."""

    def __call__(self, name: str, source: str = "", *, target: str = "", distribution: str = "", version: str = "1.0",
                 group: str = GROUP, direct_url: dict[str, Any] | None = None) -> Path:
        """Install, and return the folder that holds the module."""
        ...


@pytest.fixture
def install_plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[InstallPlugin]:
    """Install plugins for one test: a module and a real ``.dist-info`` folder on ``sys.path``.

    ``install_plugin("halftone", source)`` writes module ``loraspec_halftone`` and distribution ``loraspec-halftone 1.0``
    with an entry point in group ``loraspec.v1``, and returns the folder. With ``target="package.module"`` the entry point
    names a module that exists already, and ``source`` is not needed. Everything is gone when the test ends.
    """
    site = tmp_path / "site-packages"
    before = set(sys.modules)
    written: set[str] = set()

    def install(name: str, source: str = "", *, target: str = "", distribution: str = "", version: str = "1.0",
                group: str = GROUP, direct_url: dict[str, Any] | None = None) -> Path:
        distribution = distribution or f"loraspec-{name}"
        module = distribution.replace("-", "_")
        site.mkdir(exist_ok=True)
        files = {}
        if not target:
            files[f"{module}.py"] = dedent(source)
            written.add(module)
        info = f"{module}-{version}.dist-info"
        files[f"{info}/METADATA"] = f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n"
        files[f"{info}/entry_points.txt"] = f"[{group}]\n{name} = {target or module}\n"
        if direct_url is not None:
            files[f"{info}/direct_url.json"] = json.dumps(direct_url)
        record = "".join(f"{path},sha256={hashlib.sha256(text.encode()).hexdigest()},{len(text)}\n" for path, text in files.items())
        files[f"{info}/RECORD"] = record
        for path, text in files.items():
            (site / path).parent.mkdir(exist_ok=True)
            (site / path).write_text(text, encoding="utf-8")
        if str(site) not in sys.path:
            monkeypatch.syspath_prepend(str(site))
        importlib.invalidate_caches()
        return site

    yield install
    for module in written - before:
        sys.modules.pop(module, None)


@pytest.fixture
def spec_file(tmp_path: Path) -> Callable[..., Path]:
    """Write a spec: ``spec_file(text, name="spec.toml") -> path``; ``loraspec = 1`` is added when it is not there."""

    def write(text: str, name: str = "spec.toml") -> Path:
        path = tmp_path / name
        text = dedent(text)
        path.write_text(text if text.startswith("loraspec") else f"loraspec = 1\n{text}", encoding="utf-8")
        return path

    return write


@pytest.fixture
def make_plan(spec_file: Callable[..., Path]) -> Callable[..., Plan]:
    """Resolve a spec: ``make_plan(text_or_path, profiles=(), sets=()) -> Plan``; raises SpecError as ``loraspec plan`` would."""

    def plan(spec: str | Path, *, profiles: Sequence[str] = (), sets: Sequence[str] = ()) -> Plan:
        from loraspec.plan import resolve

        return resolve(spec if isinstance(spec, Path) else spec_file(spec), profiles=profiles, sets=sets)

    return plan


@frozen
class Outcome:
    """What a call of the command line did: exit code, stdout, stderr."""

    code: int
    out: str
    err: str

    def assert_success(self) -> None:
        """Fail with the output unless the exit code is 0."""
        assert self.code == 0, f"exit code {self.code}\n{self.out}{self.err}"

    def assert_failed(self, code: int, message: str = "") -> None:
        """Fail unless the exit code is ``code`` and stderr holds ``message``."""
        assert self.code == code, f"exit code {self.code}, expected {code}\n{self.out}{self.err}"
        assert message in self.err, f"{message!r} is not in\n{self.err}"
        assert "Traceback" not in self.err


@frozen
class RunOutcome(Outcome):
    """What ``loraspec run`` did, with the folder that it left."""

    folder: Path

    @property
    def lock(self) -> dict[str, Any]:
        """``lock.json`` of the run."""
        loaded: dict[str, Any] = json.loads((self.folder / "lock.json").read_text(encoding="utf-8"))
        return loaded

    @property
    def events(self) -> list[dict[str, Any]]:
        """The lines of ``events.jsonl``."""
        return [json.loads(line) for line in (self.folder / "events.jsonl").read_text(encoding="utf-8").splitlines()]

    @property
    def epoch_files(self) -> list[Path]:
        """The weight files of the epochs, in order."""
        return sorted((self.folder / "epochs").glob("*.safetensors"))


@pytest.fixture
def loraspec_cli() -> Callable[..., Outcome]:
    """Call the command line in this process: ``loraspec_cli("validate", path) -> Outcome``."""
    return _call


def _call(*words: object) -> Outcome:
    from click.testing import CliRunner

    from loraspec.cli import main

    result = CliRunner().invoke(main, [str(word) for word in words], prog_name="loraspec")
    return Outcome(result.exit_code, result.stdout, result.stderr)


@pytest.fixture
def run_spec(tmp_path: Path, spec_file: Callable[..., Path]) -> Callable[..., RunOutcome]:
    """Run a spec: ``run_spec(text_or_path, *words) -> RunOutcome``; the run's folder is ``tmp_path/run``."""

    def run(spec: str | Path, *words: object, folder: str = "run") -> RunOutcome:
        path = spec if isinstance(spec, Path) else spec_file(spec)
        output = tmp_path / folder
        outcome = _call("run", path, "--set", f"run.output={output}", *words)
        return RunOutcome(outcome.code, outcome.out, outcome.err, output)

    return run


@pytest.fixture
def tiny_plugin(install_plugin: InstallPlugin) -> None:
    """Install the plugin ``tiny``: a model family and a data source that train in a second on one core."""
    install_plugin("tiny", target="loraspec.testing.tiny")
