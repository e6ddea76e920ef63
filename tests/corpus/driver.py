"""Runs cases in one process that forks for each: ``python -m corpus.driver FOLDER OUT.json NAME...``.

The fork makes a case cheap (nothing is imported again) and lets its memory be measured: the growth of the child's peak.
A child that blocks is ended by its own alarm.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import warnings
from pathlib import Path
from typing import Any

PATIENCE = 30  # seconds until a case counts as blocked
NOBODY = 65534


def main(folder: Path, out: Path, names: list[str]) -> None:
    """Make and run the named cases, each in a folder of its own; write the outcomes of each."""
    from corpus.table import CASES

    os.umask(0o022)  # a case without root's rights has to read what is written here
    chosen = [case for case in CASES if case.name in names]
    _warm(folder, torch=any(case.torch for case in chosen))
    found: dict[str, list[dict[str, Any]]] = {}
    for case in chosen:
        place = folder / case.name
        place.mkdir(mode=0o755)
        made = _child(place, lambda case=case, place=place: case.make(place) and None)
        if made.get("error") or made["code"]:
            found[case.name] = [{"command": "(making the input)", **made}]
            continue
        jobs = [("(act)", _acting(case.act, place))] if case.act else [(" ".join(words), _calling(words)) for words in case.commands]
        found[case.name] = [{"command": said, **_child(place, job, user=case.user)} for said, job in jobs]
    out.write_text(json.dumps(found), encoding="utf-8")


def _warm(folder: Path, *, torch: bool) -> None:
    """Import what every case needs, and install the plugin ``tiny``."""
    site = folder / "site-packages"
    info = site / "loraspec_tiny-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: loraspec-tiny\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[loraspec.v1]\ntiny = loraspec.testing.tiny\n")
    (info / "RECORD").write_text("")
    sys.path.insert(0, str(site))
    from corpus.specs import write_good

    good = folder / "good"
    good.mkdir(mode=0o755)
    write_good(good)
    calls = [("validate", "spec.toml"), ("plan", "spec.toml"), ("captions", "preview", "spec.toml")]
    if torch:
        calls.append(("run", "spec.toml"))
    os.chdir(good)
    for words in calls:
        done = _calling(words)()
        assert (done["code"], "[" in done["text"]) == (0, False), f"the good data set is not good:\n{done['text']}{done['error']}"


def _calling(words: tuple[str, ...]) -> Any:
    def call() -> dict[str, Any]:
        from click.testing import CliRunner

        from loraspec.cli import main as loraspec

        result = CliRunner().invoke(loraspec, list(words), prog_name="loraspec")
        odd = result.exception if not isinstance(result.exception, SystemExit) else None
        return {"code": result.exit_code, "text": result.output, "error": repr(odd) if odd else ""}

    return call


def _acting(act: Any, place: Path) -> Any:
    def call() -> dict[str, Any]:
        import click
        from click.testing import CliRunner

        from loraspec.cli.group import LazyGroup

        group = LazyGroup("loraspec", sections={})
        group.add_command(click.Command("act", callback=lambda: act(place)))
        group.get_command = lambda ctx, name: group.commands.get(name)
        group.list_commands = lambda ctx: ["act"]
        result = CliRunner().invoke(group, ["act"], prog_name="loraspec")
        odd = result.exception if not isinstance(result.exception, SystemExit) else None
        return {"code": result.exit_code, "text": result.output, "error": repr(odd) if odd else ""}

    return call


def _child(place: Path, job: Any, *, user: bool = False) -> dict[str, Any]:
    """Do a job in a forked child, in a folder, and measure it."""
    read, write = os.pipe()
    before = _resident()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of threads in a forking process: they are idle pools
        pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.close(read)
            signal.alarm(PATIENCE)
            os.chdir(place)
            if user and os.geteuid() == 0:
                os.setgroups([])
                os.setgid(NOBODY)
                os.setuid(NOBODY)
            try:
                done = job() or {"code": 0, "text": "", "error": ""}
            except BaseException as error:
                done = {"code": 1, "text": "", "error": repr(error)}
            done["torch"] = "torch" in sys.modules
            with os.fdopen(write, "w", encoding="utf-8", errors="surrogatepass") as pipe:
                json.dump(done, pipe)
            status = 0
        finally:
            os._exit(status)
    os.close(write)
    with os.fdopen(read, encoding="utf-8") as pipe:
        said = pipe.read()
    _, status, usage = os.wait4(pid, 0)
    found = json.loads(said) if said else {"code": os.waitstatus_to_exitcode(status), "text": "", "error": "the process ended"}
    files = [str(Path(base, name).relative_to(place)) for base, _, names in os.walk(place) for name in names]
    printable = [name.encode("utf-8", "replace").decode() for name in files[:200]]
    cost = {"seconds": usage.ru_utime + usage.ru_stime, "megabytes": usage.ru_maxrss / 1024 - before}
    return {**found, **cost, "files": printable, "folder": str(place)}


def _resident() -> float:
    """Memory of this process, MB."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])
