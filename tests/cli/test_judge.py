"""judge: the page's address, results in the terminal, and what cannot be judged."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from finished_run import finished_run

from loraspec.blind.answers import Answer, Answers
from loraspec.cli.ranges import epochs as _epochs

Cli = Callable[..., Any]


def call(url: str, place: str, value: Any = None) -> Any:
    data = None if value is None else json.dumps(value).encode()
    request = urllib.request.Request(url + place, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as reply:
        return json.loads(reply.read())


@pytest.mark.parametrize("way", ["interrupt", "button"])
def test_judge_serves_a_page_until_it_is_ended(tmp_path: Path, way: str) -> None:
    """It prints the address, keeps the answer at once, ends with Ctrl-C or the page's button, prints the results, exit code 0."""
    folder = finished_run(tmp_path / "run")
    words = [sys.executable, "-m", "loraspec", "judge", str(folder), "--epochs", "1-2,4"]
    heard = partial(signal.signal, signal.SIGINT, signal.default_int_handler)  # a shell starts background jobs deaf to it
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=tmp_path, preexec_fn=heard
    ) as process:
        try:
            assert process.stdout is not None
            head = [process.stdout.readline() for _ in range(3)]
            assert "epochs 1, 2 and 4 at weight 1.0" in head[0]
            found = re.search(r"http://127\.0\.0\.1:[0-9]+/[A-Za-z0-9_-]{32}/", head[2])
            assert found is not None
            url = found.group()
            call(url, "answer", {"pair": call(url, "state")["pair"], "choice": "left"})
            assert len(Answers(folder).given()) == 1
            if way == "interrupt":
                process.send_signal(signal.SIGINT)
            else:
                call(url, "end", {})
            rest = process.communicate(timeout=20)[0]
        finally:
            process.kill()
    assert process.returncode == 0
    assert "Of 1 pair, your eye" in rest
    assert "Traceback" not in rest


def test_results_are_printed(tmp_path: Path, loraspec_cli: Cli) -> None:
    """Beside the ranking; of named epochs alone; exit code 1 when nothing was judged."""
    folder = finished_run(tmp_path / "run")
    nothing = loraspec_cli("judge", folder, "--results")
    assert (nothing.code, "nothing was judged yet" in nothing.out) == (1, True)
    for number in range(8):
        Answers(folder).add(Answer(f"{number}", 2, 3, "p", number, "left", ""))
    shown = loraspec_cli("judge", folder, "--results")
    shown.assert_success()
    assert "your eye prefers epoch 2" in shown.out
    assert re.search(r"^3 .* 0\.50 \[0\.45, 0\.55\] +recommended$", shown.out, re.MULTILINE)
    assert "loraspec pick" in shown.out
    assert loraspec_cli("judge", folder, "--results", "--epochs", "1,4").code == 1


def test_what_cannot_be_judged_is_told(tmp_path: Path, loraspec_cli: Cli) -> None:
    """No run, no pictures, epochs that are none, one epoch, a port that is taken, a file that is a link."""
    loraspec_cli("judge", tmp_path / "no").assert_failed(2, "holds no run")
    loraspec_cli("judge", finished_run(tmp_path / "bare", pictures=False)).assert_failed(1, "[E-RUN-UNJUDGED]")
    folder = finished_run(tmp_path / "run")
    loraspec_cli("judge", folder, "--epochs", "1,9").assert_failed(2, "there are no pictures of epoch 9")
    loraspec_cli("judge", folder, "--epochs", "1").assert_failed(2, "two are needed")
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        loraspec_cli("judge", folder, "--port", taken.getsockname()[1]).assert_failed(2, "cannot be listened on")
    (folder / "judgements.jsonl").symlink_to(tmp_path / "elsewhere")
    loraspec_cli("judge", folder).assert_failed(1, "[E-RUN-LAYOUT]")


def test_epochs_are_read(loraspec_cli: Cli, tmp_path: Path) -> None:
    """Numbers and ranges, doubled ones once; everything else is told."""
    assert _epochs("5,10, 14") == (5, 10, 14)
    assert _epochs("3-6,5") == (3, 4, 5, 6)
    assert _epochs("") == ()
    folder = finished_run(tmp_path / "run")
    for text in ("x", "1-", "-1", "0", "5-3", "1-99999999", "1;2", "\u0662", "1.5"):
        loraspec_cli("judge", folder, f"--epochs={text}").assert_failed(2, "--epochs")
