"""SHELL: bound the memory of a program that runs for days by the pictures that it shows."""

from __future__ import annotations

import contextlib
import ctypes
import gc
from functools import cache
from typing import Any

#: Objects until a collection of each generation, as of `gc.set_threshold`. Python's own values make
#: a full collection after about 80,000 new objects. A machine that has ended leaves about 30 in
#: cycles, some of which hold pictures.
_THRESHOLDS = (700, 3, 3)


def collect_early() -> None:
    """Collect garbage often from now on; call it once, when the program has started.

    Modules, classes and the main window are about 100,000 objects. A full collection without them
    takes milliseconds, not 70, and Python no longer waits until a quarter as many are new.
    """
    gc.freeze()
    gc.collect()  # Python counts the objects that are left
    gc.set_threshold(*_THRESHOLDS)


def release_free_memory() -> None:
    """Give the allocator's free memory back to the system; takes a few milliseconds.

    glibc keeps it. The pictures of a console have megabytes, and smaller blocks between two of them
    keep their space in the heap: after forty consoles 48 MB were free and in use by nobody.
    """
    with contextlib.suppress(AttributeError):  # another C library
        _c_library().malloc_trim(0)


@cache
def _c_library() -> Any:  # noqa: ANN401  ctypes has no type for its functions
    """Return the C library; each `CDLL` makes classes, which only a garbage collection removes."""
    return ctypes.CDLL(None)
