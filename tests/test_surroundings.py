"""What is installed and set here: switches of threads, code digests of distributions."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import pytest

from loraspec.distributions import code_sha256
from loraspec.surroundings import SPIN, VARIABLES, quiet_threads, surroundings


@pytest.mark.parametrize(
    ("given", "after"),
    [({}, SPIN), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "passive"}, None)],
)
def test_threads_are_quiet_unless_the_user_said_how(given: dict[str, str], after: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before torch is imported, and only then."""
    environment = {key: value for key, value in os.environ.items() if key not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    monkeypatch.setattr(os, "environ", {**environment, **given})
    monkeypatch.setattr(sys, "modules", {name: module for name, module in sys.modules.items() if name != "torch"})
    quiet_threads()
    assert os.environ.get("GOMP_SPINCOUNT") == after

    sys.modules["torch"] = sys
    monkeypatch.setattr(os, "environ", dict(environment))
    quiet_threads()
    assert "GOMP_SPINCOUNT" not in os.environ


def test_only_listed_variables_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that the command line sets is among them; a path or a secret is not."""
    monkeypatch.setenv("GOMP_SPINCOUNT", "5")
    monkeypatch.setenv("HF_TOKEN", "secret")
    found = surroundings()["variables"]

    assert found["GOMP_SPINCOUNT"] == "5"
    assert set(found) <= set(VARIABLES)


def test_code_digest_sees_code_and_not_how_it_was_installed(tmp_path: Path) -> None:
    """Scripts, byte code, installer notes and weights are left out; a changed module is not."""

    def digest(*lines: str) -> str:
        folder = tmp_path / "x-1.0.dist-info"
        folder.mkdir(exist_ok=True)
        (folder / "RECORD").write_text("".join(f"{line}\n" for line in lines))
        return code_sha256(metadata.Distribution.at(folder))

    plain = digest("x/a.py,sha256=1,1", "x/b.so,sha256=2,1")
    assert plain == digest(
        "x/b.so,sha256=2,1", "../../../bin/x,sha256=9,1", "x-1.0.dist-info/INSTALLER,sha256=8,1", "x/__pycache__/a.cpython-311.pyc,,",
        "x/base.safetensors,sha256=7,1", "x/a.py,sha256=1,1",
    )
    assert plain != digest("x/a.py,sha256=3,1", "x/b.so,sha256=2,1")
    assert plain != digest("x/a.py,sha256=1,1")
    assert digest() == ""


def test_a_checkout_and_a_wheel_of_the_same_code_are_equal(install_plugin: Callable[..., Path], tmp_path: Path) -> None:
    """The editable install hashes the files, the other reads RECORD."""
    import base64
    import hashlib

    site = install_plugin("demo", "X = 1\n", direct_url={"url": "file:///x", "dir_info": {"editable": True}})
    editable = code_sha256(metadata.distribution("loraspec-demo"))
    record = base64.urlsafe_b64encode(hashlib.sha256((site / "loraspec_demo.py").read_bytes()).digest()).decode().rstrip("=")
    folder = tmp_path / "loraspec_demo-1.0.dist-info"
    folder.mkdir()
    (folder / "RECORD").write_text(f"loraspec_demo.py,sha256={record},6\n")

    assert code_sha256(metadata.Distribution.at(folder)) == editable
    (site / "loraspec_demo.py").write_text("X = 2\n")
    assert code_sha256(metadata.distribution("loraspec-demo")) != editable
