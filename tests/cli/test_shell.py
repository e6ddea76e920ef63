"""The command line: help without weight, errors in one place, exit codes."""

from __future__ import annotations

import contextlib
import importlib
import os
import subprocess
import sys
import time

import click
import pytest

from loraspec.cli import COMMANDS, main
from loraspec.errors import EnvironmentMissing, RunError, SpecError, Stopped
from loraspec.testing import TINY_SPEC
from loraspec.testing.isolation import HEAVY, run_without_torch

CALL = "import sys; from loraspec.cli import main; main(sys.argv[1:], prog_name='loraspec')"
ALL = [name for section in COMMANDS.values() for name in section]


@pytest.mark.parametrize("name", ALL)
def test_each_command_is_there_and_explained(name, loraspec_cli):
    """The table of the group names real modules, and its line opens the command's own help."""
    command = importlib.import_module(f"loraspec.cli.{name}").command
    line = next(line for section in COMMANDS.values() for key, line in section.items() if key == name)

    assert isinstance(command, click.Command)
    assert command.help is not None
    assert command.help.strip().splitlines()[0].startswith(line.rstrip("."))
    outcome = loraspec_cli(name, "--help")
    outcome.assert_success()
    assert f"Usage: loraspec {name}" in outcome.out


def test_help_imports_no_command():
    """``--help`` is made from a table: no command module, no rich, no catalog."""
    done = run_without_torch(CALL + "\n", "--help")
    code = "import sys, loraspec.cli as c\ntry:\n    c.main(['--help'])\nexcept SystemExit:\n    print(*sys.modules)"
    modules = run_without_torch(code).stdout.splitlines()[-1].split()

    assert done.returncode == 0
    assert all(name in done.stdout for name in ALL)
    assert "loraspec.cli.group" in modules
    assert not {"loraspec.cli.run", "loraspec.cli.validate", "loraspec.catalog", "rich", "cattrs", "numpy"} & set(modules)


def test_help_is_quick():
    """Half a second on a busy machine; about a tenth on an idle one."""
    started = time.perf_counter()
    done = run_without_torch(CALL, "--help")

    assert done.returncode == 0
    assert time.perf_counter() - started < 3


def calls(folder, spec):
    """The commands that look ahead, and must not need torch."""
    return [
        ["--version"],
        ["validate", spec],
        ["show", spec],
        ["show", spec, "--resolved", "--origin"],
        ["plugins"],
        ["plugins", "show", "guide"],
        ["schema"],
        ["schema", "-o", folder / "schema.json"],
        ["migrate", spec],
        ["plan", spec],
        ["plan", spec, "--json"],
        ["captions", "preview", spec, "--epoch", "2"],
    ]


@pytest.mark.parametrize("number", range(12))
def test_looking_ahead_needs_no_torch(number, spec_file, tmp_path, tiny_plugin):
    """These work where torch, diffusers, transformers and peft cannot be imported at all."""
    words = calls(tmp_path, spec_file(TINY_SPEC))[number]

    done = run_without_torch(CALL, *map(str, words))

    assert done.returncode == 0, done.stderr
    assert done.stdout


@pytest.mark.parametrize("number", [1, 9])
def test_looking_ahead_does_not_import_torch_where_it_is(number, spec_file, tmp_path, tiny_plugin):
    """Torch is here, and is left alone."""
    import subprocess
    import sys

    words = calls(tmp_path, spec_file(TINY_SPEC))[number]
    code = CALL.replace("main(sys", "\ntry:\n    main(sys").rstrip() + f"\nfinally:\n    print([m for m in {HEAVY!r} if m in sys.modules])"
    environment = {**__import__("os").environ, "PYTHONPATH": ":".join(path for path in sys.path if path)}

    done = subprocess.run([sys.executable, "-c", code, *map(str, words)], capture_output=True, text=True, env=environment, check=False)

    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"


# -- errors ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def failing(monkeypatch):
    """Make ``loraspec schema`` raise."""

    def install(error):
        def fail(*_, **__):
            raise error

        monkeypatch.setattr("loraspec.catalog.discover", fail)

    return install


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (RunError("lost"), 1),
        (SpecError("lost"), 2),
        (EnvironmentMissing("lost", hint="find it"), 3),
        (Stopped("lost"), 4),
        (KeyboardInterrupt(), 130),
    ],
)
def test_exit_codes(error, code, failing, loraspec_cli):
    """Each kind of end has its code, and none a traceback."""
    failing(error)

    outcome = loraspec_cli("schema")

    outcome.assert_failed(code, "interrupted" if code == 130 else "lost")


def test_an_unexpected_error_is_one_line(failing, loraspec_cli):
    """With the way to see more; ``--traceback`` shows it, wherever it stands."""
    failing(ZeroDivisionError("by zero\nand more"))

    outcome = loraspec_cli("schema")
    outcome.assert_failed(1, "unexpected error: ZeroDivisionError: by zero\n    run again with --traceback")
    assert "Traceback" in loraspec_cli("schema", "--traceback").err
    assert "Traceback" in loraspec_cli("--traceback", "schema").err


def test_a_misspelt_command_is_named(loraspec_cli):
    """With the closest one; wrong usage is exit code 2."""
    loraspec_cli("valdate").assert_failed(2, "did you mean 'validate'?")
    loraspec_cli("validate").assert_failed(2)
    loraspec_cli("plugins", "--bad").assert_failed(2)


def test_pipes_get_no_colour_and_no_wrapping(loraspec_cli, monkeypatch):
    """What another program reads is plain, and one thing a line; COLUMNS is obeyed."""
    monkeypatch.delenv("COLUMNS", raising=False)
    wide = loraspec_cli("plugins", "show", "dadapt-adamw").out
    monkeypatch.setenv("COLUMNS", "80")
    narrow = loraspec_cli("plugins", "show", "dadapt-adamw").out

    assert "\x1b" not in wide + narrow
    assert max(map(len, narrow.splitlines())) <= 80 < max(map(len, wide.splitlines()))
    assert not [line for line in wide.splitlines() if line != line.rstrip()]


@pytest.mark.parametrize("words", [["show", "nothere.toml"], ["plugins"], ["plugins", "show", "dadapt-adamw"], ["nothing"]])
def test_no_color_is_heeded_in_a_terminal(words):
    """Findings, errors and tables have colours in a terminal, and none with NO_COLOR; an empty one says nothing."""
    plain, coloured = (_in_terminal(words, no_color) for no_color in ("1", ""))

    assert "\x1b" not in plain
    assert ("\x1b[" in coloured) == (words != ["nothing"])  # click's own errors have none


def test_problems_are_broken_between_words_in_a_terminal_alone(spec_file, loraspec_cli, monkeypatch):
    """A message longer than a line: whole words, none wider than 80; in a pipe one line, whatever COLUMNS says."""
    words = ["validate", str(spec_file(TINY_SPEC)), "--profile", " ".join(["of many words"] * 8)]
    shown = _in_terminal(words, "1")
    monkeypatch.setenv("COLUMNS", "80")
    piped = loraspec_cli(*words).err

    assert shown.split() == piped.split()
    assert max(len(line) for line in shown.splitlines() if " " in line.strip()) <= 80 < len(piped.splitlines()[0])


def _in_terminal(words: list[str], no_color: str) -> str:
    """Run the command line with a terminal of 80 columns for stdout and stderr; return what it shows."""
    env = {key: value for key, value in os.environ.items() if key != "COLUMNS"} | {"NO_COLOR": no_color, "TERM": "xterm"}
    ours, theirs = os.openpty()
    with subprocess.Popen([sys.executable, "-m", "loraspec", *words], stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs, env=env):
        os.close(theirs)
        found = b""
        with contextlib.suppress(OSError):  # Linux says so at the end
            while part := os.read(ours, 4096):
                found += part
    os.close(ours)
    assert found.strip()
    return found.decode()


def test_wide_options_stand_below_each_other(loraspec_cli, monkeypatch):
    """Where type and default leave the meaning no room, as for a base model at 80 columns."""
    monkeypatch.setenv("COLUMNS", "80")

    lines = loraspec_cli("plugins", "show", "guide:sdxl").out.splitlines()

    assert max(map(len, lines)) <= 80
    assert [line for line in lines if line.startswith("  revision  str, default")]
    assert sum(len(line) > 50 for line in lines) > 5


def test_main_is_the_console_script():
    """``loraspec`` and ``python -m loraspec`` are one."""
    done = run_without_torch("import runpy, sys; sys.argv = ['loraspec', '--version']; runpy.run_module('loraspec', run_name='__main__')")

    assert done.stdout.startswith("loraspec ")
    assert main.name == "main"
