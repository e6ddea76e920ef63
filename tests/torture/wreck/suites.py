"""The suites: lists of cases, each a function that returns what went wrong. A share runs with the tests, all by ``make torture``."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from attrs import define, field

from loraspec.randomness import generator
from wreck import power
from wreck.server import phases
from wreck.world import World, announced, missing

Case = Callable[[], list[str]]


@define
class Count:
    """What a suite found.

    Attributes:
        cases: Cases run.
        bad: Name of a case -> what went wrong.
        note: A further figure.
    """

    cases: int = 0
    bad: dict[str, list[str]] = field(factory=dict)
    note: str = ""


def work(cases: Iterable[tuple[str, Case]], *, workers: int = 1, first_only: bool = False) -> Count:
    """Run cases, several at a time; ``first_only`` ends with the first that goes wrong."""
    count = Count()

    def one(item: tuple[str, Case]) -> None:
        name, case = item
        if first_only and count.bad:
            return
        try:
            wrong = case()
        except Exception as error:
            wrong = [f"{type(error).__name__}: {error}"]
        count.cases += 1
        if wrong:
            count.bad[name] = wrong

    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(one, cases))
    return count


def spread(total: int, wanted: int | None) -> list[int]:
    """Return numbers from 1 to ``total``: all, or ``wanted`` of them spread evenly."""
    if wanted is None or wanted >= total:
        return list(range(1, total + 1))
    return sorted({1 + round(number * (total - 1) / max(1, wanted - 1)) for number in range(wanted)})


# -- killed, refused ---------------------------------------------------------------------------------------------------


def announcements(world: World, mutant: str = "") -> list[int]:
    """Return the operations right behind each announcement of an epoch, where what was promised and is not done shows."""
    log = world.fresh("log")
    code, said = world.run(world.fresh(), log=log, mutant=mutant)
    assert code == 0, said
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    told = [count for count, name, args, _ in lines if name == "write" and b'"epoch","epoch":' in bytes.fromhex(args[1])]
    return [count + further for count in told for further in (3, 1, 6)]


def every_operation(
    world: World, kind: str, share: int | None = None, mutant: str = "", points: list[int] | None = None
) -> Iterator[tuple[str, Case]]:
    """A kill, a full disk or an I/O error at each operation of a run; then it goes on."""

    def case(at: int) -> list[str]:
        folder = world.fresh()
        code, said = world.run(folder, kind=kind, at=at, mutant=mutant)
        good = {"kill": (-9,), "enospc": (1, 0), "eio": (1, 0)}[kind]
        wrong = [] if code in good else [f"exit code {code}: {said[-500:]}"]
        if "Traceback" in said or "unexpected error" in said:
            wrong.append(said[-1500:])
        return wrong + world.after_a_fault(folder) + world.finish(folder, mutant=mutant)

    for at in points or spread(world.operations, share):
        yield f"{kind} at {at}", lambda at=at: case(at)


def every_operation_of_a_resume(world: World, kind: str, share: int | None = None) -> Iterator[tuple[str, Case]]:
    """The same while a killed run with a damaged epoch is taken up and mended."""
    begun = _begun(world)
    sick = world.fresh("sick")
    shutil.copytree(begun, sick)
    _flip(sick / "epochs" / "tiny-000002.safetensors", 4096)
    log = world.fresh("log")
    copy = world.fresh()
    shutil.copytree(sick, copy)
    assert world.run(copy, log=log)[0] == 0
    total = max(json.loads(line)[0] for line in log.read_text().splitlines())

    def case(at: int) -> list[str]:
        folder = world.fresh()
        shutil.copytree(sick, folder)
        world.run(folder, kind=kind, at=at)
        aside = len(list((folder / "quarantine").glob("*"))) if (folder / "quarantine").exists() else 0
        wrong = [] if aside <= 1 else ["a good epoch was set aside"]
        return wrong + world.finish(folder, quarantines=True)

    for at in spread(total, share):
        yield f"{kind} at {at} of a resume", lambda at=at: case(at)


def random_kills(world: World, kills: int) -> Iterator[tuple[str, Case]]:
    """Kill at random times, again and again until the run is done by itself; some after a SIGTERM."""
    rng = generator(0, "kills")

    def case(times: list[float], soft: bool) -> list[str]:
        folder = world.fresh()
        for seconds in times:
            process = world.start(folder)
            time.sleep(seconds)
            if soft and process.process.exitcode is None:
                os.kill(process.process.pid, signal.SIGTERM)
                time.sleep(seconds / 5)
            process.process.kill()
            process.wait()
            wrong = world.after_a_fault(folder)
            if wrong:
                return wrong
        return world.finish(folder)

    for number in range(-(-kills // 4)):
        times = [float(value) * world.seconds * 1.2 for value in rng.random(min(4, kills - 4 * number))]
        yield f"kills {number}", lambda times=times, soft=number % 4 == 3: case(times, soft)


def odd_disks(world: World) -> Iterator[tuple[str, Case]]:
    """Writes that take only a part; a file system that cannot sync folders, which is recorded."""

    def short() -> list[str]:
        return world.finish(world.fresh(), kind="short")

    def weak() -> list[str]:
        folder = world.fresh()
        code, said = world.run(folder, kind="nosync")
        told = json.loads((folder / "run.json").read_text()).get("durability")
        return [f"code {code}, durability {told!r}: {said[-500:]}"] if code or told != "weak" else world.finish(folder)

    yield "short writes", short
    yield "no sync of folders", weak


# -- power -------------------------------------------------------------------------------------------------------------


def power_loss(
    world: World, share: int | None = None, mutant: str = "", states: tuple[str, ...] = power.STATES, points: list[int] | None = None
) -> Iterator[tuple[str, Case]]:
    """Every operation, every state that a disk may be in when the power goes there; equal states are tried once."""
    folder, log = world.fresh("whole"), world.fresh("log")
    code, said = world.run(folder, log=log, mutant=mutant)
    assert code == 0, said
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    chosen = set(points or spread(max(line[0] for line in lines), share))
    disk = power.Disk(folder)
    tried: set[str] = set()

    def case(content: dict, told: list[dict]) -> list[str]:
        place = world.fresh()
        power.lay_out(content, place)
        return missing(place, told) or world.finish(place, mutant=mutant, quarantines=True)

    def equal() -> list[str]:
        return []

    for count, name, args, made in lines:
        disk.play(name, args, made)
        if count not in chosen or name not in ("open", "write", "fsync", "replace", "mkdir", "unlink", "rmdir", "ftruncate", "close"):
            continue
        for state in states:
            content = disk.after(state, count)
            told = list(disk.announced)
            key = power.digest(content) + str(len(told))
            if key in tried:
                yield f"{state} at {count}", equal
                continue
            tried.add(key)
            yield f"{state} at {count}", lambda content=content, told=told: case(content, told)


# -- damaged files -----------------------------------------------------------------------------------------------------


def flips(world: World, number: int, mutant: str = "") -> Iterator[tuple[str, Case]]:
    """One bit of one committed file of a killed run: told, and the same bits in the end."""
    begun = _begun(world)
    files = _committed(begun)
    rng = generator(0, "flips")
    for turn in range(number):
        name = files[turn % len(files)]
        bit = int(rng.integers(8 * (begun / name).stat().st_size))
        yield f"bit {bit} of {name}", lambda name=name, bit=bit: _damaged(world, begun, name, lambda path: _flip(path, bit), mutant)


def cuts(world: World, number: int) -> Iterator[tuple[str, Case]]:
    """Files cut short, emptied, gone, replaced by another, joined by a stranger."""
    begun = _begun(world)
    files = [name for name in _committed(begun) if name not in ("spec.toml", "resolved.toml")]  # copies are written again, not told
    ways = {
        "half": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
        "empty": lambda path: path.write_bytes(b""),
        "zeros": lambda path: path.write_bytes(bytes(path.stat().st_size)),
        "longer": lambda path: path.write_bytes(path.read_bytes() + b"\n"),
        "gone": lambda path: path.unlink(),
        "stranger": lambda path: (path.parent / "stranger.bin").write_bytes(b"?"),
    }
    made = [(way, name) for name in files for way in ways if way != "stranger" or name.startswith(("epochs", "state"))]
    for way, name in [made[index * len(made) // number] for index in range(number)] if number < len(made) else made:
        gone_quietly = way == "gone" and name in ("journal.jsonl", "lock.json", "run.json")
        quiet = gone_quietly or (way == "longer" and name == "journal.jsonl")
        yield f"{way}: {name}", lambda way=way, name=name, quiet=quiet: _damaged(world, begun, name, ways[way], "", quiet=quiet)


def _begun(world: World) -> Path:
    """Return a run that was killed after two epochs."""
    folder = world.root / "begun"
    if not folder.exists():
        for at in range(announcements(world)[3], world.operations):
            part = world.fresh("begun")
            world.run(part, kind="kill", at=at)
            if {line["epoch"] for line in announced(part)} == {1, 2} and len(list((part / "state").glob("step-*"))) == 2:
                part.rename(folder)
                break
    return folder


def _committed(folder: Path) -> list[str]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    names = sorted(path.relative_to(folder).as_posix() for path in files)
    kept = ("epochs/", "state/step-", "journal.jsonl", "run.json", "lock.json", "spec.toml", "resolved.toml")
    return [name for name in names if name.startswith(kept) and not name.endswith(".part")]


def _flip(path: Path, bit: int) -> None:
    data = bytearray(path.read_bytes())
    data[bit // 8] ^= 1 << bit % 8
    path.write_bytes(data)


def _damaged(world: World, begun: Path, name: str, damage: Callable[[Path], object], mutant: str, *, quiet: bool = False) -> list[str]:
    folder = world.fresh()
    shutil.copytree(begun, folder)
    damage(folder / name)
    code, said = world.run(folder, mutant=mutant)
    if code:
        return [f"exit code {code}: {said[-1500:]}"]
    lines = [json.loads(line) for line in (folder / "journal.jsonl").read_text().splitlines()]
    events = (folder / "events.jsonl").read_text()
    named = [file for line in lines if line["kind"] == "quarantined" for file in line["files"]]
    told = any(file.startswith(name) or name.startswith(file) for file in named) or "stranger" in str(named)
    told = told or "was gone" in events or "is dropped" in events
    return ([] if told or quiet else ["silent"]) + world.finish(folder, quarantines=True)


# -- two at once, signals, surroundings --------------------------------------------------------------------------------


def double_starts(world: World, rounds: int, processes: int = 20) -> Iterator[tuple[str, Case]]:
    """Many starts at the same instant: one works, the others are told who does."""

    def case() -> list[str]:
        folder, go = world.fresh(), world.fresh("go")
        started = [world.start(folder, hold=str(go)) for _ in range(processes)]
        end = time.monotonic() + 100
        while sum(item.process.exitcode is None for item in started) > 1 and time.monotonic() < end:
            time.sleep(0.02)
        left = [item for item in started if item.process.exitcode is None]
        go.touch()
        if len(left) != 1:
            return [f"{len(left)} hold the run: {[item.text[-200:] for item in started]}"]
        winner = left[0]
        words = f"pid {winner.process.pid} on "
        wrong = [item.text for item in started if item is not winner and (item.wait() != 1 or words not in item.text)]
        wrong += [] if all("E-RUN-LOCKED" in item.text for item in started if item is not winner) else ["no code"]
        code = winner.wait()
        return wrong + ([winner.text] if code else []) + world.finish(folder)

    for number in range(rounds):
        yield f"round {number}", case


def signals(world: World, turns: int, latencies: list[float]) -> Iterator[tuple[str, Case]]:
    """Each signal in each phase: exit code 4 within a second, and the same bits after going on."""

    def case(phase: str, number: int) -> list[str]:
        folder = world.fresh()
        words = ("--set", "run.name=tiny")
        if phase == "cache":
            words = (*words, "--set", f"run.seed={next(world._counter)}")  # draws images that are not in the cache yet
        process = world.start(folder, slow=phase, words=words)
        here = Path(f"{process.out}.here")
        end = time.monotonic() + 60
        while not here.exists() and process.process.exitcode is None and time.monotonic() < end:
            time.sleep(0.01)
        if not here.exists():
            return [f"{phase} was never reached: {process.text[-500:]}"]
        time.sleep(0.05)
        since = time.monotonic()
        os.kill(process.process.pid, number)
        code = process.wait()
        latencies.append(time.monotonic() - since)
        if code != 4 or "stopped by SIG" not in process.text:
            return [f"exit code {code}: {process.text[-800:]}"]
        return [] if phase == "cache" else world.finish(folder)

    for turn in range(turns):
        for phase in phases():
            for name in ("SIGTERM", "SIGINT", "SIGUSR1") if turns > 1 else (("SIGTERM", "SIGINT", "SIGUSR1")[len(phase) % 3],):
                number = getattr(signal, name)
                yield f"{name} in {phase}, turn {turn}", lambda phase=phase, number=number: case(phase, number)


SURROUNDINGS = {
    "clock back": (("clock", -3600.0),),
    "clock ahead": (("clock", 10 * 365 * 86400.0),),
    "zone": (("zone", "Pacific/Kiritimati"),),
    "summer time": (("zone", "America/St_Johns"),),
    "locale C": (("locale", "C"),),
    "locale C.UTF-8": (("locale", "C.UTF-8"),),
    "umask 077": (("umask", 0o077),),
    "umask 000": (("umask", 0),),
    "working folder": (("folder", "/"),),
    "home and user": (("home", "/nowhere"),),
}


def surroundings(world: World, wanted: Iterable[str] = SURROUNDINGS) -> Iterator[tuple[str, Case]]:
    """Killed in other surroundings, taken up in these: one digest; files have the mode that the umask leaves."""

    def case(before: tuple) -> list[str]:
        folder = world.fresh()
        world.run(folder, kind="kill", at=world.operations // 2, before=before)
        whole = world.fresh()
        code, said = world.run(whole, before=before)
        if code:
            return [said[-800:]]
        umask = dict(before).get("umask", os.umask(0o022))
        os.umask(0o022)
        modes = {oct(path.stat().st_mode & 0o777) for path in (whole / "epochs").iterdir()}
        wrong = [] if modes == {oct(0o666 & ~umask)} else [f"modes {modes}"]
        return wrong + world.finish(folder) + world.finish(whole)

    for name in wanted:
        yield name, lambda name=name: case(SURROUNDINGS[name])
