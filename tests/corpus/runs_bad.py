"""R: run folders that are no run, another's, newer, damaged, forged, or held."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from corpus.case import Case, Outcome
from corpus.specs import noise, write_good

OUT = "out"
RUN = (("run", "spec.toml", "--set", f"run.output={OUT}"),)
RESUME = (("resume", OUT),)
BOMB = b"\x80\x04\x95#\0\0\0\0\0\0\0\x8c\x02os\x8c\x08makedirs\x93\x8c\x06canary\x85R."


def begun(change: Callable[[Path], Any], *, epochs: int = 3) -> Callable[[Path], None]:
    """A finished run of the good spec in ``out``, changed."""

    def make(folder: Path) -> None:
        from click.testing import CliRunner

        from loraspec.cli import main

        write_good(folder)
        text = (folder / "spec.toml").read_text()
        (folder / "spec.toml").write_text(text.replace("epochs = 1", f"epochs = {epochs}"))
        os.chdir(folder)
        done = CliRunner().invoke(main, list(RUN[0]), prog_name="loraspec")
        assert done.exit_code == 0, done.output
        change(folder / OUT)

    return make


def photos(folder: Path) -> None:
    write_good(folder)
    (folder / OUT).mkdir()
    noise().save(folder / OUT / "holiday.png")


def photos_are_there(outcome: Outcome) -> None:
    """Nothing was written, nothing is gone."""
    assert sorted(file for file in outcome.files if file.startswith(f"{OUT}/")) == [f"{OUT}/holiday.png"]


def other_spec(run: Path) -> None:
    text = run.parent / "spec.toml"
    text.write_text(text.read_text().replace("alpha = 2.0", "alpha = 1.0"))
    state = json.loads((run / "run.json").read_text())
    _sealed(run / "run.json", {**state, "state": "stopped"})


def _sealed(path: Path, value: dict[str, Any]) -> None:
    from loraspec.engine.store import sealed, write_json

    write_json(path, sealed({key: inner for key, inner in value.items() if key != "seal"}))


def sealed(name: str, **changes: Any) -> Callable[[Path], None]:
    """Change a sealed file as a forger would."""

    def change(run: Path) -> None:
        _sealed(run / name, {**json.loads((run / name).read_text()), **changes})
        if name != "run.json":
            unfinished(run)

    return change


def unfinished(run: Path) -> None:
    """Say that the run is not done, so that it is taken up."""
    _sealed(run / "run.json", {**json.loads((run / "run.json").read_text()), "state": "stopped"})


def weight_file(epoch: int) -> str:
    return f"epochs/case-{epoch:06d}.safetensors"


def gap(run: Path) -> None:
    (run / weight_file(2)).unlink()
    unfinished(run)


def link_to_file(run: Path) -> None:
    path = run / weight_file(3)
    path.rename(run.parent / "elsewhere.safetensors")
    path.symlink_to(run.parent / "elsewhere.safetensors")
    unfinished(run)


def link_to_folder(run: Path) -> None:
    shutil.move(run / "epochs", run.parent / "elsewhere")
    (run / "epochs").symlink_to(run.parent / "elsewhere")
    unfinished(run)


def extra(run: Path) -> None:
    (run / "epochs" / "optimizer.pt").write_bytes(BOMB)
    unfinished(run)


def leads_out(name: str) -> Callable[[Path], None]:
    def change(run: Path) -> None:
        index = json.loads((run / "epochs" / "index.json").read_text())
        index["epochs"][0]["files"][0]["path"] = name
        _sealed(run / "epochs" / "index.json", index)
        journal = run / "journal.jsonl"  # which would mend the index
        journal.unlink()
        unfinished(run)

    return change


def half_line(run: Path) -> None:
    with (run / "journal.jsonl").open("ab") as file:
        file.write(b'{"kind":"epo')
    unfinished(run)


def bombs(run: Path) -> None:
    """A pickle that makes the folder ``canary``, in the place of every file that a run reads."""
    for path in sorted(path for path in run.rglob("*") if path.is_file()):
        path.write_bytes(BOMB)


def bombs_in_state(run: Path) -> None:
    for path in sorted(path for path in (*run.rglob("state/*/*"), *run.rglob("*.safetensors"), *run.rglob("*.png")) if path.is_file()):
        path.write_bytes(BOMB)
    unfinished(run)


def no_canary(outcome: Outcome) -> None:
    """Nothing was unpickled."""
    assert not (Path(outcome.folder) / "canary").exists()


def made_again(outcome: Outcome) -> None:
    """Every epoch is there, as a plain file, and what was in its way is kept."""
    run = Path(outcome.folder) / OUT
    for epoch in (1, 2, 3):
        assert (run / weight_file(epoch)).is_file()
        assert not (run / weight_file(epoch)).is_symlink()
    assert json.loads((run / "run.json").read_text())["state"] == "done"


def quarantined(outcome: Outcome) -> None:
    """The strange file lies aside, and every epoch is there."""
    made_again(outcome)
    assert any("quarantine/" in file for file in outcome.files)


def dead(folder: Path) -> None:
    """Leave behind what a process wrote that was killed on another machine."""
    write_good(folder)
    (folder / OUT).mkdir()
    (folder / OUT / ".held").write_text("pid 999999 on elsewhere since 2026-01-01 00:00:00 UTC")


def live(folder: Path) -> None:
    """Start a run while this process holds the folder; a second file handle is a second holder to the kernel."""
    from click.testing import CliRunner

    from loraspec.cli import main
    from loraspec.engine.folder import held
    from loraspec.errors import RunError

    dead(folder)
    with held(folder / OUT):
        said = CliRunner().invoke(main, list(RUN[0]), prog_name="loraspec")
    assert said.exit_code == 1, said.output
    assert f"pid {os.getpid()} on " in said.output, said.output
    raise RunError("the second start was refused").coded("E-RUN-LOCKED" if "[E-RUN-LOCKED]" in said.output else "E-NOT")


def bad(
    number: str, title: str, code: str, change: Callable[[Path], Any], *says: str, exit: int = 1, variant: str = "", **more: Any
) -> Case:
    """A run's folder that is refused."""
    more = {"commands": RESUME, "begun": True, "torch": True, **more}
    return Case(number, title, begun(change), tuple(code.split()), exit, says=says, variant=variant, **more)


CASES = (
    Case(
        "R01", "a folder with somebody's photos", photos, ("E-RUN-FOREIGN",), 2, RUN, ("holiday.png",), check=photos_are_there, torch=True
    ),
    bad("R02", "the folder of another spec", "E-RUN-IDENTITY", other_spec, "adapter.alpha", exit=2, commands=RUN),
    bad("R03", "a folder from a newer version", "E-RUN-VERSION", sealed("run.json", layout=99, state="stopped"), "newer loraspec"),
    bad("R04", "an epoch missing between others", "", gap, weight_file(2), exit=0, check=made_again),
    bad("R05", "an epoch file that is a link", "", link_to_file, "is a link", exit=0, variant="file", check=quarantined),
    bad("R05", "a folder that is a link", "E-RUN-LAYOUT", link_to_folder, "is a link", variant="folder"),
    bad("R05", "a pickle among the epochs", "", extra, "belongs to no epoch", exit=0, variant="extra", check=quarantined),
    bad("R06", "an index that names ../x", "E-RUN-LAYOUT", leads_out("../../x"), variant="above"),
    bad("R06", "an index with an absolute path", "E-RUN-LAYOUT", leads_out("/etc/passwd"), variant="absolute"),
    bad("R07", "a journal whose last line is half", "", half_line, "cut off", exit=0, check=made_again),
    bad("R08", "a pickle under every name", "E-RUN-LAYOUT", bombs, exit=1, variant="all", check=no_canary),
    bad("R08", "a pickle under every name of tensors and pictures", "W-D-JUMP", bombs_in_state, exit=0, variant="state", check=no_canary),
    Case("R09", "a folder held by a living process", codes=("E-RUN-LOCKED",), exit=1, act=live, variant="live", torch=True, begun=True),
    Case("R09", "a folder that a dead process held", dead, commands=RUN, variant="dead", torch=True),
)
