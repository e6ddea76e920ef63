"""What is installed and set here: variables, code digests of distributions."""

from __future__ import annotations

from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import pytest

from loraspec.distributions import code_sha256
from loraspec.surroundings import VARIABLES, packages, surroundings


def test_a_package_is_hashed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many components come from it."""
    asked: list[str] = []
    monkeypatch.setattr(
        "loraspec.surroundings.code_sha256", lambda distribution: asked.append(distribution.metadata["Name"]) or "0"
    )

    assert list(packages(["attrs", "numpy", "attrs"])) == ["attrs", "numpy"]
    assert asked == ["attrs", "numpy"]


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


@pytest.mark.parametrize("made", ["a.cpython-311.pyc", "a.walk-1.py311.nbi", "a.walk-1.py311.1.nbc"])
def test_what_python_and_numba_keep_beside_the_code_is_no_code(install_plugin: Callable[..., Path], made: str) -> None:
    """A checkout that ran is the checkout that was installed."""
    site = install_plugin("demo", "X = 1\n", direct_url={"url": "file:///x", "dir_info": {"editable": True}})
    kept = site / "loraspec_demo" / "__pycache__"
    kept.mkdir(parents=True)
    (kept.parent / "__init__.py").write_text("X = 1\n")
    before = code_sha256(metadata.distribution("loraspec-demo"))
    (kept / made).write_bytes(b"machine code")
    assert code_sha256(metadata.distribution("loraspec-demo")) == before
    (kept.parent / "more.py").write_text("Y = 1\n")
    assert code_sha256(metadata.distribution("loraspec-demo")) != before
