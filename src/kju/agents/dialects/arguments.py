"""The arguments of a model's action, checked; and the plan of an action."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

from ...acting.checks import MAX_SECONDS, is_whole
from ...acting.inputs import AnyInput
from ...errors import UsageError
from ...surface.geometry import Rect
from ..pictures import View

#: The longest text of one action, in characters: a guest takes some 300 a second.
MAX_TEXT = 10_000


class ActionError(UsageError):
    """An action of a model cannot be carried out; nothing was sent. The model may read why."""


class Plan(NamedTuple):
    """The effect of an action.

    Attributes:
        inputs: To be sent, in order.
        zoom: The part of the screen to show in place of the whole.
        wants_position: The position of the pointer is asked for.
        wants_picture: A picture is asked for, without an input.
    """

    inputs: tuple[AnyInput, ...] = ()
    zoom: Rect | None = None
    wants_position: bool = False
    wants_picture: bool = False


@dataclass(frozen=True)
class Options:
    """The facts that a dialect needs besides the action.

    Attributes:
        view: The picture that the model was given last.
        layout: The guest's keyboard layout.
    """

    view: View
    layout: str = "us"


class Arguments:
    """The arguments of one action; each is read once, and unknown ones are an error."""

    def __init__(self, name: str, values: Mapping[str, Any], view: View) -> None:
        self.name = name
        self._values = values
        self._view = view
        self._read: set[str] = set()

    def _get(self, key: str) -> Any:  # noqa: ANN401  a value of a JSON document
        self._read.add(key)
        return self._values.get(key)

    def finish(self) -> None:
        """Refuse arguments that were not read.

        Raises:
            ActionError: There is one; the message lists the known ones.
        """
        unknown = [key for key, value in self._values.items() if key not in self._read]
        unknown = [key for key in unknown if self._values[key] is not None]
        if unknown:
            known = ", ".join(sorted(self._read)) or "no arguments"
            raise ActionError(f"{self.name} has no argument {unknown[0]!r:.40}: it takes {known}")

    def has(self, key: str) -> bool:
        """Check whether an argument was given."""
        return self._get(key) is not None

    def point(self, key: str) -> tuple[int, int]:
        """Return the screen's pixel of a required point.

        Raises:
            ActionError: It is missing.
            GeometryError: It is not inside the picture.
        """
        if not self.has(key):
            raise ActionError(f"{self.name} needs {key}: [x, y]; {self._view.range_words}")
        return self._as_point(self._get(key), key)

    def optional_point(self, key: str) -> tuple[int, int] | None:
        """Return the screen's pixel of a point; None where it was not given."""
        return self._as_point(self._get(key), key) if self.has(key) else None

    def _as_point(self, value: Any, key: str) -> tuple[int, int]:  # noqa: ANN401  as above
        """Return the screen's pixel of a point of the picture: a pair, or a map of x and y.

        Raises:
            ActionError: It is neither.
            GeometryError: It is not inside the picture.
        """
        if isinstance(value, Mapping) and set(value) == {"x", "y"}:
            value = [value["x"], value["y"]]
        if not isinstance(value, Sequence) or isinstance(value, str) or len(value) != 2:
            raise ActionError(f"{key} of {self.name} is [x, y], not {value!r:.60}")
        return self._view.to_screen(*value)

    def xy(self) -> tuple[int, int]:
        """Return the screen's pixel of the required arguments ``x`` and ``y``.

        Raises:
            ActionError: One is missing.
            GeometryError: The point is not inside the picture.
        """
        if not (self.has("x") and self.has("y")):
            raise ActionError(f"{self.name} needs x and y; {self._view.range_words}")
        return self._view.to_screen(self._get("x"), self._get("y"))

    def region(self, key: str) -> Rect:
        """Return the part of the screen of a required region of the picture.

        Raises:
            ActionError: It is missing, or not four numbers.
            GeometryError: It is empty or not inside the picture.
        """
        value = self._get(key)
        if not isinstance(value, Sequence) or isinstance(value, str) or len(value) != 4:
            raise ActionError(
                f"{self.name} needs {key}: [x0, y0, x1, y1], the left upper corner and the right"
                f" lower one; {self._view.range_words}"
            )
        x0, y0, x1, y1 = value
        return self._view.to_region((x0, y0, x1, y1))

    def text(self, key: str = "text") -> str:
        """Return a required text.

        Raises:
            ActionError: It is missing, no text, or too long.
        """
        value = self._get(key)
        if not isinstance(value, str) or not value:
            raise ActionError(f"{self.name} needs {key}: a text")
        if len(value) > MAX_TEXT:
            raise ActionError(
                f"{key} of {self.name} has {len(value)} characters: send at most {MAX_TEXT} in one"
                " action, and look at the screen between two"
            )
        return value

    def optional_text(self, key: str) -> str | None:
        """Return a text; None where it was not given."""
        return self.text(key) if self.has(key) else None

    def choice(self, key: str, allowed: Collection[str], default: str | None = None) -> str:
        """Return one of several words.

        Raises:
            ActionError: It is another word, or missing without a default.
        """
        value = self._get(key)
        if value is None and default is not None:
            return default
        if not isinstance(value, str) or value not in allowed:
            raise ActionError(
                f"{key} of {self.name} is one of {', '.join(allowed)}, not {value!r:.40}"
            )
        return value

    def number(self, key: str, low: float, high: float, default: float | None = None) -> float:
        """Return a number in a range.

        Raises:
            ActionError: It is not one, or missing without a default.
        """
        value = self._get(key)
        if value is None and default is not None:
            return default
        valid = isinstance(value, int | float) and not isinstance(value, bool)
        if not valid or not math.isfinite(value) or not low <= value <= high:
            raise ActionError(
                f"{key} of {self.name} is a number from {low:g} to {high:g}, not {value!r:.40}"
            )
        return float(value)

    def whole(self, key: str, low: int, high: int) -> int:
        """Return a required whole number in a range.

        Raises:
            ActionError: It is missing, or not one.
        """
        value = self._get(key)
        if not is_whole(value) or not low <= value <= high:
            raise ActionError(
                f"{key} of {self.name} is a whole number from {low} to {high}, not {value!r:.40}"
            )
        return int(value)

    def flag(self, key: str, *, default: bool) -> bool:
        """Return True or False.

        Raises:
            ActionError: It is something else.
        """
        value = self._get(key)
        if value is not None and not isinstance(value, bool):
            raise ActionError(f"{key} of {self.name} is true or false, not {value!r:.40}")
        return default if value is None else value

    def maps(self, key: str, most: int) -> list[Mapping[str, Any]]:
        """Return a required list of maps.

        Raises:
            ActionError: It is missing, empty, too long, or something else.
        """
        value = self._get(key)
        is_list = isinstance(value, Sequence) and not isinstance(value, str)
        if not is_list or not 1 <= len(value) <= most:
            raise ActionError(f"{self.name} needs {key}: a list of 1 to {most} maps")
        if not all(isinstance(each, Mapping) for each in value):
            raise ActionError(f"each of the {key} of {self.name} is a map")
        return list(value)

    def seconds(self, key: str, default: float | None = None) -> float:
        """Return a time in seconds.

        Raises:
            ActionError: It is not 0 to 300, or missing without a default.
        """
        return self.number(key, 0, MAX_SECONDS, default)

    def texts(self, key: str) -> list[str]:
        """Return a required list of texts; one text is a list of one.

        Raises:
            ActionError: It is missing, empty, or something else.
        """
        value = self._get(key)
        if isinstance(value, str):
            value = [value]
        if (
            not isinstance(value, Sequence)
            or not value
            or not all(isinstance(each, str) and each for each in value)
        ):
            raise ActionError(f"{self.name} needs {key}: a list of names, not {value!r:.60}")
        return list(value)

    def mapping(self, key: str) -> Mapping[str, Any]:
        """Return a required map.

        Raises:
            ActionError: It is missing, or something else.
        """
        value = self._get(key)
        if not isinstance(value, Mapping):
            raise ActionError(f"{key} of {self.name} is a map, not {value!r:.60}")
        return value

    def points(self, key: str, least: int, most: int) -> list[tuple[int, int]]:
        """Return the screen's pixels of a required list of points.

        Raises:
            ActionError: It is missing, or has another number of points.
            GeometryError: A point is not inside the picture.
        """
        value = self._get(key)
        if not isinstance(value, Sequence) or isinstance(value, str):
            raise ActionError(f"{self.name} needs {key}: a list of points")
        if not least <= len(value) <= most:
            raise ActionError(
                f"{key} of {self.name} has {least} to {most} points, not {len(value)}"
            )
        return [self._as_point(each, key) for each in value]


#: Turns the arguments of an action into a plan.
Handler: TypeAlias = Callable[[Arguments, Options], Plan]


def planned(
    table: Mapping[str, Handler], name: object, values: Mapping[str, Any], options: Options
) -> Plan:
    """Return the plan of one action of a table.

    Raises:
        ActionError: The action or an argument is unknown or not valid.
        UsageError: A key is unknown, or the layout lacks a character.
        GeometryError: A point is not inside the picture.
    """
    handler = table.get(name) if isinstance(name, str) else None
    if handler is None:
        raise ActionError(f"unknown action {name!r:.40}: choose {', '.join(table)}")
    arguments = Arguments(str(name), values, options.view)
    plan = handler(arguments, options)
    arguments.finish()
    return plan
