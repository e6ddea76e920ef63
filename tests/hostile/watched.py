"""A run, a stop, its resume and a call too many, watched: ``python -m hostile.watched FOLDER OUT.json``.

Everything that could hurt is patched to raise or is written down by an audit hook: sockets, unpickling, other programs,
files that are opened, made, moved and removed. The spec, its images and a plugin that stops the run lie in FOLDER.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
CHANGES = (
    "os.mkdir",
    "os.rename",
    "os.remove",
    "os.rmdir",
    "os.symlink",
    "os.link",
    "os.truncate",
    "os.chmod",
    "os.chown",
    "os.utime",
    "shutil.rmtree",
    "shutil.move",
    "shutil.copyfile",
)
PROGRAMS = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "pty.spawn")
SOCKETS = (
    "socket.connect",
    "socket.bind",
    "socket.getaddrinfo",
    "socket.gethostbyname",
    "socket.sendto",
    "urllib.Request",
    "http.client.connect",
)


class Watch:
    """What was seen so far."""

    def __init__(self) -> None:
        self.seen: dict[str, list[str]] = {name: [] for name in ("read", "written", "changed", "programs", "sockets", "pickle")}

    def note(self, kind: str, what: Any) -> None:
        """Write one thing down, once."""
        paths = kind in ("read", "written", "changed")
        text = os.path.abspath(os.fsdecode(what)) if paths and isinstance(what, (str, bytes, os.PathLike)) else str(what)  # noqa: PTH100
        if text not in self.seen[kind]:
            self.seen[kind].append(text)

    def audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Look at one event of the interpreter; nothing that connects or unpickles goes on."""
        if event == "open":
            path, _, flags = arguments
            if not isinstance(path, int):
                self.note("written" if isinstance(flags, int) and flags & WRITING else "read", path)
        elif event in CHANGES:
            inside = event in ("os.remove", "os.rmdir") and arguments[1] != -1  # a name below a folder that is removed whole
            for path in arguments[:2] if event in ("os.rename", "os.symlink", "os.link", "shutil.move") else arguments[:1]:
                if isinstance(path, (str, bytes, os.PathLike)) and not inside:
                    self.note("changed", path)
        elif event in PROGRAMS:
            self.note("programs", f"{event} {arguments[:2]}")
        elif event in SOCKETS:
            self.note("sockets", f"{event} {arguments[1:]}")
            raise PermissionError(f"{event} in a run")
        elif event == "pickle.find_class":
            self.note("pickle", f"{event} {arguments}")
            raise PermissionError("unpickling in a run")

    def forbid(self) -> None:
        """Patch what unpickles or opens a socket, so that a call is seen even where it would do no harm."""
        import pickle
        import socket

        import numpy
        import torch

        def refuse(kind: str, name: str) -> Any:
            def refused(*arguments: Any, **keys: Any) -> Any:
                self.note(kind, name)
                raise PermissionError(f"{name} in a run")

            return refused

        for module, name in (
            (pickle, "load"),
            (pickle, "loads"),
            (pickle, "Unpickler"),
            (torch, "load"),
            (numpy, "load"),
            (torch, "save"),
            (pickle, "dump"),
            (pickle, "dumps"),
        ):
            setattr(module, name, refuse("pickle", f"{module.__name__}.{name}"))
        for name in ("socket", "getaddrinfo", "create_connection", "gethostbyname"):
            setattr(socket, name, refuse("sockets", f"socket.{name}"))


def main(folder: Path, out: Path) -> None:
    """Run the commands in FOLDER; write what was seen, and what the commands said."""
    import warnings

    import diffusers
    import peft
    import torch
    import transformers

    warnings.simplefilter("ignore")
    assert all((diffusers, peft, torch, transformers))  # their own caches of code are no business of a run
    from click.testing import CliRunner

    from loraspec.cli import main as loraspec

    sys.path.insert(0, str(folder / "site-packages"))
    os.chdir(folder)
    watch = Watch()
    sys.addaudithook(watch.audit)
    watch.forbid()
    said = []
    for words, stop in ((("run", "spec.toml", "--set", "run.output=run"), "6"), (("resume", "run"), ""), (("resume", "run"), "")):
        os.environ["HOSTILE_STOP"] = stop
        result = CliRunner().invoke(loraspec, list(words), prog_name="loraspec")
        odd = repr(result.exception) if result.exception and not isinstance(result.exception, SystemExit) else ""
        said.append({"words": list(words), "code": result.exit_code, "text": result.output, "error": odd})
    sys.stdout.flush()
    out.write_text(json.dumps({"said": said, **watch.seen}), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve())
