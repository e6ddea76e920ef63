"""Feeds inputs to a target: ``python -m fuzz.run TARGET|all [COUNT [FIRST]]`` (``make fuzz``; LORASPEC_FUZZ says how many)."""

from __future__ import annotations

import os
import resource
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from attrs import define, field

from fuzz.mutators import Draw
from fuzz.targets import TARGETS
from loraspec.errors import LoraspecError

SEED = 1808
COUNT = 10_000
MEMORY = "/dev/shm"  # opening a file for writing on a disk can take a millisecond


@define
class Tally:
    """What became of the inputs of one target.

    Attributes:
        accepted, refused: Numbers of inputs.
        codes: How often each code was raised; "" for errors without one.
        slowest: Seconds of the slowest input, and its number.
        failures: Number of the input, and the error that must not come out.
    """

    accepted: int = 0
    refused: int = 0
    codes: dict[str, int] = field(factory=dict)
    slowest: tuple[float, int] = (0.0, -1)
    failures: list[tuple[int, str]] = field(factory=list)


def run(target: str, count: int, folder: Path, *, first: int = 0) -> Tally:
    """Feed ``count`` inputs, from number ``first`` on; stop after ten failures, or at Ctrl-C, with what was found up to there."""
    tally = Tally()
    with suppress(KeyboardInterrupt):
        for number in range(first, first + count):
            _feed(tally, target, number, folder)
            if len(tally.failures) == 10:
                break
    return tally


def _feed(tally: Tally, target: str, number: int, folder: Path) -> None:
    began = time.perf_counter()
    try:
        accepted = TARGETS[target](Draw(SEED, target, number), folder)
        tally.accepted += accepted
        tally.refused += not accepted
    except LoraspecError as error:
        tally.refused += 1
        code = getattr(error, "problems", [error])[0].code
        tally.codes[code] = tally.codes.get(code, 0) + 1
    except Exception as error:
        tally.failures.append((number, f"{type(error).__name__}: {error}"))
    tally.slowest = max(tally.slowest, (time.perf_counter() - began, number))


def main(words: list[str]) -> int:
    """Run one target or all, and print a line for each."""
    chosen = [*TARGETS] if words[:1] in ([], ["all"]) else words[:1]
    count = int(words[1]) if len(words) > 1 else int(os.environ.get("LORASPEC_FUZZ", COUNT))
    wrong = 0
    for target in chosen:
        with tempfile.TemporaryDirectory(dir=MEMORY if Path(MEMORY).is_dir() else None) as folder:
            began, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            tally = run(target, count, Path(folder), first=int(words[2]) if len(words) > 2 else 0)
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
        fed, took = tally.accepted + tally.refused + len(tally.failures), time.perf_counter() - began
        sys.stdout.write(
            f"{target:9} {fed} of {count} inputs in {took:.0f} s: {tally.accepted} accepted, {tally.refused} refused, "
            f"{len(tally.failures)} failures; slowest {tally.slowest[0]:.3f} s (input {tally.slowest[1]}), {grown:.0f} MB more\n"
        )
        sys.stdout.writelines(f"    input {number}: {said[:300]}\n" for number, said in tally.failures)
        sys.stdout.flush()
        wrong += len(tally.failures)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
