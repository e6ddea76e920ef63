"""Captioners that need no model: texts beside the images, names, and any program."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from attrs import frozen

from loraspec.drafts import CaptionDraft, CaptionRequest
from loraspec.escape import escaped
from loraspec.textfile import NotTextError, TooLargeError, decode, read_plain

if TYPE_CHECKING:
    from loraspec_guide.captioners.registry import CommandOptions, SidecarOptions, TemplateOptions

MOST = 64 * 1024  # bytes of a text, and of what a program may print
_KINDS = ((b"\x89PNG", ".png"), (b"\xff\xd8", ".jpg"), (b"RIFF", ".webp"))


@frozen(eq=False)
class Sidecar:
    """Takes the text of a file beside the image."""

    options: SidecarOptions

    def caption(self, requests: Sequence[CaptionRequest]) -> Iterator[CaptionDraft]:
        """Yield what stands there."""
        for request in requests:
            if request.path is None:
                yield CaptionDraft(request.key, problem="its source has no files, so nothing can lie beside it")
                continue
            path = request.path.with_name(PurePosixPath(request.key).stem + self.options.extension)
            try:
                yield CaptionDraft(request.key, decode(read_plain(path, MOST))[0])
            except NotTextError as error:
                yield CaptionDraft(request.key, problem=f"{path.name} {error.message} in line {error.line}; save it as UTF-8")
            except (OSError, TooLargeError) as error:
                yield CaptionDraft(request.key, problem=f"{path.name} cannot be read: {getattr(error, 'strerror', None) or error}")


@frozen(eq=False)
class Template:
    """Fills a text with what is known without looking."""

    options: TemplateOptions

    def caption(self, requests: Sequence[CaptionRequest]) -> Iterator[CaptionDraft]:
        """Yield the filled text; descriptors that came out empty are left out."""
        for number, request in enumerate(requests, 1):
            path = PurePosixPath(request.key)
            fields = {
                "name": re.sub(r"[_\-\s]+", " ", path.stem).strip(), "folder": path.parent.name, "key": request.key,
                "caption": request.caption or "", "style_tag": request.style_tag, "number": str(number),
            }  # fmt: skip
            parts = re.split(r"\{([a-z_]+)\}", self.options.text)
            text = "".join(fields[part] if at % 2 else part for at, part in enumerate(parts))
            yield CaptionDraft(request.key, re.sub(r"(,\s*)+(?=,|$)", "", text).strip(" ,"))


@frozen(eq=False)
class Command:
    """Runs a program for each image, one after the other, without a shell.

    The program finds the image's file among its words, and on its standard input a JSON object with ``key``, ``caption``,
    ``instructions``, ``examples`` and ``style_tag``. What it prints on standard output is the caption; another exit code than 0 is a
    failure, and the last line of standard error says why.
    """

    options: CommandOptions
    consent = True

    def announce(self, requests: Sequence[CaptionRequest]) -> str:
        """Say what will be run."""
        return f"this program will be run for each image: {' '.join(self.options.program)}"

    def caption(self, requests: Sequence[CaptionRequest]) -> Iterator[CaptionDraft]:
        """Yield what the program prints."""
        with tempfile.TemporaryDirectory(prefix="loraspec-") as folder:
            for number, request in enumerate(requests):
                data = request.read()
                path = Path(folder) / f"{number}{next((end for mark, end in _KINDS if data.startswith(mark)), '')}"
                path.write_bytes(data)
                yield self._run(request, path)
                path.unlink(missing_ok=True)

    def _run(self, request: CaptionRequest, path: Path) -> CaptionDraft:
        name = Path(self.options.program[0]).name
        words = [word.replace("{image}", str(path)) for word in self.options.program]
        if not any("{image}" in word for word in self.options.program):
            words.append(str(path))
        asked = {"key": request.key, "caption": request.caption, "instructions": request.instructions,
                 "examples": list(request.examples), "style_tag": request.style_tag}  # fmt: skip
        try:
            process = subprocess.Popen(
                words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
            )
        except OSError as error:
            return CaptionDraft(request.key, problem=f"{name} cannot be run: {error.strerror}", model=name)
        try:
            out, err = process.communicate(json.dumps(asked).encode(), timeout=self.options.timeout)
        except subprocess.TimeoutExpired:
            return CaptionDraft(request.key, problem=f"{name} took more than {self.options.timeout:g} s", model=name)
        finally:
            with suppress(ProcessLookupError, PermissionError):  # whatever it started goes with it
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        if process.returncode:
            last = (err.decode(errors="replace").strip().splitlines() or [""])[-1]
            said = f": {escaped(last[:300])}" if last else ""
            return CaptionDraft(request.key, problem=f"{name} ended with code {process.returncode}{said}", model=name)
        return CaptionDraft(request.key, out[:MOST].decode(errors="replace"), model=name)
