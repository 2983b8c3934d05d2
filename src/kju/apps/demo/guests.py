"""The demo's guests, and what is pressed in them. I/O-free but for looking whether they exist."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from ...errors import UsageError

_ROUNDS = 4


class Act(NamedTuple):
    """One thing to do.

    Attributes:
        after: Seconds to wait before.
        key: A chord to press; empty presses nothing.
        hold: Seconds to hold it down; 0 is one stroke.
    """

    after: float
    key: str = ""
    hold: float = 0.0


class Guest(NamedTuple):
    """A guest, and how to play with it.

    Attributes:
        title: For people.
        image: What it boots from.
        memory: Enough for it.
        first: Done once.
        then: Done after that.
        again: Done after some rounds of that, before more of them.
    """

    title: str
    image: str
    memory: str
    first: tuple[Act, ...]
    then: tuple[Act, ...]
    again: tuple[Act, ...] = ()

    def acts(self, *, repeat: bool) -> Iterator[Act]:
        """What to do, without end or once."""
        yield from self.first
        yield from self.then
        while repeat:
            for _ in range(_ROUNDS):
                yield from self.then
            yield from self.again


def _shots(*keys: str) -> tuple[Act, ...]:
    """To and fro, a shot at every stop."""
    return tuple(act for key in keys for act in (Act(0.3, key, 0.35), Act(0.1, "spc")))


#: Under TCG the game is on the screen after four seconds. Esc starts a new one, because the
#: invaders have landed after a minute.
_INVADERS = (Act(5), Act(0, "esc"))
_GAME = _shots(*["left"] * 4, *["right"] * 8, *["left"] * 4)
_LOOKING = (Act(5), Act(1, "shift"), Act(1, "shift"), Act(1, "shift"))

_MEMTEST = ("/boot/memtest86+x64.bin", "/boot/memtest86+.bin")


def find(name: str) -> Guest:
    """The guest of this name, or one made of an image's path.

    Raises:
        UsageError: It is not there; the message says how to get it.
    """
    if name == "invaders":
        image = _first(("/boot/invaders.exec",), "grub-invaders")
        return Guest("a game for text mode", image, "64M", _INVADERS, _GAME, (Act(0.5, "esc"),))
    if name == "memtest":
        image = _first(_MEMTEST, "memtest86+")
        return Guest("a memory test", image, "256M", _LOOKING, (Act(2, "shift"),))
    if not Path(name).exists():
        raise UsageError(f"there is no image {name}: name one, or invaders, or memtest")
    return Guest("your image", name, "1G", _LOOKING, (Act(10, "shift"),))


def _first(paths: tuple[str, ...], package: str) -> str:
    for path in paths:
        if Path(path).exists():
            return path
    raise UsageError(
        f"{paths[0]} is missing; on Debian install it with: apt install {package};"
        " or name an image of your own: --guest PATH"
    )
