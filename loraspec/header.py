"""What a weight file says of the run that made it. Strings only; nothing of the machine, its user or the time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loraspec import __version__

if TYPE_CHECKING:
    from loraspec.plan import Plan


def header_of(plan: Plan, epoch: int) -> dict[str, str]:
    """Return the header of an epoch (from 1); exporters choose from it and turn it into ``ss_*`` and ``modelspec.*`` keys.

    Always there: ``loraspec``, ``spec_hash``, ``name``, ``epoch``, ``epochs``, ``step`` (done when the epoch ends), ``steps``,
    ``seed``, ``base``, ``family``, ``prediction``, ``resolution``, ``images``, ``repeats``, ``samples_per_epoch``, ``batch_size``,
    ``gradient_accumulation_steps``, ``steps_per_epoch``, ``adapter``, ``rank``, ``optimizer``, ``lr_scheduler``, ``objective``,
    ``mixed_precision``. Where they are known: ``alpha`` (when all modules have one), ``style_tag``, ``rights``, ``credits``.
    """
    data, train, adapter, model = plan.data, plan.spec.train, plan.adapter, plan.model
    said: dict[str, object] = {
        "loraspec": __version__,
        "spec_hash": plan.spec_hash,
        "name": plan.name,
        "epoch": epoch,
        "epochs": train.epochs,
        "step": data.steps_per_epoch * epoch,
        "steps": data.total_steps,
        "seed": plan.spec.run.seed,
        "base": model.base,
        "family": model.family,
        "prediction": model.prediction,
        "resolution": plan.spec.data.resolution,
        "images": len(data.images),
        "repeats": data.repeats,
        "samples_per_epoch": data.samples_per_epoch,
        "steps_per_epoch": data.steps_per_epoch,
        "batch_size": train.batch_size,
        "gradient_accumulation_steps": train.gradient_accumulation_steps,
        "mixed_precision": train.mixed_precision,
        "rank": adapter.rank,
        "style_tag": plan.spec.captions.style_tag,
        "rights": ", ".join(sorted({item.sample.rights for item in data.images} - {""})),
        "credits": "; ".join(sorted({item.sample.credits for item in data.images} - {""})),
    }
    for stage in ("adapter", "optimizer", "lr_scheduler", "objective"):
        choice = plan.one(stage)
        said[stage] = choice.entry.qualified if choice is not None else ""
    alphas = set(adapter.alphas.values())
    said["alpha"] = f"{alphas.pop():g}" if len(alphas) == 1 else ""
    optional = ("style_tag", "rights", "credits", "alpha")
    return {key: str(value) for key, value in said.items() if value != "" or key not in optional}
