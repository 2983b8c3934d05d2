"""Observations: the screen's pixels in a declared space, whatever mode the guest sets.

A picture of the declared size is copied from shared memory into the observation. One of another
size is scaled into it, or ends the episode: `ModeChange`. Without a picture, as during a change of
the mode, the last observation stays, and the info has the reason.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

import numpy as np
from gymnasium import Space, spaces

from ..client.consumer.frame import convert
from ..errors import GeometryError, InconsistentError, UnavailableError, UsageError
from ..surface import NOTHING_TAKEN, Mark, State
from ..surface.layout import MAX_SIDE

if TYPE_CHECKING:
    import numpy.typing as npt

    from ..client.surface import Screen

    Pixels: TypeAlias = npt.NDArray[np.uint8]

#: The kinds of observation.
Observation = Literal["rgb", "grey", "tiles"]
#: The effect of another mode within an episode.
ModeChange = Literal["scale", "truncate"]
#: The side of the squares of ``tiles``, in pixels.
TILE = 32
_NO_PICTURE = (UnavailableError, InconsistentError)


class Observer:
    """Reads observations of one screen.

    Args:
        kind: ``rgb``, ``grey`` or ``tiles``.
        size: Width and height of the observation.
        on_mode_change: The effect of another mode within an episode.
        scales: The size was chosen by the user, so the picture is scaled in any case.

    Attributes:
        space: The space of the observations.

    Raises:
        UsageError: An option is not valid.
    """

    def __init__(
        self, kind: Observation, size: tuple[int, int], on_mode_change: ModeChange, *, scales: bool
    ) -> None:
        if on_mode_change not in get_args(ModeChange):
            raise UsageError(
                f"on_mode_change must be scale or truncate, not {on_mode_change!r:.40}"
            )
        self.space: Space[Any] = observation_space(kind, size)
        self._kind: Observation = kind
        self._size = (int(size[0]), int(size[1]))
        self._truncates = on_mode_change == "truncate"
        self._scales = scales
        self._mode = self._size
        self._mark = NOTHING_TAKEN
        self._rendered: Pixels | None = None

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the observation."""
        return self._size

    def begin(self, screen: Screen) -> None:
        """Begin an episode: its mode is the present one, and everything has changed."""
        self._mode = _size_of(screen)
        self._mark = NOTHING_TAKEN

    def read(self, screen: Screen, out: Any, last: Any) -> dict[str, Any]:  # noqa: ANN401  of `space`
        """Write the observation.

        Args:
            screen: The screen.
            out: The memory of a value of `space`.
            last: The last observation, which may be *out*; None at the begin of an episode.

        Returns:
            The part of the info about the picture: the guest's ``width`` and ``height``;
            ``mode_change``, which is ``scaled`` or ``truncated`` if the guest has another mode than
            at the begin of the episode, else empty; ``no_picture``, the reason for an old one.
        """
        mode = _size_of(screen)
        changes = mode != self._mode and "scaled"
        if changes and self._truncates:
            changes = "truncated"
        info = {"width": mode[0], "height": mode[1], "mode_change": changes or "", "no_picture": ""}
        if self._kind == "tiles":
            _repeat(out, last)  # only what has changed is copied below
        try:
            if changes == "truncated":
                _repeat(out, last)
            elif self._kind == "tiles":
                self._read_tiles(screen, out["frame"], out["changed"])
            else:
                self._read_pixels(screen, out)
        except _NO_PICTURE as error:
            _repeat(out, last)
            info["no_picture"] = str(error)
        return info

    def render(self, screen: Screen) -> Pixels:
        """Return the whole screen, ``(height, width, 3)``, R G B.

        Without a picture it is the last one that was returned, or black before the first.
        """
        try:
            frame = np.array(screen.frame())
        except _NO_PICTURE:
            if self._rendered is None:
                width, height = self._mode
                return np.zeros((height, width, 3), np.uint8)
            return self._rendered.copy()
        self._rendered = frame if frame.ndim == 3 else np.repeat(frame[..., None], 3, 2)
        return self._rendered.copy()

    def _read_pixels(self, screen: Screen, out: Pixels) -> None:
        grey = self._kind == "grey"
        if not self._scales:
            try:
                target = out[..., 0] if grey else out
                screen.copy_into(target, pixels="grey" if grey else "rgb")
                return
            except GeometryError:
                pass  # another mode, or one byte a pixel
        frame = np.asarray(screen.frame(pixels="grey" if grey else "rgb"))
        _scale_into(out, frame)

    def _read_tiles(self, screen: Screen, out: Pixels, changed: npt.NDArray[np.int8]) -> None:
        """Copy the tiles that have changed since the last call, and mark them."""
        if screen.state[0] == State.UNAVAILABLE:
            screen.frame()  # raises the reason
        change = screen.changes_since(self._mark)
        if not change.rects:
            return
        if self._scales or _size_of(screen) != self._size:
            _scale_into(out, np.asarray(screen.frame()))
            changed[...] = 1
        else:
            view = screen.view()
            if view.shape[:2] != out.shape[:2]:
                raise InconsistentError("the guest is changing its mode")
            pixels = np.asarray(view)
            for rect in change.rects:
                rows, columns = slice(rect.y, rect.bottom), slice(rect.x, rect.right)
                part = convert(pixels[rows, columns], "rgb")
                out[rows, columns] = part if part.ndim == 3 else part[..., None]
                changed[
                    rect.y // TILE : -(-rect.bottom // TILE),
                    rect.x // TILE : -(-rect.right // TILE),
                ] = 1
        self._mark = Mark(*change.mark)


def observation_space(kind: Observation, size: tuple[int, int]) -> Space[Any]:
    """Return the space of observations.

    Args:
        kind: ``rgb``, ``grey`` or ``tiles``.
        size: Width and height.

    Raises:
        UsageError: An argument is not valid.
    """
    if kind not in get_args(Observation):
        raise UsageError(f"observation must be rgb, grey or tiles, not {kind!r:.40}")
    width, height = size
    if not (1 <= width <= MAX_SIDE and 1 <= height <= MAX_SIDE):
        raise UsageError(f"an observation cannot be {width}x{height}: use 1 to {MAX_SIDE}")
    channels = 1 if kind == "grey" else 3
    pixels = spaces.Box(0, 255, (int(height), int(width), channels), np.uint8)
    if kind != "tiles":
        return small(pixels)
    changed = spaces.MultiBinary([-(-height // TILE), -(-width // TILE)])
    return small(spaces.Dict(frame=pixels, changed=changed))


def small(space: Space[Any]) -> Space[Any]:
    """Make the bounds of pictures small: Gymnasium stores four arrays of a picture's shape."""
    if isinstance(space, spaces.Dict):
        for part in space.values():
            small(part)
    elif isinstance(space, spaces.Box) and space.dtype == np.uint8:
        for name in ("low", "high", "bounded_below", "bounded_above"):
            array = getattr(space, name)
            setattr(space, name, np.broadcast_to(array[(0,) * array.ndim], array.shape))
    return space


def _repeat(out: Any, last: Any) -> None:  # noqa: ANN401  of the space
    """Write the last observation again, without changed tiles; black without one."""
    if isinstance(out, dict):
        out["changed"][...] = 0
        _repeat(out["frame"], None if last is None else last["frame"])
    elif last is not out:
        out[...] = 0 if last is None else last


def _size_of(screen: Screen) -> tuple[int, int]:
    mode = screen.mode
    return mode.width, mode.height


def _scale_into(out: Pixels, frame: Pixels) -> None:
    """Scale a picture to the size of *out*; each pixel is the average of the area it covers."""
    from PIL import Image  # a guest in its declared mode never needs it

    height, width = out.shape[:2]
    if frame.shape[:2] != (height, width):
        image = Image.fromarray(frame).resize((width, height), Image.Resampling.BOX)
        frame = np.asarray(image)
    out[...] = frame if frame.ndim == 3 else frame[..., None]
