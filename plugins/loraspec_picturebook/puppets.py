"""Puppets: checkpoints that are programs, so that the right epoch is known: ``python -m loraspec_picturebook.puppets`` or ``make puppets``.

A replica draws how style grows with epoch and weight, when copying, prompt loss and sameness set in, how much epochs wobble. Every
picture gets the numbers that metrics would give, with noise of its own, its prompt and its seed; the rule sees nothing else. The truth
is analytic: U* = S^a F^b O^c V^d with exponents drawn for each replica, so that the rule's own exponents are no advantage, and
key* = U*(1.0) - l max(0, best of U*(0.8, 0.9) - U*(1.0)) with l drawn, too. The last line of output is JSON:

- ``spearman``: median over replicas, of U and U* over all cells
- ``regret``: mean of (best key* - chosen) / (best - median); ``regret_best_baseline`` that of the best of the five baselines
- ``within2``: share of replicas in which the chosen epoch lies within two of the best
- ``auc``, ``fpr``: over-cooked epochs (a reduced weight is truly better by 0.05) told by the measured gain; share of the others that
  get the label
- ``coverage``: share of tie sets that hold the best epoch
- ``broken_regret``: regret when the prompt metric is wrong and its gate says so
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from attrs import evolve, frozen

from loraspec.sweetspot.gates import auc
from loraspec.sweetspot.keys import full_weight
from loraspec.sweetspot.measured import Gate, Measured, Scores
from loraspec.sweetspot.readouts import threshold
from loraspec.sweetspot.rule import rank
from loraspec_picturebook.experiment.table import spearman

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from loraspec.sweetspot.ranking import Ranking

    Floats = NDArray[np.float64]

EPOCHS: Final = 20
WEIGHTS: Final = (0.8, 0.9, 1.0, 1.15)
PROMPTS, SEEDS, FRESH = 8, 4, 4
HELD, TRAINED = 5, 20
GAIN: Final = 0.05
KAPPA: Final = 1 / 3  # what the artist's own pictures keep of the base's margin
REPLICAS: Final = 96
TARGETS: Final[dict[str, tuple[str, float]]] = {
    "spearman": (">=", 0.92), "regret": ("<=", 0.13), "within2": (">=", 0.90), "auc": (">=", 0.955), "fpr": ("<=", 0.06),
    "coverage_low": (">=", 0.85), "coverage_high": ("<=", 0.95), "broken_regret": ("<=", 0.40), "share_of_best_baseline": ("<=", 0.5),
}  # fmt: skip


@frozen(eq=False)
class Puppet:
    """What a replica's cells truly have, ``[E, W]`` each.

    Attributes:
        progress: Style progress, 1 the artist.
        kept: Chance that a picture obeys its prompt.
        copied: Chance that a picture is a copy.
        varied: Spread of seeds against the base's.
        utility: U*.
        key: key*, ``[E]``.
        loss: A held-out loss, ``[E]``: its minimum lies near the onset of over-fitting, off by up to a half.
    """

    progress: Floats
    kept: Floats
    copied: Floats
    varied: Floats
    utility: Floats
    key: Floats
    loss: Floats


def puppet(seed: int) -> Puppet:
    """Draw a replica."""
    rng = np.random.Generator(np.random.Philox(key=[seed, 0xBAB]))
    epochs, weights = np.arange(1, EPOCHS + 1.0)[:, None], np.array(WEIGHTS)[None]

    def onset(at: float, width: float) -> Floats:
        found: Floats = 1 / (1 + np.exp(-(epochs * weights**2 - at) / width))
        return found

    right = rng.uniform(4, 18)  # the epoch at which the style is the artist's
    growth = 1 - np.exp(-epochs / rng.uniform(4, 12))
    wobble = 1 + rng.uniform(0.01, 0.06) * rng.standard_normal((EPOCHS, 1))
    progress = growth / (1 - np.exp(-right / 8)) * weights ** rng.uniform(0.8, 1.6) * wobble
    kept = 1 - rng.uniform(0.1, 0.8) * onset(right * rng.uniform(0.9, 1.6), rng.uniform(1, 3))
    copied = rng.uniform(0, 0.9) * (rng.random() < 0.6) * onset(right * rng.uniform(0.9, 1.8), rng.uniform(1, 3))
    varied = 1 - rng.uniform(0, 0.6) * onset(right * rng.uniform(0.9, 1.8), rng.uniform(1, 4))
    a, b, c = rng.uniform(0.7, 1.4, 3)
    style = (1 - np.abs(1 - progress)).clip(0, 1)
    utility = style**a * kept**b * (1 - copied) ** c * varied ** rng.uniform(0.3, 0.8)
    at = full_weight(WEIGHTS)
    key = utility[:, at] - rng.uniform(0.5, 1.5) * (utility[:, :at].max(1) - utility[:, at]).clip(0)
    loss = np.abs(epochs[:, 0] - right * rng.uniform(0.5, 1.5)) + 0.3 * rng.standard_normal(EPOCHS)
    return Puppet(progress, kept, copied, varied, utility, key, loss)


def shown(truth: Puppet, seed: int, *, epochs: tuple[int, ...] = tuple(range(1, EPOCHS + 1)), fresh: bool = False) -> Scores:
    """Return what metrics would measure: prompts and noises of a seed are the same in every cell, as in a run."""
    rng = np.random.Generator(np.random.Philox(key=[seed, 0xF4E5 if fresh else 0x5EE]))
    seeds = FRESH if fresh else SEEDS
    rows = [epoch - 1 for epoch in epochs]
    cells = (len(epochs), len(WEIGHTS), PROMPTS, seeds)

    def of(values: Floats) -> Floats:
        found: Floats = values[rows][:, :, None, None]
        return found

    def noise(shared: float, own: float) -> Floats:
        prompt, picture = shared * rng.standard_normal((PROMPTS, 1)), shared * rng.standard_normal((PROMPTS, seeds))
        found: Floats = prompt + picture + own * rng.standard_normal(cells)
        return found

    own = np.random.Generator(np.random.Philox(key=[seed, 0x0F7]))  # the user's pictures are the same for screening and confirmation
    style = of(truth.progress) + noise(0.08, 0.10)
    obeys = rng.random((PROMPTS, seeds)) < of(truth.kept)
    read = 0.9 * (1 + of(truth.progress).clip(0, 1) * (KAPPA - 1))  # the more style, the harder to read: seen in every trained run
    margin = np.where(obeys, read, 0.0) + noise(0.03, 0.06)
    real = own.gamma(9, 0.18, HELD + TRAINED)
    far = rng.gamma(9, 0.18, (PROMPTS, seeds)) + 0.05 * rng.standard_normal(cells)
    tau = threshold(real)
    apart = np.where(rng.random((PROMPTS, seeds)) < of(truth.copied), tau * rng.uniform(0.2, 0.8, cells), far)
    varied = of(truth.varied) + noise(0.06, 0.10)
    base = (0.12 * rng.standard_normal((PROMPTS, seeds)), 0.9 + 0.1 * rng.standard_normal((PROMPTS, seeds)))
    made = (
        Measured("style", "style", style, base[0], 1 + 0.12 * own.standard_normal(HELD)),
        Measured("prompt", "prompt", margin, base[1], 0.9 * KAPPA + 0.1 * own.standard_normal(HELD + 12), KAPPA),
        Measured("copies", "originality", apart, far.mean((0, 1)), real, tau),
        Measured("variety", "variety", varied, 1 + 0.1 * rng.standard_normal((PROMPTS, seeds)), 1 + 0.1 * own.standard_normal(HELD)),
    )
    names = tuple(f"prompt {number}" for number in range(PROMPTS))
    return Scores(epochs, WEIGHTS, names, tuple(range(seeds)), made, HELD, 10)


def chosen(truth: Puppet, seed: int, *, change: Callable[[Scores], Scores] = lambda scores: scores) -> Ranking:
    """Let the rule choose: screening, then the tie set on fresh seeds."""
    scores = change(shown(truth, seed))
    first = rank(scores, seed=seed, resamplings=500)
    tied = sorted((one for one in first.epochs if one.tied), key=lambda one: -one.key.value)[:8]
    fresh = change(shown(truth, seed, epochs=tuple(sorted(one.epoch for one in tied)), fresh=True))
    return rank(scores, fresh=fresh, seed=seed, resamplings=500)


def broken(scores: Scores) -> Scores:
    """Turn the prompt metric around; its gate has seen it."""
    gate = Gate("known-difference", 0.2, 0.75, False, "it prefers wrong captions")
    return evolve(
        scores, measured=tuple(evolve(m, values=-m.values, gates=(gate,)) if m.axis == "prompt" else m for m in scores.measured)
    )


def baselines(scores: Scores, truth: Puppet) -> dict[str, int]:
    """Return the place of the epoch that others would take, by what is measured at weight 1.0."""
    at = full_weight(scores.weights)
    style, prompt, apart, varied = (m.values[:, at].reshape(EPOCHS, -1).mean(1) for m in scores.measured)
    likeness = style - 0.3 * apart  # to the training pictures: copies are the most alike

    def scaled(values: Floats) -> Floats:
        found: Floats = (values - values.min()) / max(float(np.ptp(values)), 1e-9)
        return found

    fidelity, control = scaled(likeness), scaled(prompt)
    return {
        "last epoch": EPOCHS - 1,
        "highest similarity": int(likeness.argmax()),
        "lowest loss": int(truth.loss.argmin()),
        "sum of z-scores": int(sum((v - v.mean()) / (v.std() + 1e-9) for v in (style, prompt, apart, varied)).argmax()),
        "F-score": int((10 * fidelity * control / (9 * control + fidelity + 1e-9)).argmax()),
    }


def benchmark(replicas: int = REPLICAS, *, first: int = 0) -> dict[str, float]:
    """Return the figures of the module's text over so many replicas, and each baseline's regret."""
    rows: list[dict[str, float]] = []
    over: list[Floats] = []
    sound: list[Floats] = []
    labelled = alarms = 0
    for seed in range(first, first + replicas):
        truth = puppet(seed)
        scores, ranking = shown(truth, seed), chosen(truth, seed)
        best = int(truth.key.argmax())
        at = full_weight(WEIGHTS)
        gain = truth.utility[:, :at].max(1) - truth.utility[:, at]
        seen = np.array([cell.utility.value for cell in ranking.cells]).reshape(EPOCHS, len(WEIGHTS))
        measured = seen[:, :at].max(1) - seen[:, at]
        over.append(measured[gain > GAIN])
        sound.append(measured[gain <= 0])
        labelled += sum(any(label.name == "over-cooked" for label in one.labels) for e, one in enumerate(ranking.epochs) if gain[e] <= 0)
        alarms += int((gain <= 0).sum())
        wrong = chosen(truth, seed, change=broken)
        rows.append(
            {
                "spearman": spearman(seen.ravel(), truth.utility.ravel()) or 0.0,
                "regret": _regret(truth, ranking.epoch - 1),
                "within2": float(abs(ranking.epoch - 1 - best) <= 2),
                "coverage": float(best + 1 in ranking.tie_set),
                "tie_set": float(len(ranking.tie_set)),
                "broken_regret": _regret(truth, wrong.epoch - 1),
                **{name: _regret(truth, place) for name, place in baselines(scores, truth).items()},
            }
        )
    found = {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}
    found["spearman"] = float(np.median([row["spearman"] for row in rows]))
    rivals = ("last epoch", "highest similarity", "lowest loss", "sum of z-scores", "F-score")
    found["regret_best_baseline"] = min(found[name] for name in rivals)
    found["auc"], found["fpr"] = auc(np.concatenate(over), np.concatenate(sound)), labelled / max(alarms, 1)
    return found


def missed(found: dict[str, float]) -> list[str]:
    """Return the targets that the figures miss."""
    whole = {
        **found, "coverage_low": found["coverage"], "coverage_high": found["coverage"],
        "share_of_best_baseline": found["regret"] / max(found["regret_best_baseline"], 1e-9),
    }  # fmt: skip
    return [
        f"{name} is {whole[name]:.3f}, {sign} {limit:g} is asked"
        for name, (sign, limit) in TARGETS.items()
        if not (whole[name] >= limit if sign == ">=" else whole[name] <= limit)
    ]


def _regret(truth: Puppet, place: int) -> float:
    key = truth.key
    return float((key.max() - key[place]) / max(float(key.max() - np.median(key)), 1e-9))


def main(arguments: list[str] | None = None) -> int:
    """Print the figures; 0 when every target is met, 1 otherwise."""
    import argparse
    import json
    import sys

    parser = argparse.ArgumentParser(prog="python -m loraspec_picturebook.puppets", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--replicas", type=int, default=REPLICAS)
    parser.add_argument("--first", type=int, default=0, help="seed of the first replica")
    given = parser.parse_args(arguments)
    found = benchmark(given.replicas, first=given.first)
    rows: dict[str, Any] = {name: value for name, value in found.items() if name not in TARGETS}
    for name, value in {**{name: found[name] for name in TARGETS if name in found}, **rows}.items():
        sign, limit = TARGETS.get(name, ("", 0.0))
        sys.stdout.write(f"{name:22s} {value:7.3f}  {f'{sign} {limit:g}' if sign else ''}\n")
    for text in missed(found):
        sys.stdout.write(f"missed: {text}\n")
    sys.stdout.write(json.dumps({"replicas": given.replicas, **{name: round(value, 4) for name, value in found.items()}}) + "\n")
    return 1 if missed(found) else 0


if __name__ == "__main__":
    raise SystemExit(main())
