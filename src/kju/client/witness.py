"""Telling others how a wait for the screen ended: a report does not ask a program to tell it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from ..surface.geometry import Rect
    from ..vision.looking import Watch


class Waited(NamedTuple):
    """A wait that is over.

    Attributes:
        what: What was waited for.
        region: Where; None is everywhere.
        began: When, on the clock of `time.monotonic`.
        ended: When it was over.
        found: What came of it; None if it ended otherwise.
        error: Why it ended otherwise.
        frame: The last frame that was looked at, whole; None if there was none.
    """

    what: str
    region: Rect | None
    began: float
    ended: float
    found: object
    error: BaseException | None
    frame: npt.NDArray[np.uint8] | None


#: Called with a wait that is over.
Witness: TypeAlias = Callable[[Waited], object]


@contextlib.contextmanager
def witnessed(witnesses: Iterable[Witness], watch: Watch[Any]) -> Iterator[None]:
    """Call the witnesses after the wait in this block, however it ends."""
    began = time.monotonic()
    try:
        yield
    except BaseException as error:
        _tell(witnesses, watch, began, error)
        raise
    _tell(witnesses, watch, began, None)


def _tell(
    witnesses: Iterable[Witness], watch: Watch[Any], began: float, error: BaseException | None
) -> None:
    found = watch.result if error is None else None
    ended = time.monotonic()
    waited = Waited(watch.what, watch.region, began, ended, found, error, watch.frame)
    for witness in witnesses:
        witness(waited)
