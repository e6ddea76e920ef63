"""D-Adapted AdamW in one walk over memory, compiled by numba (extra ``fast-cpu``): for large tensors on a CPU.

The library walks over its buffers a dozen times, and each walk costs as much as all of AdamW's step, which torch has in one kernel. One
walk is enough: a weight moves by moments that were scaled with the ``d`` of the step before, so it need not wait for the new one.
Nine buffer widths are read or written where AdamW has seven.

Numbers: what is written for an element depends on that element alone, in float32, operation by operation (nothing is contracted), so
the walk in one part and the walk in two give the same bits. Sums are taken in float32 over ``BLOCK`` elements and in float64 beyond, tensor
by tensor, so that they do not depend on the number of threads.
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

BLOCK: Final = 512  # elements: five buffers of them stay in a core's first cache
MOMENTS: Final = ("exp_avg", "exp_avg_sq", "s")
ANY_ORDER: Final = {"reassoc", "nsz"}  # of a sum: lanes


@cache
def kernel() -> Callable[..., Any] | None:
    """Return ``walk(addresses, sizes, sums, numbers, gather, move)``, compiled; None where numba is not installed.

    ``addresses`` is int64 ``[5, n]`` of float32 data: gradients, first and second moments, s, weights; ``sizes`` int64 ``[n]``. Row i of
    ``sums``, float64 ``[n, 2]``, becomes <g, s / (sqrt(v) + eps)> before the step and |s| after it. ``numbers`` is float32 ``[8]``: b1,
    factor of g in the first moment, b2, 1 - b2, sqrt(b2), factor of g in s, eps, share of a weight that stays. ``gather`` takes
    gradients into the moments, ``move`` moves the weights.
    """
    try:
        import numba
        from numba.core import types
        from numba.extending import intrinsic
    except ImportError:
        return None

    @intrinsic  # type: ignore[misc, untyped-decorator, unused-ignore]
    def pointer(typing: Any, address: Any) -> Any:
        def made(context: Any, builder: Any, signature: Any, given: Any) -> Any:
            return builder.inttoptr(given[0], context.get_value_type(signature.return_type))

        return types.CPointer(types.float32)(types.int64), made

    def jit(fastmath: Any) -> Any:
        return numba.njit(nogil=True, fastmath=fastmath, error_model="numpy")

    @jit(ANY_ORDER)
    def along(g: Any, v: Any, s: Any, eps: Any) -> Any:
        found = np.float32(0)
        for i in range(len(g)):
            found += g[i] * (s[i] / (np.sqrt(v[i]) + eps))
        return found

    @jit(ANY_ORDER)
    def size(s: Any) -> Any:
        found = np.float32(0)
        for i in range(len(s)):
            found += abs(s[i])
        return found

    @jit(False)
    def take(g: Any, to: Any, stays: Any, share: Any) -> None:
        for i in range(len(g)):
            to[i] = to[i] * stays + g[i] * share

    @jit(False)
    def take_square(g: Any, to: Any, stays: Any, share: Any) -> None:
        for i in range(len(g)):
            to[i] = to[i] * stays + g[i] * g[i] * share

    @jit(False)
    def shift(m: Any, v: Any, p: Any, eps: Any, stays: Any) -> None:
        for i in range(len(p)):
            p[i] = p[i] * stays - m[i] / (np.sqrt(v[i]) + eps)

    @jit(False)
    def walk(addresses: Any, sizes: Any, sums: Any, numbers: Any, gather: bool, move: bool) -> None:
        for number in range(len(sizes)):
            count = sizes[number]
            g = numba.carray(pointer(addresses[0, number]), (count,))
            m = numba.carray(pointer(addresses[1, number]), (count,))
            v = numba.carray(pointer(addresses[2, number]), (count,))
            s = numba.carray(pointer(addresses[3, number]), (count,))
            p = numba.carray(pointer(addresses[4, number]), (count,))
            dot, total = 0.0, 0.0
            for start in range(0, count, BLOCK):
                end = min(start + BLOCK, count)
                if gather:
                    dot += along(g[start:end], v[start:end], s[start:end], numbers[6])
                    take(g[start:end], m[start:end], numbers[0], numbers[1])
                    take_square(g[start:end], v[start:end], numbers[2], numbers[3])
                    take(g[start:end], s[start:end], numbers[4], numbers[5])
                    total += size(s[start:end])
                if move:
                    shift(m[start:end], v[start:end], p[start:end], numbers[6], numbers[7])
            sums[number, 0], sums[number, 1] = dot, total

    return walk  # type: ignore[no-any-return]


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
