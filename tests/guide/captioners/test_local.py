"""Captioners without a model."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any, ClassVar

import pytest
from attrs import evolve
from loraspec_guide.captioners.local import Command, Sidecar, Template
from loraspec_guide.captioners.registry import CommandOptions, OpenAIChatOptions, SidecarOptions, TemplateOptions

from loraspec.drafts import CaptionDraft, CaptionRequest, drafted
from loraspec.randomness import rng_of
from loraspec.testing import CaptionerSuite
from loraspec.values import Context

PRINTS = (sys.executable, "-c", "import sys; print('picture of', len(open(sys.argv[1], 'rb').read()), 'bytes')")

CONTEXT = Context(Path(), rng_of(0), lambda hook: [])


class TestSidecar(CaptionerSuite):
    use = "sidecar"

    def requests(self, folder: Path, count: int = 3) -> list[CaptionRequest]:
        found = super().requests(folder, count)
        for request in found:
            (folder / request.key).with_suffix(".caption").write_text(f"said of {request.key}", encoding="utf-8")
        return found


class TestTemplate(CaptionerSuite):
    use = "template"


class TestCommand(CaptionerSuite):
    use = "command"
    options: ClassVar = {"program": list(PRINTS)}


def ask(captioner: Any, requests: list[CaptionRequest]) -> list[CaptionDraft]:
    return list(drafted(captioner, requests, name="x", context=CONTEXT))


def test_sidecars_that_are_missing_or_no_text_are_told(tmp_path: Path) -> None:
    """Each by itself; the others are taken."""
    requests = CaptionerSuite().requests(tmp_path)
    (tmp_path / "00.caption").write_bytes(b"caf\xe9")
    (tmp_path / "02.caption").write_text("a judge\n", encoding="utf-8")
    first, second, third = ask(Sidecar(SidecarOptions()), [*requests[:2], requests[2]])
    assert "save it as UTF-8" in first.problem
    assert "No such file" in second.problem
    assert (third.text, third.problem) == ("a judge", "")
    [alone] = ask(Sidecar(SidecarOptions()), [evolve(requests[2], path=None)])
    assert "has no files" in alone.problem


@pytest.mark.parametrize(
    ("text", "caption"),
    [
        ("{name}, {style_tag}", "old judge, by Nobody"),
        ("{folder}: {name} {number}, {caption}, {style_tag}", "court: old judge 1, by Nobody"),
        ("{key}", "court/old_judge.png"),
        ("a {name}'s, {caption}", "a old judge's"),
    ],
)
def test_templates_are_filled(text: str, caption: str) -> None:
    """With what names say; descriptors that stay empty go."""
    request = CaptionRequest("court/old_judge.png", "0", bytes, style_tag="by Nobody")
    assert [draft.text for draft in ask(Template(TemplateOptions(text=text)), [request])] == [caption]


def test_a_name_is_only_text() -> None:
    """A file named like a field is not filled a second time."""
    request = CaptionRequest("{style_tag}.png", "0", bytes, style_tag="by Nobody")
    assert ask(Template(TemplateOptions(text="{name}")), [request])[0].text == "{style tag}"


def test_a_program_is_told_everything(tmp_path: Path) -> None:
    """The file in its place among the words, the rest on standard input; the temporary copy is gone afterwards."""
    code = "import json, sys; asked = json.load(sys.stdin); print(sys.argv[1], asked['key'], asked['style_tag'], asked['instructions'][:8])"
    program = (sys.executable, "-c", code, "{image}", "-v")
    [request] = CaptionerSuite().requests(tmp_path, 1)
    [draft] = ask(Command(CommandOptions(program=program)), [evolve(request, instructions="look at it")])
    path, rest = draft.text.split(".png ", 1)
    assert rest == "00.png by Nobody look at "[: len(rest)]
    assert not Path(f"{path}.png").exists()
    assert draft.model == Path(sys.executable).name


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        ("raise SystemExit('no model \\x1b[2J here')", r"ended with code 1: no model \u001b[2J here"),
        ("import sys; sys.exit(3)", "ended with code 3"),
        ("pass", "no words"),
        ("print('word ' * 3000)", "a caption has up to 2000"),
    ],
)
def test_a_program_that_fails_is_told(code: str, problem: str, tmp_path: Path) -> None:
    """With its code and its last words, escaped."""
    [draft] = ask(Command(CommandOptions(program=(sys.executable, "-c", code))), CaptionerSuite().requests(tmp_path, 1))
    assert problem in draft.problem


def test_a_slow_program_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    """Its children too; the next image has its own time."""
    code = ("import os, subprocess, sys, time; p = subprocess.Popen(['sleep', '60']); "
            f"open({str(tmp_path / 'pid')!r}, 'w').write(str(p.pid)); time.sleep(60)")  # fmt: skip
    since = time.monotonic()
    [draft] = ask(Command(CommandOptions(program=(sys.executable, "-c", code), timeout=1.0)), CaptionerSuite().requests(tmp_path, 1))
    assert "took more than 1 s" in draft.problem
    assert time.monotonic() - since < 10
    time.sleep(0.2)
    stat = Path(f"/proc/{(tmp_path / 'pid').read_text()}/stat")
    assert not stat.exists() or stat.read_text().split()[2] == "Z"


def test_no_shell_reads_the_words(tmp_path: Path) -> None:
    """A word with a semicolon is a word."""
    program = (sys.executable, "-c", "import sys; print(sys.argv[1])", f"; touch {tmp_path}/made", "{image}")
    [draft] = ask(Command(CommandOptions(program=program)), CaptionerSuite().requests(tmp_path, 1))
    assert draft.text.startswith("; touch")
    assert not (tmp_path / "made").exists()


def test_a_program_that_is_not_there_is_told(tmp_path: Path) -> None:
    """And needs consent, with its words shown."""
    command = Command(CommandOptions(program=("no-such-program-here", "-x")))
    assert command.consent
    assert "no-such-program-here -x" in command.announce([])
    assert "cannot be run" in ask(command, CaptionerSuite().requests(tmp_path, 1))[0].problem


@pytest.mark.parametrize(
    ("options", "wrong"),
    [
        (lambda: TemplateOptions(text="{nmae}"), "is no field"),
        (lambda: CommandOptions(program=()), "program"),
        (lambda: OpenAIChatOptions(model="x", base_url="ftp://x/"), "write an address"),
        (lambda: OpenAIChatOptions(model="x", base_url="http://me:secret@x/v1"), "write an address"),
    ],
)
def test_options_that_cannot_be_are_refused(options: Any, wrong: str) -> None:
    """When the spec is read."""
    with pytest.raises(ValueError, match=wrong):
        options()
