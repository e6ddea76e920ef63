"""``make torture``: the full suites, and a table of counts at the end. ``python -m wreck [--share N] [--workers N] [NAME ...]``."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from wreck import suites
from wreck.mutants import MUTANTS
from wreck.suites import Count, work
from wreck.world import World, results

KILLS = {"no fsync of files": "power", "no fsync of folders": "power", "written in place": "kill", "announced early": "kill",
         "digests not compared": "flips"}


def mutant(world: World, name: str, workers: int) -> Count:
    """Return the count of the suite that has to find a mutant, up to the first case that does."""
    points = suites.announcements(world, name) if KILLS[name] != "flips" else []
    made = {
        "power": lambda: suites.power_loss(world, mutant=name, states=("undone", "truncated"), points=points),
        "kill": lambda: suites.every_operation(world, "kill", mutant=name, points=points if "early" in name else None, share=80),
        "flips": lambda: suites.flips(world, 30, mutant=name),
    }[KILLS[name]]
    return work(made(), workers=workers, first_only=True)


def hash_seeds(world: World) -> Count:
    """Fresh processes with other hash seeds, and with assertions off."""
    count = Count()
    for seed, flags in (("0", []), ("1", []), ("random", []), ("random", ["-O"])):
        folder = world.fresh()
        env = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join([str(world.root / "site"), *sys.path])}
        words = [sys.executable, *flags, "-m", "loraspec", "run", str(world.spec), "--output", str(folder)]
        done = subprocess.run(words, env=env, capture_output=True, text=True, check=False)
        count.cases += 1
        if done.returncode or results(folder) != world.wanted:
            count.bad[f"hash seed {seed}"] = [done.stderr]
    return count


def main() -> int:
    """Run what was named, or everything."""
    asked = argparse.ArgumentParser()
    asked.add_argument("names", nargs="*")
    asked.add_argument("--workers", type=int, default=2)
    given = asked.parse_args()
    world = World(Path(tempfile.mkdtemp(prefix="loraspec-torture-"))).prepare()
    print(f"{world.operations} operations in a run of three epochs, {world.seconds:.2f} s", flush=True)  # noqa: T201
    latencies: list[float] = []
    many = {"workers": given.workers}
    table = {
        **{f"mutant: {name}": lambda name=name: mutant(world, name, given.workers) for name in MUTANTS},
        "kills": lambda: work(suites.random_kills(world, 200), **many),
        "kill": lambda: work(suites.every_operation(world, "kill"), **many),
        "enospc": lambda: work(suites.every_operation(world, "enospc"), **many),
        "eio": lambda: work(suites.every_operation(world, "eio"), **many),
        "kill-resume": lambda: work(suites.every_operation_of_a_resume(world, "kill"), **many),
        "enospc-resume": lambda: work(suites.every_operation_of_a_resume(world, "enospc"), **many),
        "eio-resume": lambda: work(suites.every_operation_of_a_resume(world, "eio"), **many),
        "odd-disks": lambda: work(suites.odd_disks(world), **many),
        "power": lambda: work(suites.power_loss(world), **many),
        "flips": lambda: work(suites.flips(world, 200), **many),
        "cuts": lambda: work(suites.cuts(world, 100), **many),
        "double-starts": lambda: work(suites.double_starts(world, 20)),
        "signals": lambda: work(suites.signals(world, 2, latencies)),
        "surroundings": lambda: work(suites.surroundings(world), **many),
        "hash-seeds": lambda: hash_seeds(world),
    }
    rows, failed = [], False
    for name, suite in table.items():
        if given.names and not name.startswith(tuple(given.names)):
            continue
        since = time.monotonic()
        count = suite()
        caught = name.startswith("mutant")
        fine = bool(count.bad) == caught
        failed |= not fine
        said = "caught by " + next(iter(count.bad), "nothing") if caught else f"{len(count.bad)} bad"
        if name == "signals" and latencies:
            said += f", slowest {max(latencies):.2f} s"
        rows.append(f"{name:32} {count.cases:6} cases  {said:50} {time.monotonic() - since:7.0f} s  {'ok' if fine else 'FAILED'}")
        print(rows[-1], flush=True)  # noqa: T201
        if not caught:
            for case, wrong in list(count.bad.items())[:5]:
                print(f"    {case}: {wrong[0][:1500]}", flush=True)  # noqa: T201
    print("\n".join(["", *rows]), flush=True)  # noqa: T201
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
