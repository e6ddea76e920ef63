"""What a run gave: digests of its epoch files, its first losses, its last metrics; and how it stands to what was expected. No torch."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import frozen

from loraspec.digests import file_digest, file_sha256
from loraspec.errors import RunError
from loraspec.locking.compare import Verdict

FIRST = 10  # steps whose loss a run keeps each by itself, to be compared
CLOSE = {"float32": 1e-3}  # relative, by the dtype of the forward pass
CLOSE_ELSE = 5e-2
DEVIATIONS = 3.0
SEEDS = 5  # runs that a published band rests on
METRICS = ("loss", "weight_norm", "d_lr")  # of the last epoch
COUNTS = ("cells", "rendered", "failed")  # of evaluators: how much was drawn, not how good it is


@frozen
class Outcome:
    """What a finished run gave.

    Attributes:
        epochs: Content digest and sha256 of each epoch's file by path.
        streams: Stream digest of each epoch.
        losses: Of steps 1 to 10, as far as they were kept.
        metrics: Of the last epoch, and of the evaluators.
    """

    epochs: Mapping[str, Mapping[str, str]]
    streams: tuple[str, ...]
    losses: tuple[float, ...]
    metrics: Mapping[str, float]

    def expected(self, band: Mapping[str, Mapping[str, float]]) -> dict[str, Any]:
        """Return the part ``expected`` of a lock; floats as ``float.hex()`` where their bits are compared."""
        return {
            "epochs": {path: dict(digests) for path, digests in self.epochs.items()},
            "streams": list(self.streams),
            "losses": [loss.hex() for loss in self.losses],
            "metrics": dict(self.metrics),
            "band": {name: dict(values) for name, values in band.items()},
        }


def outcome_of(folder: Path) -> Outcome:
    """Read what a run gave from its folder.

    Raises:
        RunError: It is no finished run, or a file is not what the run committed.
    """
    run, index = _json(folder / "run.json"), _json(folder / "epochs" / "index.json")
    if run.get("state") != "done":
        raise RunError(f"{folder}: the run is {run.get('state', 'not begun')}, not done\n    hint: loraspec resume {folder}")
    wrong = damaged(folder)
    if wrong:
        raise RunError("\n".join(wrong))
    entries = sorted(index["epochs"], key=lambda entry: int(entry["epoch"]))
    epochs = {}
    for entry in entries:
        for file in entry["files"]:
            digest = file_digest(folder / "epochs" / file["path"])
            epochs[str(file["path"])] = {"content_sha256": digest.content_sha256, "sha256": digest.sha256}
    first: dict[int, float] = {}
    metrics = {name: float(entries[-1][name]) for name in METRICS if name in entries[-1]}
    for line in _events(folder / "events.jsonl"):
        if line.get("kind") == "first":
            first[int(line["step"])] = float(line["loss"])  # a step that was repeated after a kill counts once
        elif line.get("kind") == "evaluation":
            metrics |= {f"{line['evaluator']}.{name}": float(value) for name, value in line["metrics"].items() if name not in COUNTS}
    losses = [first[step] for step in range(1, FIRST + 1) if step in first]
    return Outcome(epochs, tuple(str(entry.get("stream_sha256", "")) for entry in entries), tuple(losses), metrics)


def damaged(folder: Path) -> list[str]:
    """Return one line for each committed file that is gone or is not what was committed."""
    found: list[str] = []
    for entry in _json(folder / "epochs" / "index.json").get("epochs", []):
        for file in entry["files"]:
            path = folder / "epochs" / str(file["path"])
            if not path.is_file():
                found.append(f"{path}: epoch {entry['epoch']} committed it, and it is gone")
            elif file_sha256(path) != file["sha256"]:
                found.append(f"{path}: differs from what epoch {entry['epoch']} committed")
    return found


def band_of(outcomes: Sequence[Outcome]) -> dict[str, dict[str, float]]:
    """Return mean, standard deviation and number of each metric that all of several runs have; {} of fewer than two."""
    if len(outcomes) < 2:
        return {}
    names = set.intersection(*(set(outcome.metrics) for outcome in outcomes))
    values = {name: [outcome.metrics[name] for outcome in outcomes] for name in sorted(names)}
    return {name: {"mean": statistics.fmean(v), "sd": statistics.stdev(v), "n": len(v)} for name, v in values.items()}


def judge(outcome: Outcome, expected: Mapping[str, Any], best: Verdict, *, interrupted: bool, compute: str) -> Verdict:
    """Return the level that a reproduction achieved, with the evidence: never the one that was hoped for.

    Args:
        outcome: What the reproduction gave.
        expected: The part ``expected`` of the lock, or of the run that was reproduced.
        best: What was reachable before it began.
        interrupted: Whether it was killed and resumed on the way: without, R4 cannot be claimed.
        compute: dtype of the forward pass: how near losses have to be.
    """
    if best.level in ("R0", "R1"):
        return best
    streams = [str(item) for item in expected.get("streams", [])]
    if not streams or list(outcome.streams) != streams:
        return Verdict("R1", (_streams(outcome, streams),))
    why = [f"stream digests of all {len(streams)} epochs are equal"]
    wanted = {path: item["content_sha256"] for path, item in expected.get("epochs", {}).items()}
    have = {path: item["content_sha256"] for path, item in outcome.epochs.items()}
    equal = sum(have.get(path) == digest for path, digest in wanted.items())
    why.append(f"content digests: {equal} of {len(wanted)} epoch files are equal")
    if wanted and have == wanted:
        whole = sum(outcome.epochs[path]["sha256"] == expected["epochs"][path]["sha256"] for path in wanted)
        why.append(f"sha256: {whole} of {len(wanted)} epoch files are equal to the byte")
        why.append("killed and resumed on the way" if interrupted else "R4 is not claimed without a kill and a resume (--interrupt)")
        return Verdict("R4" if interrupted else "R3", tuple(why))
    near, line = _losses(outcome.losses, expected.get("losses", []), CLOSE.get(compute, CLOSE_ELSE))
    inside, lines = _band(outcome.metrics, expected.get("band", {}))
    return Verdict("R2" if near and inside else "R1", (*why, *best.why, line, *lines))


def _streams(outcome: Outcome, streams: Sequence[str]) -> str:
    if not streams:
        return "nothing is expected of the streams: the lock was made without --expect"
    differ = [str(n) for n, pair in enumerate(zip(outcome.streams, streams, strict=False), 1) if pair[0] != pair[1]]
    said = f"of epoch {', '.join(differ[:5])}" if differ else f"are of {len(outcome.streams)} epochs, {len(streams)} are expected"
    return f"stream digests {said} differ: other samples, captions or draws"


def _losses(have: Sequence[float], wanted: Sequence[str], close: float) -> tuple[bool, str]:
    pairs = list(zip(have, map(float.fromhex, wanted), strict=False))
    if not pairs or len(have) != len(wanted):
        return False, f"losses of the first steps: {len(have)} kept, {len(wanted)} expected"
    worst = max(abs(one - other) / max(abs(other), 1e-12) for one, other in pairs)
    return worst <= close, f"losses of steps 1 to {len(pairs)}: within {worst:.1e} (relative), {close:g} is allowed"


def _band(metrics: Mapping[str, float], band: Mapping[str, Mapping[str, float]]) -> tuple[bool, list[str]]:
    """Whether every metric is within three standard deviations of the publisher's mean, and a line for each."""
    if not band:
        return False, ["R2 cannot be claimed: the lock has no band (loraspec lock --band)"]
    inside, lines = True, []
    for name, values in band.items():
        value, reach = metrics.get(name, math.nan), DEVIATIONS * values["sd"]
        good = abs(value - values["mean"]) <= reach
        inside = inside and good
        lines.append(f"{name} {value:.6g}: {'inside' if good else 'OUTSIDE'} {values['mean']:.6g} ± {reach:.2g} (n = {int(values['n'])})")
    return inside, lines


def _json(path: Path) -> dict[str, Any]:
    try:
        read = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunError(f"{path}: cannot be read as JSON: {error}") from error
    return dict(read) if isinstance(read, dict) else {}


def _events(path: Path) -> Iterator[dict[str, Any]]:
    for text in path.read_text(encoding="utf-8").splitlines() if path.is_file() else ():
        try:
            line = json.loads(text)
        except ValueError:  # a line that a kill cut off
            continue
        if isinstance(line, dict):
            yield line
