"""Actions: each kind has a space, and turns one of its values into inputs.

An action is checked before anything is sent. `HeldKeyActions`, and `ChordActions` with ``hold``,
leave keys down between two steps; `reset` and `close` of the environment release them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from gymnasium import Space, spaces

from ..acting.inputs import AnyInput, Chord, Click, KeyDown, KeyUp, Move, Type
from ..agents.dialects import DIALECTS, Options, dialect_of
from ..agents.pictures import Size, view_of
from ..errors import UsageError
from ..keys import layout as keyboard_layout
from ..keys import parse_chord
from ..surface import NOTHING_TAKEN


class ActionContext(NamedTuple):
    """The facts that an action may depend on.

    Attributes:
        size: Width and height of the guest's screen.
        held: The keys that the environment holds down.
    """

    size: tuple[int, int]
    held: tuple[int, ...] = ()


class Actions(Protocol):
    """One kind of actions."""

    @property
    def space(self) -> Space[Any]:
        """The space of the actions."""

    def inputs(self, action: Any, context: ActionContext, /) -> Sequence[AnyInput]:  # noqa: ANN401
        """Return the inputs of an action that is in the space.

        Raises:
            UsageError: The action is not valid.
        """


def _held_instead(wanted: Sequence[int], held: Sequence[int]) -> list[AnyInput]:
    """Return the inputs after which just these keys are down."""
    released = [KeyUp(key) for key in reversed(held) if key not in wanted]
    return [*released, *(KeyDown(key) for key in wanted if key not in held)]


class ChordActions:
    """Choose one of several chords: a ``Discrete`` space.

    Args:
        chords: Names such as ``"left"`` or ``"ctrl-alt-f2"``; ``""`` presses nothing.
        hold: The keys stay down until another action, as of a game's controller. Otherwise they are
            pressed and released at each step, as in a menu.

    Raises:
        UsageError: The list of chords is empty, or a key is unknown.
    """

    def __init__(self, *chords: str, hold: bool = True) -> None:
        if not chords:
            raise UsageError("name the chords, such as ChordActions('', 'left', 'right')")
        self._chords = [parse_chord(chord) if chord else () for chord in chords]
        self._hold = hold
        self.space: Space[Any] = spaces.Discrete(len(chords))

    def inputs(self, action: int, context: ActionContext) -> Sequence[AnyInput]:
        """Return the presses and releases of a chord."""
        chord = self._chords[int(action)]
        if self._hold:
            return _held_instead(chord, context.held)
        return [Chord(tuple(chord))] if chord else []


class HeldKeyActions:
    """Choose for each key whether it is down: a ``MultiBinary`` space.

    Args:
        keys: Names, such as ``"left"``.

    Raises:
        UsageError: The list of keys is empty, or a key is unknown.
    """

    def __init__(self, *keys: str) -> None:
        if not keys:
            raise UsageError("name the keys, such as HeldKeyActions('left', 'right', 'spc')")
        self._keys = [key for name in keys for key in parse_chord(name)]
        if len(self._keys) != len(keys):
            raise UsageError("HeldKeyActions takes single keys; for chords use ChordActions")
        self.space: Space[Any] = spaces.MultiBinary(len(keys))

    def inputs(self, action: Sequence[int], context: ActionContext) -> Sequence[AnyInput]:
        """Return the presses and releases."""
        wanted = [key for key, down in zip(self._keys, action, strict=True) if down]
        return _held_instead(wanted, context.held)


class PointerActions:
    """Move the pointer, and click: a ``Dict`` space.

    ``point`` is two numbers from 0 to 1, of the screen's width and height; ``button`` is 0 to move
    only, or the place of a button from 1 on.

    Args:
        buttons: The names of the buttons.
    """

    def __init__(self, buttons: Sequence[str] = ("left",)) -> None:
        self._buttons = tuple(buttons)
        for button in self._buttons:
            Click(button=button)  # checks the name
        self.space: Space[Any] = spaces.Dict(
            point=spaces.Box(0.0, 1.0, (2,), np.float32),
            button=spaces.Discrete(1 + len(self._buttons)),
        )

    def inputs(self, action: Mapping[str, Any], context: ActionContext) -> Sequence[AnyInput]:
        """Return the move or the click."""
        x, y = (
            min(int(share * side), side - 1)
            for share, side in zip(action["point"], context.size, strict=True)
        )
        button = int(action["button"])
        return [Click(x, y, self._buttons[button - 1]) if button else Move(x, y)]


#: The printable characters of ASCII, and the line end.
ASCII = "".join(map(chr, range(32, 127))) + "\n"


class TextActions:
    r"""Type a text: a ``Text`` space. The empty text types nothing.

    Args:
        max_length: Characters.
        characters: Those that may occur; by default those of ASCII and ``"\n"``, the enter key.
        layout: The guest's keyboard layout.

    Raises:
        UsageError: The layout is unknown, or it lacks characters.
    """

    def __init__(
        self, max_length: int = 64, *, characters: str = ASCII, layout: str = "us"
    ) -> None:
        keyboard_layout(layout).strokes(characters)
        self._layout = layout
        self.space: Space[Any] = spaces.Text(max_length, min_length=0, charset=characters)

    def inputs(self, action: str, context: ActionContext) -> Sequence[AnyInput]:
        """Return the text."""
        return [Type(action, self._layout)] if action else []


class ActionMapSpace(Space[Any]):
    """The actions of a dialect: a map, or a list of maps. Its samples take a screenshot.

    Args:
        sample: An action that changes nothing.
    """

    def __init__(self, sample: Mapping[str, Any]) -> None:
        super().__init__(None, None)
        self._sample = dict(sample)

    @property
    def is_np_flattenable(self) -> bool:
        """False: a map has no fixed size."""
        return False

    def sample(self, mask: Any = None, probability: Any = None) -> Any:  # noqa: ANN401
        """Return the action that changes nothing."""
        return dict(self._sample)

    def contains(self, x: Any) -> bool:  # noqa: ANN401
        """Return whether a value is a map or a list of maps; the dialect checks the rest."""
        several = [x] if isinstance(x, Mapping) else x
        return isinstance(several, list | tuple) and all(isinstance(a, Mapping) for a in several)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ActionMapSpace) and self._sample == other._sample

    def __hash__(self) -> int:
        return hash(tuple(sorted(self._sample)))


#: An action of each dialect that changes nothing.
_IDLE: dict[str, dict[str, Any]] = {
    "openai": {"type": "screenshot"},
    "gym-anything": {},
}


class DialectActions:
    """Carry out the actions of a model's dialect, as they are in its answer.

    Points are pixels of the guest's screen.

    Args:
        dialect: A name in `kju.agents.DIALECTS`.
        normalised: Points are 0 to 1000 of the screen's width and height.
        layout: The guest's keyboard layout.

    Raises:
        UsageError: The dialect is unknown.
    """

    def __init__(self, dialect: str, *, normalised: bool = False, layout: str = "us") -> None:
        self._dialect = dialect_of(dialect)
        self._normalised = normalised
        self._layout = layout
        self.space: Space[Any] = ActionMapSpace(_IDLE.get(dialect, {"action": "screenshot"}))

    def inputs(
        self, action: Mapping[str, Any] | Sequence[Mapping[str, Any]], context: ActionContext
    ) -> Sequence[AnyInput]:
        """Return the inputs of one action or several."""
        several = [action] if isinstance(action, Mapping) else action
        view = view_of(Size(*context.size), NOTHING_TAKEN, most=None, normalised=self._normalised)
        options = Options(view, self._layout)
        plans = [self._dialect.plan(each, options) for each in several]
        return [one for plan in plans for one in plan.inputs]


def held_after(inputs: Sequence[AnyInput], held: Sequence[int]) -> tuple[int, ...]:
    """Return the keys that are down after inputs."""
    down = dict.fromkeys(held)
    for one in inputs:
        if isinstance(one, KeyDown):
            down |= dict.fromkeys(parse_chord(one.key) if isinstance(one.key, str) else (one.key,))
        elif isinstance(one, KeyUp):
            for key in parse_chord(one.key) if isinstance(one.key, str) else (one.key,):
                down.pop(key, None)
    return tuple(down)


def checked(space: Space[Any], action: Any) -> None:  # noqa: ANN401
    """Check that an action is in the space.

    Raises:
        UsageError: It is not.
    """
    if not space.contains(action):
        raise UsageError(f"{action!r:.80} is not an action: nothing was sent; the space is {space}")


__all__ = [
    "ASCII",
    "DIALECTS",
    "ActionContext",
    "ActionMapSpace",
    "Actions",
    "ChordActions",
    "DialectActions",
    "HeldKeyActions",
    "PointerActions",
    "TextActions",
]
