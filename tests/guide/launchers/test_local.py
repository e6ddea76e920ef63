"""The local launcher."""

from __future__ import annotations

from loraspec_guide.launchers.registry import LAUNCHERS


def test_local_calls_the_work_here() -> None:
    """The work's exit code comes back; the command is not started."""
    [component] = LAUNCHERS
    calls = []

    def work() -> int:
        calls.append(1)
        return 4

    assert component.build(component.options()).launch(work, command=["false"]) == 4
    assert calls == [1]
