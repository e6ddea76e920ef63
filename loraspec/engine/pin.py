"""What a lock says that only torch knows: device, optimizer values, the numerics fingerprint; and the whole lock of here and now."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch

from loraspec.contracts import Precision
from loraspec.engine import device
from loraspec.engine.fingerprint import fingerprint
from loraspec.lock import complete_lock, make_lock, with_files
from loraspec.pixels import pixel_digests
from loraspec.plan import Plan

if TYPE_CHECKING:
    from loraspec.engine.run import Run

PIXELS = ("pixel_sha256", "prepared_sha256")


def lock_now(plan: Plan) -> dict[str, Any]:
    """Return the whole lock of a plan on this machine, as a run would write it.

    Loads the base only when its family does not say which files it consists of.

    Raises:
        SpecError, EnvironmentMissing: Data, base or device are not here, or not right.
        LockError: The base is named by something that may change.
    """
    files = plan.model.files()
    precision = device.setup(plan.spec.train, device.check_device(plan.spec.train, plan.model))
    lock = with_files(make_lock(plan), plan)
    content: dict[str, str] = {}
    if not files:
        choice = plan.stages["model_family"][0]
        family = choice.entry.component.build(choice.options)
        family.load(plan.context, precision=precision)
        content = dict(family.content())
    return complete_lock(lock, pixels=pixel_digests(plan), **torch_facts(plan, precision, content))


def lock_of_run(run: Run, lock: dict[str, Any]) -> dict[str, Any]:
    """Return the lock that a run began with, completed by what it knows once its images are prepared."""
    pixels = {row["key"]: {name: row[name] for name in PIXELS} for row in run.manifest}
    lock = with_files(lock, run.plan)
    content = {} if "files" in lock["model"] else dict(run.family.content())
    return complete_lock(lock, pixels=pixels, **torch_facts(run.plan, run.precision, content))


def torch_facts(plan: Plan, precision: Precision, content: dict[str, str]) -> dict[str, Any]:
    """Return the facts under ``run``; ``content`` is ``ModelFamily.content()``, or {} for a base that is known by its files."""
    choice = plan.one("optimizer")
    assert choice is not None  # the stage has a default
    factory = choice.entry.component.build(choice.options)
    weight = torch.zeros(1, device=precision.device, requires_grad=True)
    group = factory([{"params": [weight]}]).param_groups[0]
    return {
        "device": device.facts(precision),
        "determinism": device.determinism(plan.spec.train, precision),
        "optimizer": {key: _exact(value) for key, value in group.items() if key != "params"},
        "fingerprint": fingerprint(precision, factory),
        **({"base": content} if content else {}),
    }


def _exact(value: Any) -> Any:
    """A value of an optimizer as plain data that loses nothing: JSON holds every float but the infinite ones."""
    if isinstance(value, float) and not math.isfinite(value):
        return value.hex()
    if isinstance(value, torch.Tensor):
        return [_exact(item) for item in value.detach().cpu().reshape(-1).tolist()]
    if isinstance(value, (list, tuple)):
        return [_exact(item) for item in value]
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)
