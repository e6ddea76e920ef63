"""A share of every torture suite; ``make torture`` runs all of each."""

import pytest
from wreck import suites
from wreck.__main__ import KILLS, mutant
from wreck.mutants import MUTANTS
from wreck.suites import work


def check(cases, **how):
    """Run cases and fail with what went wrong."""
    count = work(cases, **how)
    assert count.cases > 0
    assert count.bad == {}


@pytest.mark.parametrize("kind", ["kill", "enospc", "eio"])
def test_every_operation_of_a_run_may_fail(world, kind):
    """Killed, out of space or refused anywhere, a run keeps what it announced and goes on to the same bits."""
    check(suites.every_operation(world, kind, share=3))


def test_every_operation_of_a_resume_may_fail(world):
    """Mending can be cut off and done again, and sets no good epoch aside."""
    check(suites.every_operation_of_a_resume(world, "kill", share=3))


def test_random_kills(world):
    """Killed at any time, as often as it takes."""
    check(suites.random_kills(world, 4))


def test_odd_disks(world):
    """Short writes are gone on with; folders that cannot be synced are recorded as weak durability."""
    check(suites.odd_disks(world))


def test_power_loss(world):
    """Whatever of the unsynced bytes and names a disk kept, what was announced is whole and the end is the same."""
    check(suites.power_loss(world, share=2))


def test_flipped_bits(world):
    """One bit in any committed file is told, and trained or written again."""
    check(suites.flips(world, 6))


def test_damaged_files(world):
    """Cut, emptied, gone or joined by a stranger's: told and mended."""
    check(suites.cuts(world, 5))


def test_double_starts(world):
    """One of several starts works, the others are told who."""
    check(suites.double_starts(world, 1, processes=4))


def test_signals_in_every_phase(world):
    """A signal in any phase ends the run with exit code 4 within a second."""
    latencies = []
    check(suites.signals(world, 1, latencies))

    assert len(latencies) == 9
    assert sorted(latencies)[len(latencies) // 2] < 1.0  # the full suite asks it of each, on a machine that does nothing else


def test_surroundings(world):
    """Clock and umask change nothing but the mode of the files."""
    check(suites.surroundings(world, ["clock ahead", "umask 077"]))


@pytest.mark.parametrize("name", MUTANTS)
def test_mutant_is_caught(world, name):
    """Broken on purpose, the promise is seen to be broken: by power loss, by kills, by flipped bits."""
    assert set(KILLS) == set(MUTANTS)

    count = mutant(world, name, workers=1)

    assert count.bad, f"{count.cases} cases passed"
