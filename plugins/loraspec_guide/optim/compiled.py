"""D-Adapted AdamW in one walk over memory, compiled by numba (extra ``fast-cpu``): for large tensors on a CPU.

The library walks over its buffers a dozen times, and each walk costs as much as all of AdamW's step, which torch has in one kernel. One
walk is enough: a weight moves by moments that were scaled with the ``d`` of the step before, so it need not wait for the new one.
Nine buffer widths are read or written where AdamW has seven.

The compiled code is in ``kernels.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch
from attrs import frozen

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Addresses = NDArray[np.int64]

MOMENTS: Final = ("exp_avg", "exp_avg_sq", "s")


@cache
def kernel() -> Callable[..., Any] | None:
    """Return ``kernels.walk``, compiled; None where numba is not installed.

    Compiling takes most of a second, so numba keeps the machine code beside the byte code of ``kernels.py`` (or, where nobody may write
    there, in its folder for the user) and makes it anew for another processor or another source.
    """
    try:
        from loraspec_guide.optim.kernels import compile_walk
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "numba":
            raise
        return None
    try:
        return compile_walk(keep=True)
    except Exception:  # nowhere to write, no room, or a kept file that a crash left half written: what keeps the code must not end a run
        return compile_walk(keep=False)


@frozen(eq=False)
class Walk:
    """Where the tensors of a group lie.

    Attributes:
        parameters: The weights.
        moments: First and second moments and s, as ``state`` holds them, of each parameter.
        sizes: Numbers of each, ``[n]``.
        places: Address and numbers of each weight, as plain numbers.
        addresses: ``[5, n]``; the row of the gradients is written anew at every step.
    """

    parameters: Sequence[torch.Tensor]
    moments: Sequence[tuple[torch.Tensor, ...]]
    sizes: NDArray[np.int64]
    places: Sequence[tuple[int, int]]
    addresses: Addresses

    @classmethod
    def of(cls, parameters: Sequence[torch.Tensor], state: Any) -> Walk | None:
        """Find the tensors of a group, making the state that is not there yet; None where one is not in one piece of float32 on the CPU."""
        moments = []
        for parameter in parameters:
            own = state[parameter]
            if "step" not in own:
                own["step"] = 0
                own |= {name: torch.zeros_like(parameter) for name in MOMENTS}
            moments.append(tuple(own[name] for name in MOMENTS))
        found = [*parameters, *(one for three in moments for one in three)]
        if any(one.device.type != "cpu" or one.dtype != torch.float32 or not one.is_contiguous() for one in found):
            return None
        sizes = np.array([parameter.numel() for parameter in parameters], np.int64)
        rows = [[one.data_ptr() for one in row] for row in (*zip(*moments, strict=True), parameters)]
        places = list(zip(rows[-1], sizes.tolist(), strict=True))
        return cls(parameters, moments, sizes, places, np.array([[0] * len(sizes), *rows], np.int64))

    def stands(self, state: Any) -> bool:
        """Whether these are still the tensors that ``state`` holds, where they were; that gradients are there, in one piece, and where.

        What lies elsewhere or is of another size is looked at anew: nothing is read or written at an address that was not asked for.
        """
        grads = []
        for parameter, (first, second, s), place in zip(self.parameters, self.moments, self.places, strict=True):
            grad, own = parameter.grad, state[parameter]
            if grad is None or grad.dtype != torch.float32 or not grad.is_contiguous():
                return False
            if (parameter.data_ptr(), parameter.numel()) != place:
                return False
            if own.get("s") is not s or own.get("exp_avg") is not first or own.get("exp_avg_sq") is not second:
                return False
            grads.append(grad.data_ptr())
        self.addresses[0] = grads
        return True

    def __call__(
        self, group: dict[str, Any], *, dlr: float, beta1: float, beta2: float, gather: bool, move: bool
    ) -> tuple[float, float]:
        """Walk once; return what the group adds to the numerator and to ``|s|``.

        A group whose learning rate is 0 gathers nothing and moves all the same, as in the library.
        """
        compiled, scale, root, takes = kernel(), group["layer_scale"], beta2**0.5, gather and group["lr"] > 0
        assert compiled is not None
        sums = np.zeros((len(self.sizes), 2))
        numbers = np.array([
            beta1, scale * dlr * (1 - beta1), beta2, 1 - beta2, root, dlr * (1 - root), group["eps"], 1 - group["weight_decay"] * dlr
        ], np.float32)  # fmt: skip
        _side_by_side([
            partial(compiled, self.addresses[:, part].copy(), self.sizes[part], sums[part], numbers, takes, move)
            for part in _parts(self.sizes)
        ])  # fmt: skip
        return (scale * dlr * float(sums[:, 0].sum()), scale * float(sums[:, 1].sum())) if takes else (0.0, 0.0)


def walks(groups: Sequence[dict[str, Any]], state: Any, known: Sequence[Walk]) -> list[Walk] | None:
    """Return a walk for each group: the known ones where they still stand; None where the library has to step, or numba is not there."""
    if kernel() is None:
        return None
    if len(known) == len(groups) and all(
        len(one.parameters) == len(group["params"]) and one.stands(state) for one, group in zip(known, groups, strict=True)
    ):
        return list(known)
    if any(p.grad is None for group in groups for p in group["params"]):
        return None  # before a state is made that the library would not make
    made = [Walk.of(group["params"], state) for group in groups]
    standing = [one for one in made if one is not None and one.stands(state)]
    return standing if len(standing) == len(groups) else None


def _parts(sizes: NDArray[np.int64]) -> list[slice]:
    """Return a share of the tensors for each of torch's threads, about equal in numbers."""
    threads = torch.get_num_threads()
    inner = np.searchsorted(sizes.cumsum(), sizes.sum() * np.arange(1, threads) / threads)
    edges = [0, *inner.tolist(), len(sizes)]
    return [slice(start, end) for start, end in pairwise(edges) if end > start]


def _side_by_side(calls: Sequence[Callable[[], Any]]) -> None:
    """Make the calls, which let go of Python's lock, in a thread each."""
    if len(calls) == 1:
        calls[0]()
        return
    with ThreadPoolExecutor(len(calls)) as pool:
        for done in [pool.submit(call) for call in calls]:
            done.result()
