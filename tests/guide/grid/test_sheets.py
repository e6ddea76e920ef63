"""Sheets stay legible and within limits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from loraspec_guide.grid.sheets import HIGHEST, INK, WIDEST, Row, Sheet, cell_size, draw_sheet, font, resized, wrapped
from PIL import Image

from loraspec.engine.cells import read_png, save_png


@pytest.mark.parametrize(
    ("native", "columns", "rows", "shown"),
    [((64, 64), 4, 20, (192, 192)), ((96, 64), 4, 20, (192, 128)), ((256, 256), 4, 20, (256, 256)), ((1024, 768), 4, 5, (512, 384))],
)
def test_cells_are_enlarged_by_whole_factors_and_reduced_to_a_limit(
    native: tuple[int, int], columns: int, rows: int, shown: tuple[int, int]
) -> None:
    """64 px cells are shown at 192, 1024 px cells at 512."""
    assert cell_size(*native, columns=columns, rows=rows, side=100) == shown


@pytest.mark.parametrize(("columns", "rows"), [(21, 3), (12, 60), (3, 200), (60, 2)])
@pytest.mark.parametrize("side", [64, 1024])
def test_a_sheet_never_outgrows_its_limits(columns: int, rows: int, side: int) -> None:
    """Many columns or rows make cells smaller, not sheets larger."""
    wide, high = cell_size(side, side, columns=columns, rows=rows, side=150)
    assert columns * wide + 150 <= WIDEST
    assert rows * high <= HIGHEST
    assert min(wide, high) >= 16


def write(folder: Path, colour: tuple[int, int, int], size: int = 64) -> Path:
    path = folder / f"{colour[0]}-{colour[1]}.png"
    save_png(path, Image.new("RGB", (size, size), colour), {})
    return path


def test_every_cell_stands_in_its_row_and_column(tmp_path: Path) -> None:
    """The colours come out in the order of the rows, and text is drawn above and beside them."""
    rows = tuple(Row(f"epoch {r}", tuple(write(tmp_path, (50 * r, 60 * c, 200)) for c in range(3))) for r in range(4))
    image = draw_sheet(Sheet("caricature of a man, by Honoré Daumier", "seed 1", ("no LoRA", "weight 0.8", "weight 1.0"), rows))
    pixels = np.asarray(image)
    assert image.width < 4000
    places = {}
    for r in range(4):
        for c in range(3):
            where = np.argwhere((pixels == (50 * r, 60 * c, 200)).all(-1))
            assert len(where) == 192 * 192
            places[r, c] = where.min(0)
    assert all(places[r, c][0] < places[r + 1, c][0] for r in range(3) for c in range(3))
    assert all(places[r, c][1] < places[r, c + 1][1] for r in range(4) for c in range(2))
    top, left = places[0, 0]
    assert (pixels[:top, left:] == INK).all(-1).any()  # column labels
    assert (pixels[top : top + 192, :left] == INK).all(-1).any()  # row labels


def test_a_missing_cell_leaves_an_empty_frame(tmp_path: Path) -> None:
    """An unreadable file does not take the sheet with it."""
    rows = (Row("epoch 1", (write(tmp_path, (1, 2, 3)), tmp_path / "none.png")),)
    image = draw_sheet(Sheet("t", "n", ("a", "b"), rows))
    assert (np.asarray(image) == (1, 2, 3)).all(-1).sum() == 192 * 192


def test_long_prompts_are_wrapped_within_the_width() -> None:
    """Lines fit; what is beyond the last line ends in an ellipsis; nothing breaks on one endless word."""
    text = "caricature of a man, " * 40
    lines = wrapped(text, size=20, width=500, lines=4)
    assert len(lines) == 4
    assert lines[-1].endswith("…")
    assert all(font(20).getlength(line) <= 500 for line in lines)
    assert wrapped("x" * 500, size=20, width=300, lines=3)
    assert wrapped("", size=20, width=300, lines=3) == [""]


def test_the_font_has_the_letters_of_names() -> None:
    """Daumier's first name, Polish, Greek and Cyrillic are letters, not boxes."""
    box = bytes(font(24).getmask("\uffff"))
    assert all(bytes(font(24).getmask(letter)) != box for letter in "éñüŁżßñωжя–×·…’")


def test_small_cells_grow_without_blur() -> None:
    """Enlarging makes no new colours."""
    image = Image.fromarray(np.arange(16, dtype=np.uint8).reshape(4, 4), "L").convert("RGB")
    assert set(resized(image, (12, 12)).get_flattened_data()) == set(image.get_flattened_data())


def test_cells_carry_their_facts(tmp_path: Path) -> None:
    """A PNG says what it shows, in a text chunk."""
    save_png(tmp_path / "a.png", Image.new("RGB", (8, 8)), {"prompt": "Honoré", "seed": 3})
    assert Image.open(tmp_path / "a.png").text == {"loraspec": '{"prompt": "Honor\\u00e9", "seed": 3}'}
    (tmp_path / "b.png").write_bytes(b"no picture")
    with pytest.raises(OSError, match="identify"):
        read_png(tmp_path / "b.png")
