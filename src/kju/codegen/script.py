"""The script that repeats a person's steps.

Each step becomes one statement. Before it stands the wait for the text that has
appeared since the step before. A locator waits by itself, unless its place was on the screen
already before the last step.

- A text that is typed into the field that was just clicked makes one `fill` with the click: if the
  field is beside its label, or its old text was selected.
- The pointer's rest over a place is a `hover` if the screen has answered and a later step needs
  that: it uses a place that was not there before, or the new text is still shown.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from ..acting import Chord, Click, Drag, Move, MoveBy, Touch, Type, Wheel
from ..acting.logged import chord_words
from ..keys import NAMES, parse_chord
from .appearing import MIN_CHANGED, appeared, asks_for_password
from .forms import ScriptFrame, Statement, Style
from .places import ChosenPlace, choose_image, choose_place, quoted
from .steps import ScriptStep, is_drag

if TYPE_CHECKING:
    from ..vision.needle import Needle
    from .reading import ReadFrame

#: The variables of the environment from which a script reads passwords.
PASSWORD = "KJU_PASSWORD"  # noqa: S105  a name
# Chords that are written one by one; more are a list times a number.
_FEW = 3
# The chord by which `Locator.fill` selects the old text.
_SELECT_ALL = parse_chord("ctrl-a")
# The pointer's last rests that a step may need: the depth of nested menus.
_MAX_RESTS = 6


class Views(NamedTuple):
    """The screen around a step.

    Attributes:
        shown: When the step began.
        clear: Before the pointer was near its place.
        after: When the step was complete, for the echo of a text.
    """

    shown: ReadFrame
    clear: ReadFrame
    after: ReadFrame


class _Field(NamedTuple):
    """A field that was clicked last.

    Attributes:
        line: Number of the click's statement.
        locator: The expression of its locator.
        shown: The screen before the click.
        beside: It is beside its label.
        selected: Its old text was selected.
    """

    line: int
    locator: str
    shown: ReadFrame
    beside: bool
    selected: bool = False


class _Hover(NamedTuple):
    """A rest of the pointer that a step needs, the screen before it, and its statement."""

    step: ScriptStep
    before: ReadFrame
    codes: list[str]
    place: ChosenPlace | None


class Script:
    """A script that grows with each step.

    Attributes:
        notes: Remarks for the user, each once.
        statements: The lines, in order.
        style: The form of the script; it may be changed.
    """

    def __init__(
        self,
        name: str,
        save_image: Callable[[Needle], str],
        *,
        console: int = 0,
        style: Style = "script",
        passwords: bool = False,
    ) -> None:
        """Begin an empty script.

        Args:
            name: The machine's name.
            save_image: Saves an image beside the script, and returns the name of its file.
            console: Index of the screen.
            style: The form of the script.
            passwords: Write passwords into the script.
        """
        self.notes: dict[str, None] = {}
        self.statements: list[Statement] = []
        self._name, self._console = name, console
        self.style: Style = style
        self._save_image = save_image
        self._with_passwords = passwords
        self._passwords: list[str] = []
        self._has_images = False
        self._last: tuple[ScriptStep, ReadFrame] | None = None
        self._field: _Field | None = None
        self._rests: deque[tuple[ScriptStep, Views]] = deque(maxlen=_MAX_RESTS)

    # ---- Steps

    def add(self, step: ScriptStep, views: Views) -> list[str]:
        """Add a step; return its lines in the plain style.

        A line with `fill` replaces that of the click before it.
        """
        first = len(self.statements)
        if isinstance(step.input, Move):
            self._rests.append((step, views))
            return []
        field, self._field = self._field, None
        if isinstance(step.input, Type) and field is not None and self._fill(field, step, views):
            first = field.line
        else:
            codes, place = self._codes(step, views)
            self._hover(views.shown, place)
            self._wait(views.shown, step.began, place)
            self.statements += map(Statement, codes)
            self._note_field(field, step, views, place)
        self._rests.clear()
        self._last = step, views.shown
        if views.shown.missing:
            self.notes[views.shown.missing] = None
        return [each.code for each in self.statements[first:]]

    def end(self, shown: ReadFrame) -> list[str]:
        """Add the wait for the end's screen; return its lines."""
        first = len(self.statements)
        self._hover(shown, None)
        if self._last is not None:
            self._wait(shown, self._last[0].ended, None)
            self._last = None
        return [each.code for each in self.statements[first:]]

    def _note_field(
        self, field: _Field | None, step: ScriptStep, views: Views, place: ChosenPlace | None
    ) -> None:
        """Remember the field of a click, and that its text was selected."""
        match step.input:
            case Click(button="left", count=1, keys=()) if place is not None:
                code = self.statements[-1].code.removesuffix(".click()")
                last = len(self.statements) - 1
                self._field = _Field(last, code, views.shown, place.is_field)
            case Chord(numbers=keys) if field is not None and keys == _SELECT_ALL:
                self._field = field._replace(selected=step.times == 1)
            case _:
                pass

    def _fill(self, field: _Field, step: ScriptStep, views: Views) -> bool:
        """Replace the click on a field by a `fill` with the typed text, if that is the same."""
        if not (field.beside or field.selected) or not isinstance(step.input, Type):
            return False
        new = appeared(field.shown, views.shown)
        if new is not None and new.text is not None:
            return False  # the text is for what the click has opened
        text = self._text(step.input.text, step.input.layout, views)
        kept = "" if field.selected else ", select=None"
        self.statements[field.line :] = [Statement(f"{field.locator}.fill({text}{kept})")]
        return True

    def _hover(self, shown: ReadFrame, place: ChosenPlace | None) -> None:
        """Add the pointer's rests before this step that it needs, the last one first.

        A rest in a menu may need the rest that has opened the menu, and so on.
        """
        rests, hovers = list(self._rests), list[_Hover]()
        self._rests.clear()
        for step, views in reversed(rests):
            before = views.clear
            if place is not None:
                # The pixels first: reading a text takes longer.
                is_needed = bool(before.differs(shown, place.rect)) and not place.is_on(before)
            else:
                is_needed = not hovers and self._shows_text(before, shown)
            if is_needed:
                codes, place = self._codes(step, views)
                hovers.append(_Hover(step, before, codes, place))
                shown = views.shown
        for step, before, codes, over in reversed(hovers):
            self._wait(before, step.began, over)
            self.statements += map(Statement, codes)
            self._last, self._field = (step, before), None

    @staticmethod
    def _shows_text(before: ReadFrame, shown: ReadFrame) -> bool:
        """Check whether a text has appeared."""
        if before.differs(shown) < MIN_CHANGED and not shown.is_exact:
            return False
        new = appeared(before, shown)
        return new is not None and new.text is not None

    def _wait(self, shown: ReadFrame, time: float, place: ChosenPlace | None) -> None:
        """Add the wait for the text that has appeared since the last step."""
        if self._last is None:
            return
        step, before = self._last
        if place is not None and not place.is_on(before):
            return  # the locator waits for it
        typed = step.input.text if isinstance(step.input, Type) else ""
        new = appeared(before, shown, typed)
        if new is None:
            return
        if new.text is None and not self.statements[-1].code.startswith("screen.act("):
            # Stillness before the guest's answer would end the wait at once.
            self.statements[-1].marked = True
            self.statements.append(Statement("screen.after(mark)"))
        self.statements.append(Statement(new.code(time - step.ended)))

    def _codes(self, step: ScriptStep, views: Views) -> tuple[list[str], ChosenPlace | None]:
        """Return the statements of a step, and the place that its locator finds."""
        place: ChosenPlace | None = None
        match step.input:
            case Click() as click:
                if click.points:
                    place = choose_place(click.points[0], views.shown, views.clear)
                code = self._click(click, place)
            case Drag() as drag:
                code, place = self._drag(step, drag, views)
            case Type(text=text, layout=layout):
                code = f"screen.keyboard.type({self._text(text, layout, views)})"
            case Chord(numbers=keys):
                code = f"screen.keyboard.chord({_chords(keys, step.times)})"
            case Wheel() as wheel:
                return _wheel(wheel), None
            case Move(x=x, y=y):
                place = choose_place((x, y), views.shown, views.clear)
                code = f"screen.pointer.move({x}, {y})"
                if place is not None:
                    code = f"{self._locator(place)}.hover()"
            case MoveBy(dx=dx, dy=dy):
                code = f"screen.pointer.move_by({dx}, {dy})"
            case Touch(points=points, finger=finger):
                more = f", finger={finger}" if finger else ""
                code = f"screen.pointer.touch({', '.join(map(str, points))}{more})"
        return [code], place

    def _click(self, click: Click, place: ChosenPlace | None) -> str:
        values = [] if click.button == "left" else [f"button={quoted(click.button)}"]
        if place is None:
            if click.keys:
                self.notes["a click with held keys is at a pixel"] = None
                return f"screen.act({_acted(click)})"
            points = [str(number) for point in click.points for number in point]
            values = points + values + ([f"count={click.count}"] if click.count > 1 else [])
            return f"screen.pointer.click({', '.join(values)})"
        values += [f"keys=[{_keys(click.keys)}]"] if click.keys else []
        method = "click"
        if click.count == 2 and not click.keys:
            method = "double_click"
        elif click.count > 1:
            values.append(f"count={click.count}")
        return f"{self._locator(place)}.{method}({', '.join(values)})"

    def _drag(self, step: ScriptStep, drag: Drag, views: Views) -> tuple[str, ChosenPlace | None]:
        button = [] if drag.button == "left" else [f"button={quoted(drag.button)}"]
        if is_drag(step) and not drag.keys:
            # Images, because a drag's ends are pixels and not the middle of a text.
            begin, end = (choose_image(point, views.clear) for point in drag.points)
            if begin is not None and end is not None:
                values = ", ".join([self._locator(end), *button])
                return f"{self._locator(begin)}.drag_to({values})", begin
        if drag.keys:
            return f"screen.act({_acted(drag)})", None
        values = ", ".join([*(str(tuple(point)) for point in drag.points), *button])
        return f"screen.pointer.drag({values})", None

    def _locator(self, place: ChosenPlace) -> str:
        if place.needle is None:
            return place.code()
        self._has_images = True
        return place.code(f"IMAGES / {quoted(self._save_image(place.needle))}")

    def _text(self, text: str, layout: str, views: Views) -> str:
        more = "" if layout == "us" else f", layout={quoted(layout)}"
        secret, end = text.rstrip("\n"), "\n" if text.endswith("\n") else ""
        if self._with_passwords or not asks_for_password(views.shown, views.after, text):
            return f"{quoted(text)}{more}"
        if secret not in self._passwords:
            self._passwords.append(secret)
        number = self._passwords.index(secret) + 1
        variable = PASSWORD if number == 1 else f"{PASSWORD}_{number}"
        self.notes[
            f"a password was typed: the script reads it from the variable {variable}"
            " (--passwords writes it into the script)"
        ] = None
        return f"os.environ[{quoted(variable)}]" + (f" + {quoted(end)}" if end else "") + more

    def source(self, images: str) -> str:
        """Return the whole script.

        Args:
            images: Name of the folder with the images, beside the script.
        """
        frame = ScriptFrame(
            self._name,
            self._console,
            images if self._has_images else None,
            reads_environment=bool(self._passwords),
        )
        return frame.source(self.style, self.statements)


def _acted(done: Click | Drag) -> str:
    """Return the expression of an input for `act`."""
    if isinstance(done, Drag):
        points = [tuple(point) for point in done.points]
        return f"kju.acting.Drag({points}, {quoted(done.button)}, ({_keys(done.keys)},))"
    values = [repr(number) for point in done.points for number in point]
    values += [
        f"button={quoted(done.button)}",
        f"count={done.count}",
        f"keys=({_keys(done.keys)},)",
    ]
    return f"kju.acting.Click({', '.join(values)})"


def _wheel(wheel: Wheel) -> list[str]:
    if wheel.keys:
        x, y = wheel.points[0] if wheel.points else (None, None)
        turned = f"{wheel.vertical}, {wheel.horizontal}, {x}, {y}, ({_keys(wheel.keys)},)"
        return [f"screen.act(kju.acting.Wheel({turned}))"]
    sideways = f", {wheel.horizontal}" if wheel.horizontal else ""
    turn = f"screen.pointer.wheel({wheel.vertical}{sideways})"
    return [f"screen.pointer.move({x}, {y})" for x, y in wheel.points] + [turn]


def _keys(keys: Sequence[str | int]) -> str:
    return ", ".join(quoted(key) if isinstance(key, str) else str(key) for key in keys)


def _chords(keys: tuple[int, ...], times: int) -> str:
    """Return the arguments of `Keyboard.chord`."""
    named = all(key in NAMES for key in keys)
    one = quoted(chord_words(keys)) if named else repr(keys)
    return ", ".join([one] * times) if times <= _FEW else f"*[{one}] * {times}"
