"""What numba compiles: one walk over the buffers of D-Adapted AdamW. Importing this imports numba.

Everything is in this one file, since numba looks at nothing else to see whether machine code that it kept is still right.

Numbers: what is written for an element depends on that element alone, in float32, operation by operation (nothing is contracted), so
the walk in one part and the walk in two give the same bits. Sums are taken in float32 over ``BLOCK`` elements and in float64 beyond, tensor
by tensor, so that they do not depend on the number of threads.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numba
import numpy as np
from numba.core import types
from numba.extending import intrinsic

BLOCK: Final = 512  # elements: five buffers of them stay in a core's first cache
ANY_ORDER: Final = {"reassoc", "nsz"}  # of a sum: lanes
GIVEN: Final = (
    types.int64[:, ::1], types.int64[::1], types.float64[:, ::1], types.float32[::1], types.boolean, types.boolean,
)  # fmt: skip


@intrinsic  # type: ignore[misc, untyped-decorator, unused-ignore]
def _pointer(typing: Any, address: Any) -> Any:
    def made(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        return builder.inttoptr(given[0], context.get_value_type(signature.return_type))

    return types.CPointer(types.float32)(types.int64), made


def _jit(fastmath: Any, *, keep: bool = False) -> Any:
    return numba.njit(nogil=True, fastmath=fastmath, error_model="numpy", cache=keep)


@_jit(ANY_ORDER)
def _along(g: Any, v: Any, s: Any, eps: Any) -> Any:
    found = np.float32(0)
    for i in range(len(g)):
        found += g[i] * (s[i] / (np.sqrt(v[i]) + eps))
    return found


@_jit(ANY_ORDER)
def _size(s: Any) -> Any:
    found = np.float32(0)
    for i in range(len(s)):
        found += abs(s[i])
    return found


@_jit(False)
def _take(g: Any, to: Any, stays: Any, share: Any) -> None:
    for i in range(len(g)):
        to[i] = to[i] * stays + g[i] * share


@_jit(False)
def _take_square(g: Any, to: Any, stays: Any, share: Any) -> None:
    for i in range(len(g)):
        to[i] = to[i] * stays + g[i] * g[i] * share


@_jit(False)
def _shift(m: Any, v: Any, p: Any, eps: Any, stays: Any) -> None:
    for i in range(len(p)):
        p[i] = p[i] * stays - m[i] / (np.sqrt(v[i]) + eps)


def walk(addresses: Any, sizes: Any, sums: Any, numbers: Any, gather: bool, move: bool) -> None:
    """Walk over tensors once.

    ``addresses`` is int64 ``[5, n]`` of float32 data: gradients, first and second moments, s, weights; ``sizes`` int64 ``[n]``. Row i of
    ``sums``, float64 ``[n, 2]``, becomes <g, s / (sqrt(v) + eps)> before the step and |s| after it. ``numbers`` is float32 ``[8]``: b1,
    factor of g in the first moment, b2, 1 - b2, sqrt(b2), factor of g in s, eps, share of a weight that stays. ``gather`` takes
    gradients into the moments, ``move`` moves the weights.
    """
    for number in range(len(sizes)):
        count = sizes[number]
        g = numba.carray(_pointer(addresses[0, number]), (count,))
        m = numba.carray(_pointer(addresses[1, number]), (count,))
        v = numba.carray(_pointer(addresses[2, number]), (count,))
        s = numba.carray(_pointer(addresses[3, number]), (count,))
        p = numba.carray(_pointer(addresses[4, number]), (count,))
        dot, total = 0.0, 0.0
        for start in range(0, count, BLOCK):
            end = min(start + BLOCK, count)
            if gather:
                dot += _along(g[start:end], v[start:end], s[start:end], numbers[6])
                _take(g[start:end], m[start:end], numbers[0], numbers[1])
                _take_square(g[start:end], v[start:end], numbers[2], numbers[3])
                _take(g[start:end], s[start:end], numbers[4], numbers[5])
                total += _size(s[start:end])
            if move:
                _shift(m[start:end], v[start:end], p[start:end], numbers[6], numbers[7])
        sums[number, 0], sums[number, 1] = dot, total


def compile_walk(*, keep: bool) -> Callable[..., Any]:
    """Return ``walk`` as machine code, with ``keep`` from the file where it was kept or kept there.

    Raises:
        Exception: What numba and the file system raise where a file cannot be written or read.
    """
    made = _jit(False, keep=keep)(walk)
    made.compile(GIVEN)
    return made  # type: ignore[no-any-return]
