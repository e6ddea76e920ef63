"""Bad input: each case gives its code, its exit code and its words, quickly, in little memory, and trains nothing."""

from __future__ import annotations

import json
import os
import re
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from corpus.case import CODE, Case, Outcome, judge
from corpus.table import CASES, WAITING, WANTED

ROOT = Path(__file__).resolve().parents[2]
FRESH = ("S07-arrays", "S28-fifo")


def environment(folder: Path) -> dict[str, str]:
    """The built-ins and the plugin ``tiny`` only; a cache of one's own; no colours."""
    path = os.pathsep.join(str(ROOT / part) for part in ("", "plugins", "tests"))
    own = {"PYTHONPATH": path, "LORASPEC_CACHE": str(folder / "cache"), "LORASPEC_DISABLED_PLUGINS": "openmoji,prodigy"}
    return {**os.environ, **own, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}


@pytest.fixture(scope="module")
def outcomes(request: pytest.FixtureRequest) -> Iterator[dict[str, list[Outcome]]]:
    """Outcomes of the chosen cases by name, made by two processes: one without torch, one with it."""
    chosen = [item.callspec.params["case"] for item in request.session.items if getattr(item, "callspec", None) and
              isinstance(item.callspec.params.get("case"), Case)]
    found: dict[str, list[Outcome]] = {}
    stack = ExitStack()
    for torch in (False, True):
        names = [case.name for case in chosen if case.torch is torch]
        if not names:
            continue
        # Not below pytest's own folder, which no other user may enter: some cases run without root's rights.
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="corpus-")))
        folder.chmod(0o755)
        out = folder / "outcomes.json"
        command = [sys.executable, "-m", "corpus.driver", str(folder), str(out), *names]
        done = subprocess.run(command, env=environment(folder), capture_output=True, text=True)
        if done.returncode:
            pytest.exit(f"the driver failed:\n{done.stderr}")
        found |= {name: [Outcome(**row) for row in rows] for name, rows in json.loads(out.read_text(encoding="utf-8")).items()}
    with stack:
        yield found


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_case_gives_what_it_promises(outcomes: dict[str, list[Outcome]], case: Case) -> None:
    """The code is printed and no other, the exit code is right, nothing is trained, time and memory are kept."""
    assert outcomes[case.name]
    for outcome in outcomes[case.name]:
        judge(case, outcome)


def test_every_case_is_there() -> None:
    """32 + 46 + 22 + 10 + 19 + 9 + 5 cases; a missing one is named."""
    wanted = {f"{kind}{number:02}" for kind, count in WANTED.items() for number in range(1, count + 1)}
    assert {case.id for case in CASES} == {name for name in wanted if name not in WAITING and name[0] not in WAITING}
    names = [case.name for case in CASES]
    assert len(names) == len(set(names))
    assert sum(WANTED.values()) == 143


def test_cases_promise_something() -> None:
    """Errors have an exit code and a code of their own; only what is accepted on purpose has neither code nor words."""
    for case in CASES:
        errors = [code for code in case.codes if code.startswith("E-")]
        assert bool(errors) == bool(case.exit), case.name
        assert case.commands or case.act, case.name
        assert all(CODE.fullmatch(f"[{code}]") for code in case.codes), case.name


@pytest.mark.parametrize("name", FRESH)
def test_case_in_a_fresh_process(name: str, tmp_path: Path) -> None:
    """The figures also hold for a whole process: 2 s more than an empty command, 300 MB in all."""
    case = next(case for case in CASES if case.name == name)
    case.make(tmp_path)
    last = "atexit.register(lambda: Path('peak').write_text(Path('/proc/self/status').read_text()))"
    whole = f"import atexit; from pathlib import Path; {last}; from loraspec.cli import main; main()"
    command = [sys.executable, "-c", whole, *case.commands[0]]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, cwd=tmp_path, env=environment(tmp_path), capture_output=True, text=True, timeout=60)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)

    assert done.returncode == case.exit, done.stderr
    assert set(CODE.findall(done.stderr)) == set(case.codes), done.stderr
    peak = re.search(r"VmHWM:\s+(\d+) kB", (tmp_path / "peak").read_text())
    assert peak is not None
    assert int(peak[1]) / 1024 < 300
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 4
