"""The data source and the hook for styles, through the catalog that specs use."""

import io

import numpy as np
import pytest
from loraspec_picturebook.registry import DATA_SOURCES, STYLE_HOOK, PicturebookOptions
from PIL import Image

from loraspec.catalog import discover
from loraspec.randomness import rng_of
from loraspec.values import Context

PLUGIN = """
from loraspec import hookimpl
from loraspec_picturebook.styles import Style

def dim(drawn, rng):
    return drawn // 2

@hookimpl
def loraspec_picturebook_register_style():
    return [Style("{name}", dim, ("dim light",), "view of")]
"""


def scan(folder, *files, **options):
    catalog = discover(files)
    context = Context(folder, rng_of(0), catalog.extensions)
    return DATA_SOURCES[0].build(PicturebookOptions(**options)).scan(context)


def test_a_set_has_the_number_of_pictures_asked_for(tmp_path):
    """40 captioned samples with rights and credits, sorted by key."""
    found = scan(tmp_path)
    assert not found.problems
    assert len(found.samples) == 40
    assert [sample.key for sample in found.samples] == sorted({sample.key for sample in found.samples})
    for sample in found.samples:
        assert sample.caption.startswith("caricature of a")
        assert sample.caption.endswith("lithography, by Honoré Daumier")
        assert sample.rights == "own"
        assert "loraspec" in sample.credits


def test_pictures_are_png_of_the_stated_size_and_always_the_same(tmp_path):
    """What read gives decodes to the size that plan was told, and its bytes do not change."""
    one, two = scan(tmp_path, images=2, size=96), scan(tmp_path, images=2, size=96)
    for left, right in zip(one.samples, two.samples, strict=True):
        assert left.read() == right.read()
        assert Image.open(io.BytesIO(left.read())).size == (left.width, left.height) == (96, 96)


def test_styles_differ(tmp_path):
    """The same scenes in another style are other pictures with other captions."""
    one, two = (scan(tmp_path, images=1, style=style).samples[0] for style in ("lithograph", "stained-glass"))
    assert one.caption.split(", ")[1:-2] == two.caption.split(", ")[1:-2]
    assert one.read() != two.read()


def test_another_seed_gives_other_scenes(tmp_path):
    """The seed of the source decides the scenes."""
    one, two = (scan(tmp_path, images=5, seed=seed) for seed in (0, 1))
    assert [sample.caption for sample in one.samples] != [sample.caption for sample in two.samples]


def test_unknown_style_is_a_problem_with_a_suggestion(tmp_path):
    """A misspelt style is told with the nearest name."""
    (problem,) = scan(tmp_path, style="litograph").problems
    assert problem.path == "style"
    assert "did you mean 'lithograph'?" in problem.hint


def test_a_plugin_file_adds_a_style(tmp_path):
    """A file named in a spec offers a style that nobody here has seen."""
    file = tmp_path / "dim.py"
    file.write_text(PLUGIN.format(name="dim"))
    found = scan(tmp_path, file, style="dim", images=3)
    assert not found.problems
    assert found.samples[0].caption.startswith("view of a")
    assert found.samples[0].caption.endswith("dim light")
    assert np.asarray(Image.open(io.BytesIO(found.samples[0].read()))).max() <= 127


def test_two_plugins_with_one_style_name_need_the_plugins_name(tmp_path):
    """Who came first decides nothing."""
    file = tmp_path / "rival.py"
    file.write_text(PLUGIN.format(name="lithograph"))
    (problem,) = scan(tmp_path, file).problems
    assert "'picturebook:lithograph'" in problem.hint
    assert "'rival:lithograph'" in problem.hint
    assert scan(tmp_path, file, style="rival:lithograph", images=1).samples[0].caption.endswith("dim light")


def test_the_styles_come_through_the_hook():
    """The built-in styles use the door that strangers use."""
    offered = dict(discover().extensions(STYLE_HOOK))
    assert [style.name for style in offered["picturebook"]] == ["lithograph", "engraving", "stained-glass"]


@pytest.mark.parametrize("options", [{"images": 0}, {"size": 8}, {"seed": -1}, {"style": ""}])
def test_options_out_of_range_are_refused(options):
    """Each option is checked when the spec is read."""
    with pytest.raises(ValueError, match=next(iter(options))):
        PicturebookOptions(**options)
