"""Secrets have no place in a spec: it is copied into runs and shown to others. They are told without being repeated."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from loraspec.errors import Problem
from loraspec.spec.paths import Parts, render

_KEY = re.compile(
    r"(?:.*[_-])?(?:(?:hf|hub|api|auth|access|bearer|wandb|github|gh|secret|refresh|session)[_-]?(?:token|key)"
    r"|token|api_?key|passw(?:or)?d|passphrase|secret|credentials?|private[_-]key)",
    re.IGNORECASE,
)
_VALUE = re.compile(
    r"\bhf_[A-Za-z0-9]{16,}|\bsk-[A-Za-z0-9_-]{16,}|\bgh[pousr]_[A-Za-z0-9]{20,}|\bgithub_pat_\w{20,}|\bxox[abprs]-[A-Za-z0-9-]{10,}"
    r"|\bAKIA[0-9A-Z]{16}\b|\bglpat-[\w-]{16,}|-----BEGIN [A-Z ]*PRIVATE KEY-----|://[^/\s:@]+:[^/\s@]+@"
)


def found(tables: dict[str, Any], parts: Parts = ()) -> Iterator[Problem]:
    """Yield a problem for each key that asks for a secret and each text that looks like one; the value is never shown."""
    waiting: list[tuple[Parts, Any]] = [(parts, tables)]
    while waiting:
        where, value = waiting.pop()
        if isinstance(value, dict):
            for key, inner in value.items():
                if (isinstance(inner, str) and _KEY.fullmatch(key)) or _VALUE.search(key):
                    yield _problem((*where, key if not _VALUE.search(key) else "..."))
                else:
                    waiting.append(((*where, key), inner))
        elif isinstance(value, list):
            waiting.extend(((*where, number), inner) for number, inner in enumerate(value))
        elif isinstance(value, str) and _VALUE.search(value):
            yield _problem(where)


def _problem(parts: Parts) -> Problem:
    hint = "take it out, and make a new one if this file was shared; tokens belong to the environment (HF_TOKEN) or to a login"
    return Problem(render(parts), "looks like a secret, which a spec never holds; its value is not shown", hint, code="E-SPEC-SECRET")
