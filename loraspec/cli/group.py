"""A click group whose commands are imported when they are called, and the one place where errors meet the user."""

from __future__ import annotations

import importlib
import io
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import click

from loraspec.cli.threads import quiet_threads
from loraspec.errors import EXIT_FOUND, LoraspecError, SpecError

INTERRUPTED = 130


class LazyGroup(click.Group):
    """Finds command ``NAME`` in module ``loraspec.cli.NAME``; ``--help`` imports none of them.

    Args:
        sections: Title -> command name -> one-line help, in the order of ``--help``.
    """

    def __init__(self, *args: Any, sections: Mapping[str, Mapping[str, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.sections = sections

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return every command's name, in the order of ``--help``."""
        return [name for commands in self.sections.values() for name in commands]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return a command, or None when there is no such name."""
        if cmd_name not in self.list_commands(ctx):
            return None
        command: click.Command = importlib.import_module(f"loraspec.cli.{cmd_name}").command
        command.name = cmd_name
        return command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, and suggest the closest name when there is none."""
        from loraspec.errors import did_you_mean

        if args and not args[0].startswith("-") and args[0] not in self.list_commands(ctx):
            ctx.fail(f"no command is named {args[0]!r}; {did_you_mean(args[0], self.list_commands(ctx))}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands in sections, from the table."""
        widest = max(len(name) for name in self.list_commands(ctx))
        for title, commands in self.sections.items():
            with formatter.section(title):
                formatter.write_dl([(name.ljust(widest), line) for name, line in commands.items()])

    def main(self, args: Sequence[str] | None = None, prog_name: str | None = None, complete_var: str | None = None,
             standalone_mode: bool = True, **extra: Any) -> Any:
        """Run the command line and exit with the code that its outcome has.

        An error that loraspec raises on purpose is printed without a traceback; any other in one line, unless
        ``--traceback`` was given. Ctrl-C exits with 130. NO_COLOR in the environment, not empty, takes colours from all that is printed.
        """
        quiet_threads()
        words = list(sys.argv[1:] if args is None else args)
        own = words[: words.index("--")] if "--" in words else words
        traceback = "--traceback" in own
        words = [word for word in own if word != "--traceback"] + words[len(own):]
        extra = {"color": False if os.environ.get("NO_COLOR") else None, **extra}
        if not standalone_mode:
            return super().main(words, prog_name, complete_var, standalone_mode=False, **extra)
        with click.Context(self, color=extra["color"]):  # for errors too, which are told when the command's own context is gone
            sys.exit(self._told(words, prog_name, complete_var, traceback=traceback, **extra))

    def _told(self, words: list[str], prog_name: str | None, complete_var: str | None, *, traceback: bool, **extra: Any) -> int:
        """Run the command line, tell its error, and return the exit code."""
        try:
            code = super().main(words, prog_name, complete_var, standalone_mode=False, **extra)
        except (LoraspecError, click.ClickException, click.Abort, KeyboardInterrupt, Exception) as error:
            if traceback and not isinstance(error, click.Abort | KeyboardInterrupt):
                import traceback as tracebacks

                click.echo("".join(tracebacks.format_exception(error)), nl=False, err=True)
            code = report(error)
        return code if isinstance(code, int) else 0


def report(error: BaseException) -> int:
    """Print an error to stderr the way a person wants to read it, and return its exit code."""
    from loraspec.cli.output import echo_problems
    from loraspec.escape import escaped

    if isinstance(error, SpecError):
        echo_problems(error.problems)
        return error.exit_code
    if isinstance(error, LoraspecError):
        first, *rest = escaped(str(error), keep="\n").split("\n")
        tail = f"  {click.style(f'[{error.code}]', dim=True)}" if error.code else ""
        click.echo("\n".join([f"{click.style('error:', fg='red', bold=True)} {first}{tail}", *rest]), err=True)
        return error.exit_code
    if isinstance(error, click.ClickException):
        said = io.StringIO()
        error.show(said)
        click.echo(escaped(said.getvalue(), keep="\n"), nl=False, err=True)
        return error.exit_code
    if isinstance(error, click.Abort | KeyboardInterrupt):
        click.echo("interrupted", err=True)
        return INTERRUPTED
    lines = str(error).strip().splitlines() or [""]
    text = escaped(f"{type(error).__name__}: {lines[0]}".rstrip(": "))
    click.echo(f"{click.style('unexpected error:', fg='red', bold=True)} {text}\n    run again with --traceback to see where", err=True)
    return EXIT_FOUND
