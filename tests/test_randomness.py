"""The generator is Philox with the key that its arguments make, and nothing of the system's."""

import copy

import numpy as np
import pytest

from loraspec.randomness import draw_hash, generator


@pytest.mark.parametrize("index", [(), (0,), ("a", 3), (2**40, "ü")])
def test_it_is_philox_with_its_key(index):
    """What NumPy gives for the same 128 bits, in every kind of draw."""
    key = int.from_bytes(draw_hash(7, "purpose", *index)[:16], "little")
    ours, theirs = generator(7, "purpose", *index), np.random.Generator(np.random.Philox(key=key))
    for draw in ("random", "standard_normal", "permutation", "integers"):
        assert (getattr(ours, draw)(9) == getattr(theirs, draw)(9)).all()
    assert ours.bit_generator.random_raw() == theirs.bit_generator.random_raw()


def test_a_copy_goes_on_where_it_was_taken():
    """Copies share nothing."""
    first = generator(1, "copy")
    first.random(3)
    second = copy.deepcopy(first)
    assert first.random(5).tolist() == second.random(5).tolist()


def test_the_system_is_not_asked(monkeypatch):
    """A key is all that a draw needs; NumPy's own way with a key does ask, and throws the answer away."""

    def asked(*_):
        raise AssertionError("the system's randomness was asked for")

    monkeypatch.setattr(np.random.bit_generator, "randbits", asked)
    with pytest.raises(AssertionError):
        np.random.Philox(key=1)
    assert 0 <= generator(3, "quiet").random() < 1
