"""D-Adapted AdamW over flat buffers: ``dadaptation.DAdaptAdam`` without a round of Python and two reads of the device for each tensor."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import dadaptation
import torch
from torch import Tensor

from loraspec_guide.optim import compiled
from loraspec_guide.optim.compiled import MOMENTS

CHUNK = 2**17  # numbers of one buffer: beyond what a core keeps near, many passes over a long buffer cost more than many short ones
LARGE = 12_288  # numbers of a tensor, on average, from which a CPU's time goes into memory and not into calls: the library's step is faster
SLOW = (
    "dadapt-adamw: these tensors are large for a CPU, and numba is not installed; its part of a step takes four to five times as long "
    "as with: pip install 'loraspec[fast-cpu]'"
)


class _Flat:
    """The moments of some of a group's tensors in one buffer each; what ``state`` holds are views of them.

    Attributes:
        parameters: The tensors.
        exp_avg, exp_avg_sq, s: As in ``dadaptation``, ``[n]`` with n the numbers of these tensors.
        grad, work: For a step; shared by all of a group.
        views: The tensors of ``state`` by name, in the order of the parameters.
        work_views: The same of ``work``.
    """

    def __init__(self, parameters: Sequence[Tensor], state: Any, scratch: Tensor) -> None:
        count, like = sum(p.numel() for p in parameters), parameters[0]
        self.parameters = parameters
        buffers = {name: torch.zeros(count, dtype=like.dtype, device=like.device) for name in MOMENTS}
        buffers |= {"grad": scratch[0, :count], "work": scratch[1, :count]}
        self.views = {name: _views(buffers[name], parameters) for name in MOMENTS}
        self.exp_avg, self.exp_avg_sq, self.s = (buffers[name] for name in MOMENTS)
        self.grad, self.work = buffers["grad"], buffers["work"]
        self.work_views = _views(self.work, parameters)
        for number, parameter in enumerate(parameters):
            own = state[parameter]
            own.setdefault("step", 0)
            for name in MOMENTS:
                if name in own:
                    self.views[name][number].copy_(own[name])
                own[name] = self.views[name][number]

    def holds(self, state: Any) -> bool:
        """Whether what ``state`` holds is still what lies here: a state that was loaded is not."""
        return all(state[p].get("s") is view for p, view in zip(self.parameters, self.views["s"], strict=True))


class DAdaptAdam(dadaptation.DAdaptAdam):  # type: ignore[misc]
    """The same ``d``, the same state dict, in a handful of operations for each group (Defazio and Mishchenko 2023).

    Sums are taken over the whole group instead of tensor by tensor, which moves the last digits of ``d``. Where a tensor has no gradient,
    where tensors of a group differ in device or dtype, and with coupled weight decay, the library's own step is taken; so it is where
    tensors are large on a CPU, unless numba is there to compile one walk over all of them (``compiled``).
    """

    remark = ""
    """What a run should say of the way that steps are taken."""

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Take a step; the device is waited for once.

        Raises:
            RuntimeError: Groups have two learning rates above 0: the method knows one.
        """
        loss = None if closure is None else torch.enable_grad()(closure)()
        groups = self.param_groups
        flat_ones = all(_flat_can(group) for group in groups)
        walks = None if flat_ones else self._walks_of(groups)
        if not flat_ones and walks is None:
            if compiled.kernel() is None and all(_plain(group) and _large_on_cpu(group) for group in groups):
                self.remark = SLOW
            super().step()
            return loss
        lead = groups[0]
        (beta1, beta2), k, d = lead["betas"], lead["k"], lead["d"]
        lr = max(group["lr"] for group in groups)
        if any(group["lr"] not in (lr, 0.0) for group in groups):
            raise RuntimeError("D-Adaptation knows one learning rate: scale a group by 'layer_scale', or stop it by 0")
        corrected = ((1 - beta2 ** (k + 1)) ** 0.5) / (1 - beta1 ** (k + 1)) if lead["use_bias_correction"] else 1
        dlr, root = d * lr * corrected, beta2**0.5
        flats = [(flat, group) for number, group in enumerate(groups) for flat in self._flats_of(number, group)] if flat_ones else []
        walk = [partial(one, group, dlr=dlr, beta1=beta1, beta2=beta2) for one, group in zip(walks or (), groups, strict=walks is not None)]
        early = lead["k"] > 0 and lr > 0  # before the first gradient that is not 0, nothing may move
        sums: Any = [one(gather=True, move=early) for one in walk]
        if flat_ones:
            moving = [(flat, group) for flat, group in flats if group["lr"] > 0]
            sums = [_gathered(flat, group, dlr=dlr, beta1=beta1, beta2=beta2) for flat, group in moving]
            sums = torch.stack(sums).tolist() if sums else []
        numerator, sk_l1 = (sum(column) for column in zip(*sums, strict=True)) if sums else (0.0, 0.0)
        if sk_l1 == 0:
            return loss
        weighted = root * lead["numerator_weighted"] + (1 - root) * numerator
        if lr > 0:
            d = max(d, min(weighted / ((1 - root) * sk_l1), d * lead["growth_rate"]))

        for flat, group in flats:
            _moved(flat, group, dlr=dlr)
        for one in walk:
            if not early:
                one(gather=False, move=True)
        for group in groups:
            for parameter in group["params"]:
                self.state[parameter]["step"] += 1
            group["numerator_weighted"], group["d"] = weighted, d
            group["k"] += 1
        return loss

    def _flats_of(self, number: int, group: dict[str, Any]) -> list[_Flat]:
        kept: dict[int, list[_Flat]] = self.__dict__.setdefault("_flats", {})
        known = kept.get(number)
        count = sum(len(flat.parameters) for flat in known or ())
        if known is None or count != len(group["params"]) or not all(flat.holds(self.state) for flat in known):
            kept[number] = _flats(group["params"], self.state)
        return kept[number]

    def _walks_of(self, groups: list[dict[str, Any]]) -> list[compiled.Walk] | None:
        found = compiled.walks(groups, self.state, self.__dict__.get("_walks") or ()) if all(_plain(group) for group in groups) else None
        self.__dict__["_walks"] = found
        return found

    def __getstate__(self) -> dict[str, Any]:
        """Leave buffers and addresses out of a copy: they are made again."""
        return {name: value for name, value in super().__getstate__().items() if name not in ("_flats", "_walks")}


def _gathered(flat: _Flat, group: dict[str, Any], *, dlr: float, beta1: float, beta2: float) -> Tensor:
    """Take a group's gradients into its moments; return what it adds to the numerator and to ``|s|``, ``[2]``, on the device."""
    scale, root = group["layer_scale"], beta2**0.5
    grads = [parameter.grad.reshape(-1) for parameter in flat.parameters if parameter.grad is not None]
    grad = grads[0] if len(grads) == 1 else torch.cat(grads, out=flat.grad)
    torch.sqrt(flat.exp_avg_sq, out=flat.work).add_(group["eps"])
    torch.div(flat.s, flat.work, out=flat.work)
    numerator = torch.mul(grad, flat.work, out=flat.work).sum(dtype=torch.float64)
    flat.exp_avg.mul_(beta1).add_(grad, alpha=scale * dlr * (1 - beta1))
    flat.exp_avg_sq.mul_(beta2).addcmul_(grad, grad, value=1 - beta2)
    flat.s.mul_(root).add_(grad, alpha=dlr * (1 - root))
    return torch.stack([numerator * (scale * dlr), flat.s.abs().sum(dtype=torch.float64) * scale])


def _moved(flat: _Flat, group: dict[str, Any], *, dlr: float) -> None:
    """Move a group's weights by its moments."""
    if group["weight_decay"]:
        torch._foreach_mul_(flat.parameters, 1 - group["weight_decay"] * dlr)
    torch.sqrt(flat.exp_avg_sq, out=flat.work).add_(group["eps"])
    torch._foreach_addcdiv_(flat.parameters, flat.views["exp_avg"], flat.work_views, value=-1)


def _plain(group: dict[str, Any]) -> bool:
    """Whether nothing asks for the library's own step."""
    return bool(group["params"]) and not (group["fsdp_in_use"] or group["log_every"] or (group["weight_decay"] and not group["decouple"]))


def _flat_can(group: dict[str, Any]) -> bool:
    """Whether a group's tensors fit one buffer, with a gradient each."""
    if not _plain(group):
        return False
    if _large_on_cpu(group):
        return False
    first = group["params"][0]
    return all(
        p.grad is not None and not p.grad.is_sparse and p.grad.dtype == p.dtype == first.dtype and p.device == first.device
        for p in group["params"]
    )


def _large_on_cpu(group: dict[str, Any]) -> bool:
    return group["params"][0].device.type == "cpu" and sum(p.numel() for p in group["params"]) > LARGE * len(group["params"])


def _flats(parameters: Sequence[Tensor], state: Any) -> list[_Flat]:
    """Return the tensors of a group in order, in buffers of at most ``CHUNK`` numbers; a larger tensor has one of its own."""
    parts: list[list[Tensor]] = [[]]
    for parameter in parameters:
        if parts[-1] and sum(one.numel() for one in parts[-1]) + parameter.numel() > CHUNK:
            parts.append([])
        parts[-1].append(parameter)
    largest = max(sum(one.numel() for one in part) for part in parts)
    scratch = torch.empty(2, largest, dtype=parameters[0].dtype, device=parameters[0].device)
    return [_Flat(part, state, scratch) for part in parts]


def _views(buffer: Tensor, parameters: Sequence[Tensor]) -> list[Tensor]:
    sizes = [parameter.numel() for parameter in parameters]
    return [part.view(parameter.shape) for part, parameter in zip(buffer.split(sizes), parameters, strict=True)]
