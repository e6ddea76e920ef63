"""``loraspec reproduce``."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from loraspec.cli.locked import refuse_drift
from loraspec.cli.targets import Target, target
from loraspec.cli.verify import say_level
from loraspec.errors import EXIT_DONE, EXIT_FOUND, LockError, RunError, SpecError
from loraspec.locking.compare import differences, reachable
from loraspec.locking.outcome import judge, outcome_of

if TYPE_CHECKING:
    from loraspec.plan import Plan

POLL = 0.01  # seconds


@click.command()
@click.argument("what", metavar="RUN|LOCK", type=click.Path(path_type=Path))
@click.option("--output", "-o", type=click.Path(path_type=Path), help="A fresh folder for the run; by default runs/<name>-<hash>-again.")
@click.option("--interrupt", is_flag=True, help="Kill the run once on its way and resume it: what R4 is claimed for.")
@click.option("--allow-drift", is_flag=True, help="Go on although something drifted from the lock.")
@click.option("--level", type=click.Choice(["R1", "R2", "R3", "R4"]),
              help="Exit with 1 below this level; by default what is reachable, at most R3.")
def command(what: Path, output: Path | None, interrupt: bool, allow_drift: bool, level: str | None) -> int:
    """Run a lock or a run again and say how equal it is.

    Prints the level achieved, with its evidence: R4 the same bits after a kill and a resume, R3 the same bits, R2 the same samples
    and draws with metrics inside the publisher's band, R1 the same recipe, R0 another. What is expected comes from the lock
    (loraspec lock --expect) or from the run.
    """
    chosen = target(what)
    if chosen.lock is None:
        raise click.UsageError(f"{what} is a spec: name its lock or a run")
    expected = chosen.lock.get("expected") if chosen.kind == "lock" else outcome_of(chosen.path).expected({})
    if not expected:
        hint = f"loraspec lock {chosen.spec} --expect RUN"
        raise LockError(f"{what}: says nothing of what is expected\n    hint: {hint}").coded("E-LOCK-EXPECTED")
    plan = chosen.plan()
    # another machine is what a reproduction is for: only another recipe or other inputs are refused
    _, now = refuse_drift(plan, chosen.lock, what, allow_drift=allow_drift, kinds=("recipe", "inputs"))
    best = reachable(differences(chosen.lock, now), now)
    wanted = level or min(best.level, "R3")
    click.echo(f"reachable here: {say_level(best)}")
    click.echo(f"demanded: {wanted}{_reason(level, wanted)}\n")
    folder = output or _fresh(plan)
    if folder.exists() and any(folder.iterdir()):
        raise SpecError(f"{folder} is not empty: a reproduction needs a fresh folder")
    killed = _run_interrupted(plan, chosen, folder) if interrupt else _run(plan, chosen, folder)
    compute = str(now["run"]["device"]["compute"])
    verdict = judge(outcome_of(folder), expected, best, interrupted=killed, compute=compute)
    click.echo(f"\nachieved: {say_level(verdict)}")
    return EXIT_DONE if verdict.level >= wanted else EXIT_FOUND


def _reason(level: str | None, wanted: str) -> str:
    if level is not None:
        return " (--level)"
    return " (the fingerprint is equal)" if wanted == "R3" else " (the best that can be reached here)"


def _fresh(plan: Plan) -> Path:
    """Return a folder beside the run's own that is not there yet."""
    base = Path("runs") / f"{plan.name}-{plan.spec_hash[:8]}-again"
    numbered = (base.with_name(f"{base.name}-{number}") for number in range(2, 10_000))
    return next(path for path in (base, *numbered) if not path.exists())


def _run(plan: Plan, chosen: Target, folder: Path) -> bool:
    from loraspec.cli.run import carry_out, command_of

    code = carry_out(plan, folder, command_of(chosen.spec, folder, chosen.profiles, chosen.sets))
    if code != EXIT_DONE:
        raise RunError(f"{folder}: the run ended with exit code {code}")
    return False


def _run_interrupted(plan: Plan, chosen: Target, folder: Path) -> bool:
    """Run in another process, kill it in the midst of training, and resume it; whether it could be killed."""

    def begun() -> bool:
        """Whether an epoch is committed, or in a run of one epoch whether it has trained at all."""
        if plan.spec.train.epochs > 1:
            return (folder / "epochs" / "index.json").is_file()
        events = folder / "events.jsonl"
        return events.is_file() and '"kind":"first"' in events.read_text(encoding="utf-8", errors="replace")

    from loraspec.cli.run import words_of

    loraspec = [sys.executable, "-m", "loraspec"]
    child = subprocess.Popen([*loraspec, *words_of(chosen.spec, folder, chosen.profiles, chosen.sets)])
    try:
        while child.poll() is None and not begun():
            time.sleep(POLL)
    finally:
        child.send_signal(signal.SIGKILL)
        code = child.wait()
    killed = code == -signal.SIGKILL
    if killed:
        click.echo(f"killed the run on its way; resuming {folder}")
        code = subprocess.run([*loraspec, "resume", str(folder)], check=False).returncode
    if code != EXIT_DONE:
        raise RunError(f"{folder}: the run ended with exit code {code}")
    return killed
