"""Seeded mutators: of bytes, of JSON by its structure, of TOML by its lines, of safetensors by its header."""

from __future__ import annotations

import copy
import json
import struct
from collections.abc import Sequence
from typing import Any, TypeVar

from loraspec.randomness import generator, scaled, uniform53

Item = TypeVar("Item")

EDGES: list[Any] = [
    None, True, False, 0, -1, 1, 2**31, 2**53, 2**63, -(2**63), 2**64, 10**30, 0.5, -0.0, 1e308, "", "0", "../x", "/etc/passwd", "a\0b",
    "\u202eabc", "\ud800", "x" * 3000, [], {}, [[]], [None], {"": 0}, "epoch", "sha256", 9007199254740993, [[[[[[[[[[0]]]]]]]]]],
]  # fmt: skip
BITS = [b"", b"\0", b"\n", b"\xff", b"\xef\xbb\xbf", b"{", b"}", b"[", b"]", b'"', b",", b":", b"\\u", b"\x1b[2J", b"\xed\xa0\x80",
        b"NaN", b"1e999", b"-", b"9" * 40, b"[" * 40, b'{"a":' * 20, b"\xe2\x80\xae", b"PK\x03\x04", b"\x80\x04"]
TOML = [
    *'"\'[]{}=.,#\n\\ \t-_0', "[[", "]]", '"""', "'''", "= 1", "true", "nan", "-inf", "1e999", "9" * 30, "use", 'use = ""', "[]", "{}",
    "[profiles.embedded]", "[profiles]\n", "loraspec = 1\n", "[[data.sources]]\n", "x-y = 1\n", "\u0000", "é", "\ud7ff", "\u202e",
    "1979-05-27T07:32:00Z", "{ a = { b = [1] } }", "[" * 60, "a." * 40, "\ufeff",
]  # fmt: skip


class Draw:
    """Choices for one input: a function of (seed, target, number) and of nothing else."""

    def __init__(self, seed: int, target: str, number: int) -> None:
        self._generator = generator(seed, "fuzz", target, number)

    def below(self, count: int) -> int:
        """Return a number from 0 to ``count - 1``."""
        return scaled(uniform53(self._generator), count)

    def pick(self, items: Sequence[Item]) -> Item:
        """Return one of the items."""
        return items[self.below(len(items))]


    def edits(self, most: int) -> int:
        """Return how many edits to make: one for half of the inputs, so that some of them stay good."""
        return 1 if self.below(2) else 1 + self.below(most)


def edge(draw: Draw) -> Any:
    """Return a value that code tends to forget."""
    return copy.deepcopy(draw.pick(EDGES))


def data(seed: bytes, draw: Draw) -> bytes:
    """Change bytes: flip, cut, insert, repeat, swap."""
    for _ in range(draw.edits(4)):
        at, size = draw.below(len(seed) + 1), 1 + draw.below(24)
        match draw.below(6):
            case 0 if at < len(seed):
                seed = seed[:at] + bytes([seed[at] ^ 1 << draw.below(8)]) + seed[at + 1 :]
            case 1:
                seed = seed[:at] + draw.pick(BITS) + seed[at:]
            case 2:
                seed = seed[:at] + seed[at + size :]
            case 3:
                seed = seed[:at] + seed[at : at + size] * (1 + draw.below(4)) + seed[at:]
            case 4:
                seed = seed[:at]
            case _:
                seed = seed[at:] + seed[:at] if draw.below(4) == 0 else seed[:at] + bytes([draw.below(256)]) + seed[at + 1 :]
    return seed


def tree(seed: Any, draw: Draw) -> Any:
    """Change plain data by its structure: a value, a key, a missing or an extra entry, nesting."""
    made = copy.deepcopy(seed)
    for _ in range(draw.edits(3)):
        nodes = list(_containers(made))
        if not nodes:
            return edge(draw)
        node = draw.pick(nodes)
        keys = list(node) if isinstance(node, dict) else list(range(len(node)))
        key: Any = draw.pick(keys) if keys else None
        kind = draw.below(6)
        if kind == 0 and isinstance(node, dict):
            node[draw.pick(["", "x", "layout", "$tensor", "$dict", "__metadata__", "../x", "\ud800"])] = edge(draw)
        elif kind == 0:
            node.append(edge(draw))
        elif key is None:
            continue
        elif kind == 1:
            del node[key]
        elif kind == 2 and isinstance(node[key], int | float) and not isinstance(node[key], bool):
            node[key] = node[key] + draw.pick([-1, 1, 0.5, 2**32, -(2**40)])
        elif kind == 3:
            node[key] = [node[key]]
        elif kind == 4:
            node[key] = copy.deepcopy(draw.pick(nodes)) if len(nodes) < 200 else None
        else:
            node[key] = edge(draw)
    return made


def _containers(value: Any) -> Any:
    if isinstance(value, dict | list):
        yield value
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _containers(inner)


def json_text(seed: Any, draw: Draw) -> bytes:
    """Change a JSON file: by its structure, its text, or both; sometimes a key stands twice."""
    kind = draw.below(4)
    text = json.dumps(tree(seed, draw) if kind != 1 else seed, allow_nan=True).encode()
    if kind == 3 and text.startswith(b"{"):
        text = b'{"layout": 1, "epochs": [], "kind": 0, ' + text[1:]
    return data(text, draw) if kind == 1 or (kind == 0 and draw.below(3) == 0) else text


def toml_text(text: str, draw: Draw) -> str:
    """Change a spec: characters, lines or values."""
    for _ in range(draw.edits(6)):
        at = draw.below(len(text) + 1)
        lines = text.split("\n")
        line = draw.below(len(lines))
        kind = draw.below(7)
        if kind == 0:
            text = text[:at] + draw.pick(TOML) + text[at:]
        elif kind == 1:
            text = text[:at] + text[at + 1 + draw.below(29) :]
        elif kind == 2:
            text = "\n".join([*lines[:line], *lines[line + 1 :]])
        elif kind == 3:
            text = "\n".join([*lines[:line], draw.pick(lines), *lines[line:]])
        elif kind in (4, 5) and "=" in lines[line]:
            lines[line] = lines[line].partition("=")[0] + "= " + draw.pick(TOML)
            text = "\n".join(lines)
        else:
            other = draw.below(len(lines))
            lines[line], lines[other] = lines[other], lines[line]
            text = "\n".join(lines)
    return text


def safetensors(header: dict[str, Any], size: int, draw: Draw) -> bytes:
    """Change a safetensors file: its header by structure or text, its stated length, and how much data follows."""
    text = json_text(header, draw) if draw.below(8) else json.dumps(header).encode() + b" " * draw.below(9)
    length = draw.pick([len(text)] * 40 + [0, len(text) - 1, len(text) + 1, 2**32, 2**63, 2**64 - 1])
    body = bytes(draw.pick([size] * 40 + [0, size - 1, size + 7, 2 * size]))
    made = struct.pack("<Q", max(0, length)) + text + body
    return data(made, draw) if draw.below(8) == 0 else made
