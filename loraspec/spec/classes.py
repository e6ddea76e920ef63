"""Every key of a spec is of one class: what it decides.

- identity: the weights. Another identity is another run.
- comfort: nothing that a run leaves but its log.
- extension: how much is done after or beyond what was done: further epochs, another grid.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

IDENTITY, COMFORT, EXTENSION = "identity", "comfort", "extension"

_KEYS: dict[str, str] = {
    COMFORT: """
        run.output requires launcher trackers
        data.expect.images data.expect.min_side captions.first_prefix captions.max_tokens captions.review
        captions.lint.ignore captions.lint.min_descriptors captions.lint.near captions.lint.fused
        train.log_every train.checkpoint_every train.workers
    """,
    EXTENSION: """
        train.epochs evaluators
        grid.prompts grid.epochs grid.weights grid.seeds grid.negative grid.sampler grid.steps grid.guidance grid.width grid.height
        grid.judged_prompts grid.judged_seeds grid.fresh_seeds grid.probe grid.every grid.threads
    """,
    IDENTITY: """
        loraspec plugins run.name run.seed
        model data.sources data.repeats data.resolution data.transforms
        data.buckets.step data.buckets.min data.buckets.max data.buckets.upscale
        captions.separator captions.style_tag captions.captioner captions.instructions captions.examples captions.transforms
        adapter optimizer lr_scheduler objective exporters callbacks
        train.batch_size train.gradient_accumulation_steps train.mixed_precision train.gradient_checkpointing train.max_grad_norm
        train.device train.allow_tf32 train.deterministic train.threads train.text_batch
        grid.heldout
    """,
}  # threads and text_batch change the order of sums, so the last bits; heldout takes images out of training
KEYS: Mapping[str, str] = {key: kind for kind, keys in _KEYS.items() for key in keys.split()}

# Keys that decide no weight of the epochs that a spec asks for: all that are no identity, but the number of epochs.
WEIGHTLESS = tuple(key for key, kind in KEYS.items() if kind != IDENTITY and key != "train.epochs")


def recipe(resolved: Mapping[str, Any]) -> dict[str, Any]:
    """Return a resolved spec without the keys that decide no weight."""
    made = dict(resolved)
    for path in WEIGHTLESS:
        made = _without(made, path.split("."))
    return made


def _without(table: Mapping[str, Any], parts: list[str]) -> dict[str, Any]:
    inner = table.get(parts[0])
    if len(parts) > 1:
        return {**table, parts[0]: _without(inner, parts[1:])} if isinstance(inner, Mapping) else dict(table)
    return {key: value for key, value in table.items() if key != parts[0]}
