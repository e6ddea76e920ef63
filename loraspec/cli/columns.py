"""How wide the columns of a table may be, so that no cell is ever cut."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len

GAP = 2  # between columns
WORD = 24  # cells of a word that stay together; a longer one (a path, a digest) is broken where nothing else helps


def fitted(columns: Sequence[Sequence[str]], space: int) -> list[int] | None:
    """Return a width for each column (its cells, the heading among them), in cells of the terminal, so that all fit ``space``.

    Where not everything fits, the widest column gives way first, of equals the last; between words, and else within long ones.

    Returns:
        None when words would have to be broken, of two columns short ones: then the rows are better shown one below the other.
    """
    space -= GAP * (len(columns) - 1)
    wide = [max(map(cell_len, cells), default=0) for cells in columns]
    words = [max((cell_len(word) for cell in cells for word in cell.split()), default=0) for cells in columns]
    return _narrowed(wide, words, space) or (_narrowed(wide, [min(word, WORD) for word in words], space) if len(columns) < 3 else None)


def _narrowed(wide: Sequence[int], least: Sequence[int], space: int) -> list[int] | None:
    found = list(wide)
    while sum(found) > space:
        loose = [(full, number) for number, full in enumerate(found) if full > least[number]]
        if not loose:
            return None
        found[max(loose)[1]] -= 1
    return found
