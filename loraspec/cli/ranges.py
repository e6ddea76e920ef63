"""Numbers as options of commands name them: ``5,10-14``, ``0.4:1.0:0.2``, ``1,2``."""

from __future__ import annotations

import math

from loraspec.errors import SpecError

MOST = 10_000  # numbers that an option may name
LARGEST_WEIGHT = 10.0


def epochs(text: str) -> tuple[int, ...]:
    """Read ``5,10,14`` or ``3-6``, ascending.

    Raises:
        SpecError: It is neither.
    """
    found: list[int] = []
    for part in _parts(text):
        first, _, last = part.partition("-")
        if not (_whole(first) and (not last or _whole(last))) or part.endswith("-"):
            raise SpecError(f"--epochs: {part!r} is no epoch; write numbers, such as 5,10,14 or 3-6")
        low, high = int(first), int(last or first)
        if not 1 <= low <= high <= MOST:
            raise SpecError(f"--epochs: {part!r} is no range of epochs; they begin at 1")
        found += range(low, high + 1)
    return tuple(sorted(set(found)))


def weights(text: str) -> tuple[float, ...]:
    """Read ``0.6,1.0`` or ``0.4:1.0:0.2`` (first, last, step), each once, in the order written.

    Raises:
        SpecError: It is neither, or a weight is not above 0 and at most 10.
    """
    found: list[float] = []
    for part in _parts(text):
        try:
            numbers = [float(piece) for piece in part.split(":")]
        except ValueError:
            numbers = []
        if len(numbers) not in (1, 3) or not all(math.isfinite(number) and 0 < number <= LARGEST_WEIGHT for number in numbers):
            raise SpecError(f"--weights: {part!r} is no weight; write numbers up to {LARGEST_WEIGHT:g}, such as 0.8,1.0 or 0.4:1.0:0.2")
        if len(numbers) == 1:
            found += numbers
            continue
        first, last, step = numbers
        count = math.floor((last - first) / step + 1e-9) + 1
        if not 1 <= count <= MOST:
            raise SpecError(f"--weights: {part!r} names {max(count, 0)} weights; first:last:step, such as 0.4:1.0:0.2, would be right")
        found += [round(first + number * step, 6) for number in range(count)]
    return tuple(dict.fromkeys(found))


def seeds(text: str) -> tuple[int, ...]:
    """Read ``1,2``, each once, in the order written.

    Raises:
        SpecError: One is no whole number from 0 to 2**32 - 1.
    """
    found = _parts(text)
    for part in found:
        if not _whole(part) or int(part) >= 2**32:
            raise SpecError(f"--seeds: {part!r} is no seed; write whole numbers, such as 1,2")
    return tuple(dict.fromkeys(int(part) for part in found))


def _parts(text: str) -> list[str]:
    return [part for piece in text.split(",") if (part := piece.strip())]


def _whole(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 12
