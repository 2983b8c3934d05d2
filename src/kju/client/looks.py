"""The checks of a screen, which take time but need no event loop, and the witnesses of waits."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, TypeVar

from ..errors import GeometryError, InconsistentError, UnavailableError
from ..surface import NOTHING_TAKEN, Mark
from ..surface.geometry import Area, Rect
from .consumer.base import SurfaceBase
from .consumer.frame import Frame

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from ..acting.locating import Located, Target
    from ..vision.finding import Found
    from ..vision.looking import Condition, Watch
    from ..vision.match import Match
    from ..vision.needle import Needle
    from ..vision.text import Text

    OneNeedle: TypeAlias = Needle | str | os.PathLike[str] | Frame

T = TypeVar("T")


def watch_for(
    condition: Condition[T], region: Area | None, timeout: float | None, since: Mark = NOTHING_TAKEN
) -> Watch[T]:
    """Return a wait that begins now."""
    from ..vision.looking import Watch

    where = None if region is None else Rect(*region)
    return Watch(condition, where, timeout, time.monotonic(), since)


def check(surface: SurfaceBase, watch: Watch[T]) -> None:
    """Check the newest frame. Takes as long as the condition does."""
    before = surface.mark
    try:
        frame = newest_frame(surface)
    except UnavailableError as error:
        watch.absent(str(error), before, time.monotonic())
        return
    assert frame.mode is not None  # noqa: S101  a surface sets it
    mark = mark_of(frame)
    change = surface.changes_since(watch.mark)
    watch.check(frame, frame.mode, mark, change, time.monotonic())


def mark_of(frame: Frame) -> Mark:
    """Return the state of the screen that a frame shows."""
    epoch = frame.mode.epoch if frame.mode else 0
    return Mark(frame.incarnation, epoch, frame.version)


def newest_frame(surface: SurfaceBase) -> Frame:
    """Copy one version; of a producer that never pauses, tiles of neighbouring versions."""
    try:
        return surface._copy_frame(consistent=True)
    except InconsistentError:
        return surface._copy_frame()


def image_condition(
    needle: OneNeedle | Sequence[OneNeedle], region: Area | None, similarity: float | None
) -> Condition[Match]:
    """Return the condition of `Surface.wait_image`; reads the needles' files."""
    from ..vision.match import Shows
    from ..vision.needle import needles_of

    return Shows(needles_of(needle), None if region is None else Rect(*region), similarity)


def find_image(
    surface: SurfaceBase,
    needle: OneNeedle | Sequence[OneNeedle],
    region: Area | None,
    similarity: float | None,
) -> Match | None:
    """Return the place of a needle in the present frame, or None."""
    from ..vision.looking import Seen

    condition = image_condition(needle, region, similarity)
    frame, where = _whole_and_part(surface, region)
    assert frame.mode is not None  # noqa: S101  a surface sets it
    mark = mark_of(frame)
    return condition.check(Seen(frame, where, None, time.monotonic(), mark, frame.mode))


def locate(target: Target, what: str, enough: Callable[[int], bool], one: bool) -> Located:
    """Return the condition of a locator; reads the files of needles."""
    from ..acting.locating import Located

    return Located(target, what, enough, one=one)


def find_places(surface: SurfaceBase, target: Target) -> list[Found]:
    """Return the places of a target in the present frame."""
    from ..acting.locating import Search
    from ..vision.looking import Seen

    frame = newest_frame(surface)
    assert frame.mode is not None  # noqa: S101  a surface sets it
    mark = mark_of(frame)
    seen = Seen(frame, frame.mode.whole, None, time.monotonic(), mark, frame.mode)
    return list(Search(target).find(seen))


def read_text(surface: SurfaceBase, region: Area | None, language: str) -> Text:
    """Read the text in a part of the present frame."""
    from ..vision.ocr import read

    frame, where = _whole_and_part(surface, region)
    return read(frame, where, language)


def _whole_and_part(surface: SurfaceBase, region: Area | None) -> tuple[Frame, Rect]:
    from ..vision.areas import check_rect

    frame = surface._copy_frame()
    whole = Rect(0, 0, frame.shape[1], frame.shape[0])
    where = whole if region is None else check_rect(region, "the region")
    if not whole.contains(where):
        raise GeometryError(f"{where} leaves the {whole.width}x{whole.height} surface")
    return frame, where


# ---- Witnesses


class Waited(NamedTuple):
    """A wait that has ended.

    Attributes:
        what: The condition, such as ``the text 'login:'``.
        region: Its rectangle; None is everything.
        began: Time of its begin, on the clock of `time.monotonic`.
        ended: Time of its end.
        found: Its result; None if it failed.
        error: The error if it failed.
        frame: The last frame that was checked, whole; None without one.
    """

    what: str
    region: Rect | None
    began: float
    ended: float
    found: object
    error: BaseException | None
    frame: npt.NDArray[np.uint8] | None


#: Called with a wait that has ended.
Witness: TypeAlias = Callable[[Waited], object]


@contextlib.contextmanager
def witnessed(witnesses: Iterable[Witness], watch: Watch[Any]) -> Iterator[None]:
    """Call the witnesses after the wait in this block, however it ends."""
    began, failure = time.monotonic(), None
    try:
        yield
    except BaseException as error:
        failure = error
        raise
    finally:
        found = watch.result if failure is None else None
        waited = Waited(
            watch.what, watch.region, began, time.monotonic(), found, failure, watch.frame
        )
        for witness in witnesses:
            witness(waited)
