"""The level that a reproduction achieved: what the evidence shows, never what was hoped for."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from loraspec.locking.compare import Verdict
from loraspec.locking.outcome import Outcome, band_of, judge

R4 = Verdict("R4", ())
DIGESTS = {f"x-{n}.safetensors": {"content_sha256": f"c{n}", "sha256": f"s{n}"} for n in (1, 2)}
OUTCOME = Outcome(DIGESTS, ("a", "b"), (0.5, 0.4), {"loss": 0.3})
BAND = {"loss": {"mean": 0.31, "sd": 0.01, "n": 5}}
EXPECTED = OUTCOME.expected(BAND)
OTHER_BITS = {path: {"content_sha256": "other", "sha256": "other"} for path in DIGESTS}


def level(outcome: Outcome, *, expected: Any = EXPECTED, best: Verdict = R4, interrupted: bool = False, compute: str = "float32") -> str:
    """The level judged."""
    return judge(outcome, expected, best, interrupted=interrupted, compute=compute).level


def test_equal_bits_are_r3_and_r4_only_after_a_kill() -> None:
    """R4 is not claimed for a run that nothing interrupted."""
    assert level(OUTCOME) == "R3"
    assert level(OUTCOME, interrupted=True) == "R4"


def test_header_alone_may_differ() -> None:
    """The content counts, not the bytes of the file."""
    header = {path: {**digests, "sha256": "other"} for path, digests in DIGESTS.items()}

    assert level(attrs.evolve(OUTCOME, epochs=header)) == "R3"


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({}, "R2"),
        ({"losses": (0.5 * (1 + 9e-4), 0.4)}, "R2"),
        ({"losses": (0.5 * (1 + 2e-3), 0.4)}, "R1"),
        ({"losses": (0.5,)}, "R1"),
        ({"metrics": {"loss": 0.339}}, "R2"),
        ({"metrics": {"loss": 0.341}}, "R1"),
        ({"metrics": {}}, "R1"),
        ({"metrics": {"loss": float("nan")}}, "R1"),
        ({"streams": ("a", "x")}, "R1"),
        ({"streams": ("a",)}, "R1"),
    ],
)
def test_other_bits_are_r2_when_stream_losses_and_metrics_agree(changes: dict[str, Any], found: str) -> None:
    """Equal streams, losses within a thousandth, metrics within three deviations; each of them is needed."""
    assert level(attrs.evolve(OUTCOME, epochs=OTHER_BITS, **changes)) == found


def test_one_missing_epoch_is_not_the_same_bits() -> None:
    """All epoch files count, and no more."""
    one = dict(list(DIGESTS.items())[:1])

    assert level(attrs.evolve(OUTCOME, epochs=one)) == "R2"
    assert level(attrs.evolve(OUTCOME, epochs={**DIGESTS, "x-3.safetensors": DIGESTS["x-1.safetensors"]})) == "R2"


def test_lower_precision_may_be_less_near() -> None:
    """Two percent are near for bf16, not for float32."""
    outcome = attrs.evolve(OUTCOME, epochs=OTHER_BITS, losses=(0.51, 0.4))

    assert level(outcome, compute="bfloat16") == "R2"
    assert level(outcome) == "R1"


def test_without_a_band_only_bits_count() -> None:
    """A lock that says nothing of the spread can claim R3 and R4 only."""
    assert level(attrs.evolve(OUTCOME, epochs=OTHER_BITS), expected=OUTCOME.expected({})) == "R1"
    assert level(OUTCOME, expected=OUTCOME.expected({})) == "R3"


def test_drift_before_the_run_stays() -> None:
    """Another recipe or other inputs are never more, whatever came out."""
    for name in ("R0", "R1"):
        assert level(OUTCOME, best=Verdict(name, ("x",)), interrupted=True) == name


def test_equal_bits_count_where_the_fingerprint_differed() -> None:
    """What was shown counts more than what was to be expected."""
    assert level(OUTCOME, best=Verdict("R2", ("fingerprint",))) == "R3"


def test_band_is_mean_and_sample_deviation() -> None:
    """Of the metrics that all runs have; of one run there is none."""
    runs = [attrs.evolve(OUTCOME, metrics={"loss": value, **more}) for value, more in ((1.0, {}), (2.0, {"x": 1.0}), (3.0, {}))]

    assert band_of(runs) == {"loss": {"mean": 2.0, "sd": 1.0, "n": 3}}
    assert band_of(runs[:1]) == {}
