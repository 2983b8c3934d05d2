"""A screen as the computer use tool of a model, for asyncio."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ...acting import Answer
from ...acting.answer import Times
from ...acting.inputs import AnyInput, Click
from ...client.aio.acting import FIRST, LIMIT, STILL
from ...client.aio.surface import Screen
from ...client.aio.waiting import run_blocking
from ...client.consumer.frame import Frame
from ...client.looks import mark_of
from ...surface.geometry import Area, Rect
from ..dialects import ActionError, Options, Plan, dialect_of
from ..labels import Labels, labels_of
from ..pictures import Picture, Size, View, picture_of, view_of

#: The largest picture by default: models reduce larger ones themselves.
SIZE = (1280, 800)
#: The most actions of one call.
MAX_ACTIONS = 100


class Outcome(NamedTuple):
    """The result of actions.

    Attributes:
        text: What happened, for the model.
        picture: The screen afterwards, or the part that was asked for.
        answer: The guest's answer to the inputs; None without any.
    """

    text: str
    picture: Picture
    answer: Answer[Frame] | None = None


class Computer:
    """A screen as the computer use tool of a model.

    It carries out the actions of a dialect as they are in the model's answer, and returns the
    screen when it has settled. Points are pixels of the last picture that was given out. All
    actions of a call are checked before any is sent. Needs the control role.

    Args:
        screen: The screen.
        dialect: ``computer_20250124`` or ``computer_20251124`` (Anthropic), ``openai``, or
            ``gym-anything``.
        size: The largest width and height of a picture; larger screens are given out smaller.
            None gives out every screen as it is.
        normalised: Points are 0 to 1000 of the picture's width and height.
        layout: The guest's keyboard layout.
        first: As of `kju.Screen.act`, for every call.
        still: The same.
        limit: The same.

    Raises:
        UsageError: The dialect is unknown.
    """

    def __init__(
        self,
        screen: Screen,
        dialect: str = "computer_20251124",
        *,
        size: tuple[int, int] | None = SIZE,
        normalised: bool = False,
        layout: str = "us",
        first: float = FIRST,
        still: float = STILL,
        limit: float = LIMIT,
    ) -> None:
        self.screen = screen
        self._dialect = dialect_of(dialect)
        self._most = size
        self._normalised = normalised
        self._layout = layout
        self._times = Times(first, still, limit)
        self._view: View | None = None
        self._pointer: tuple[int, int] | None = None
        self._labels: Labels | None = None

    @property
    def tool(self) -> dict[str, Any]:
        """The definition of the tool for a request to the model, with the size of the pictures."""
        return self._dialect.tool(*self._whole().size)

    async def do(self, actions: Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> Outcome:
        """Carry out one action, or several, and return the screen afterwards.

        Args:
            actions: As in the model's answer.

        Raises:
            UsageError: An action is not valid; nothing was sent. The message is for the model.
            InputError: The guest does not read its input.
            UnavailableError: The screen has no picture.
            RoleError: This client has the view role.
            MachineGoneError: The machine has ended.
        """
        several = [actions] if isinstance(actions, Mapping) else list(actions)
        if not 1 <= len(several) <= MAX_ACTIONS or not all(isinstance(a, Mapping) for a in several):
            raise ActionError(f"a call has 1 to {MAX_ACTIONS} actions, and each is a map")
        options = Options(self.view, self._layout)
        plans = [self._dialect.plan(action, options) for action in several]
        inputs = [one for plan in plans for one in plan.inputs]
        if any(getattr(one, "points", ()) for one in inputs):
            self.check_size()
        return await self._carry_out(plans[-1], inputs)

    @property
    def view(self) -> View:
        """The picture that was given out last; before the first one the whole screen now."""
        return self._view or self._whole()

    @property
    def times(self) -> Times:
        """The times of each answer, in seconds."""
        return self._times

    async def act(self, *inputs: AnyInput, times: Times | None = None) -> Outcome:
        """Send inputs, whose points are pixels of the screen, and return the screen afterwards.

        Args:
            inputs: As of `kju.Screen.act`.
            times: The times of this answer; by default those of every call.

        Raises:
            UsageError, InputError, RoleError, MachineGoneError: As of `kju.Screen.act`.
        """
        return await self._carry_out(Plan(), list(inputs), times)

    def check_size(self) -> None:
        """Check that the last picture is of the present size of the screen.

        Raises:
            ActionError: The guest has set another mode since.
        """
        if self.view.screen != self._size():
            raise ActionError(
                f"the screen is {self._size()} now, and the last picture is of"
                f" {self.view.screen}: take a screenshot before you point"
            )

    async def _carry_out(
        self, last: Plan, inputs: list[AnyInput], times: Times | None = None
    ) -> Outcome:
        answer: Answer[Frame] | None = None
        if inputs:
            first, still, limit = times or self._times
            answer = await self.screen.act(inputs, first=first, still=still, limit=limit)
            self._remember(inputs)
            frame = answer.frame
        else:
            frame = await self.screen.frame(consistent=True, sync=True)
        text = "the screen" if answer is None else answer.words
        if last.zoom is not None:
            picture = await self._zoomed(frame, last.zoom)
            return Outcome(f"{text}; a part of it, enlarged", picture, answer)
        if last.wants_position:
            text = self._position()
        self._view = view = self._whole(mark_of(frame))
        return Outcome(text, await self._picture(frame, view), answer)

    async def screenshot(self, region: Area | None = None, *, scale: float = 1.0) -> Picture:
        """Return the screen, or a part. The points of the next actions are pixels of it.

        Args:
            region: Pixels of the screen; everything by default.
            scale: The size of the picture as a share of the usual one, above 0 and at most 1.

        Raises:
            GeometryError: The region leaves the screen.
            UsageError: The scale is not a number above 0 and at most 1.
            UnavailableError: The screen has no picture.
        """
        frame = await self.screen.frame(consistent=True, sync=True)
        self._view = view = view_of(
            Size(frame.shape[1], frame.shape[0]), mark_of(frame), region=region,
            most=self._most, normalised=self._normalised, scale=scale,
        )  # fmt: skip
        return await self._picture(frame, view)

    async def part(self, region: Rect) -> Picture:
        """Return a part of the screen as it is now; points remain those of the last picture.

        Raises:
            GeometryError: The region leaves the screen.
            UnavailableError: The screen has no picture.
        """
        frame = await self.screen.frame(consistent=True, sync=True)
        return await self._zoomed(frame, region)

    # ---- Labels

    async def labels(self, *, language: str = "eng") -> Labels:
        """Return numbered labels on a picture of the screen; `click_label` takes the numbers.

        Without Tesseract only edges are labelled on a screen that is not a text console.

        Raises:
            MissingError: OpenCV is not installed.
            UnavailableError: The screen has no picture.
        """
        frame = await self.screen.frame(consistent=True, sync=True, pixels="bgrx")
        self._view = view = self._whole(mark_of(frame))
        self._labels = await run_blocking(labels_of, frame, view, language)
        return self._labels

    async def click_label(
        self, number: int, *, version: int | None = None, button: str = "left", count: int = 1
    ) -> Outcome:
        """Click a label of the newest picture with labels.

        Args:
            number: The number of the label.
            version: The version of the picture, ``labels.mark.version``; other labels are refused.
            button: The name of the button.
            count: 2 for a double click.

        Raises:
            UsageError: The picture has no such label, the labels are of another version, or the
                screen has changed at its place.
        """
        labels = self._labels
        if labels is None:
            raise ActionError("no labels were given out yet: ask for labels first")
        if version is not None and version != labels.mark.version:
            raise ActionError(
                f"the newest labels are of version {labels.mark.version}, not {version}: use these"
            )
        now = await self.screen.frame(consistent=True, sync=True, pixels="bgrx")
        point = await run_blocking(labels.point, number, now)
        return await self.act(Click(*point, button, count))

    # ---- Views

    def _size(self) -> Size:
        mode = self.screen.mode
        return Size(mode.width, mode.height)

    def _whole(self, mark: Any = None) -> View:  # noqa: ANN401  a Mark; None is the present one
        return view_of(
            self._size(), mark or self.screen.mark, most=self._most, normalised=self._normalised
        )

    async def _zoomed(self, frame: Frame, part: Rect) -> Picture:
        """Return a part of a frame; points remain those of the last whole picture."""
        size = Size(frame.shape[1], frame.shape[0])
        view = view_of(size, mark_of(frame), region=part, most=self._most)
        return await self._picture(frame, view)

    async def _picture(self, frame: Frame, view: View) -> Picture:
        """Return the picture of a view; scaling takes time."""
        if view.size == view.region[2:]:
            return picture_of(frame, view)
        return await run_blocking(picture_of, frame, view)

    def _remember(self, inputs: list[AnyInput]) -> None:
        for one in inputs:
            for point in getattr(one, "points", ())[-1:]:
                self._pointer = point

    def _position(self) -> str:
        """Return the position of the pointer, in points of the last picture."""
        point = self._pointer
        if point is None:
            cursor = self.screen.cursor
            point = (max(cursor.x, 0), max(cursor.y, 0))
        x, y = self.view.to_picture(*point)
        return f"X={x},Y={y}"
