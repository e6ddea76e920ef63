"""The published twin of the embedded recipe is reproduced on every change of the code."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from loraspec.testing.fixtures import Outcome

LOCK = Path(__file__).parents[1] / "specs" / "daumier.twin.lock"


@pytest.fixture(autouse=True)
def _threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_the_twin_gives_the_same_bits_again(loraspec_cli: Callable[..., Outcome], tmp_path: Path) -> None:
    """R3 where the numerics fingerprint is that of the lock, else R2: same streams, losses and metrics near. Says which.

    After a change that is meant to change bits: ``make locks``, and a line in the changelog.
    """
    done = loraspec_cli("reproduce", LOCK, "-o", tmp_path / "run")

    demanded = next(line for line in done.out.splitlines() if line.startswith("demanded:"))
    assert demanded.startswith(("demanded: R3 (the fingerprint is equal)", "demanded: R2")), demanded
    done.assert_success()
    assert f"achieved: {demanded.split()[1]}" in done.out or "achieved: R3" in done.out


def test_the_lock_of_the_embedded_recipe_is_that_of_its_spec(loraspec_cli: Callable[..., Outcome]) -> None:
    """Spec, data, base and plan are as locked: whoever changes one makes the lock anew. Reproducing it takes minutes."""
    said = loraspec_cli("verify", LOCK.with_name("daumier.embedded.lock")).out

    for field in ("spec ", "data ", "base ", "plan "):
        (line,) = [line for line in said.splitlines() if line.startswith(field)]
        assert "as locked" in line, said
