"""For plugin authors: ``pytest_plugins = ["loraspec.testing"]`` gives fixtures, and one suite per stage is here to subclass."""

from __future__ import annotations

from loraspec.testing.fixtures import (
    Outcome,
    RunOutcome,
    install_plugin,
    loraspec_cli,
    make_plan,
    run_spec,
    spec_file,
    tiny_plugin,
)

__all__ = [
    "Outcome",
    "RunOutcome",
    "install_plugin",
    "loraspec_cli",
    "make_plan",
    "run_spec",
    "spec_file",
    "tiny_plugin",
]
