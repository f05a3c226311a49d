"""Machine code through numba: loops over millions of hashes that NumPy has no function for.

numba looks for changes in the file of the function it compiles, not in those that it calls: after a
change here, remove the `__pycache__` of the callers.

Importing this module takes a second, for numba; the first call of what it compiles takes more,
once in the life of an installation.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
from numba.extending import intrinsic

_Function = TypeVar("_Function", bound=Callable[..., Any])


def compiled(function: _Function) -> _Function:
    """Compile a function when it is first called, to run without the interpreter's lock.

    The machine code is kept for the next process where numba finds a folder that can be written
    to; elsewhere (a read-only installation without a home) each process compiles anew. Functions
    that call themselves crash when they come from numba's cache: write loops.

    Args:
        function: Written in what numba knows of Python and NumPy.

    Returns:
        The compiled function.
    """
    try:
        return cast(_Function, numba.njit(nogil=True, cache=True)(function))
    except RuntimeError:  # numba's word for "no place to keep it"
        return cast(_Function, numba.njit(nogil=True)(function))


def _count_bits(_context: Any, _value: Any) -> Any:
    signature = numba.types.int64(numba.types.uint64)
    return signature, lambda _context, builder, _signature, values: builder.ctpop(values[0])


count_bits = cast(Callable[[Any], int], intrinsic(_count_bits))
"""Bits that are set in a uint64: the processor's instruction, in compiled functions only.

NumPy has it as `bitwise_count`, which numba does not know.
"""
