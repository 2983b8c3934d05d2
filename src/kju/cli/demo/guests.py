"""The demo's guests, and the keys that the demo presses in them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from ...errors import UsageError
from ...guests import sample

_ROUNDS = 4
#: The sample guest's name for `find`.
LINUX = "linux"


class Act(NamedTuple):
    """One step of the demo.

    Attributes:
        after: Seconds to wait first.
        key: Chord to press; empty for none.
        hold: Seconds to hold it; 0 for one stroke.
        shows: Text to wait for first; empty for none.
        text: Text to type; empty for none.
    """

    after: float
    key: str = ""
    hold: float = 0.0
    shows: str = ""
    text: str = ""


class Guest(NamedTuple):
    """A guest, and the steps of its demo.

    Attributes:
        title: Its description.
        image: Path of its image.
        memory: Its memory.
        first: Steps at the beginning.
        then: Steps that are repeated.
        again: Steps between some rounds of those.
        arguments: QEMU's, besides those that the image and the memory make.
    """

    title: str
    image: str
    memory: str
    first: tuple[Act, ...]
    then: tuple[Act, ...]
    again: tuple[Act, ...] = ()
    arguments: tuple[str, ...] = ()

    def acts(self, *, repeat: bool) -> Iterator[Act]:
        """Yield the steps, once or without end."""
        yield from self.first
        yield from self.then
        while repeat:
            for _ in range(_ROUNDS):
                yield from self.then
            yield from self.again


def _shots(*keys: str) -> tuple[Act, ...]:
    """Return moves with a shot after each."""
    return tuple(act for key in keys for act in (Act(0.3, key, 0.35), Act(0.1, "spc")))


#: Under TCG the game is on the screen after four seconds. Esc starts a new one, because the
#: invaders have landed after a minute.
_INVADERS = (Act(5), Act(0, "esc"))
_GAME = _shots(*["left"] * 4, *["right"] * 8, *["left"] * 4)
_LOOKING = (Act(5), Act(1, "shift"), Act(1, "shift"), Act(1, "shift"))

#: Each step waits for the prompt, so that the guest's speed does not matter.
_LOGIN = (Act(0, shows="login:", text="root\n"),)
_SHELL = tuple(
    Act(1, shows="root@kju:", text=f"{line}\n")
    for line in ("uname -a", "free -m", "cal", "ls /bin | head -n 20", "clear")
)

_MEMTEST = ("/boot/memtest86+x64.bin", "/boot/memtest86+.bin")


def find(name: str) -> Guest:
    """Return the guest of this name, or one made of an image's path.

    The sample guest is built if it has not been before, with its progress on standard output.

    Raises:
        UsageError: It is missing; the message says how to get it.
        GuestError: The sample guest cannot be built.
    """
    if name == LINUX:
        image = str(sample.build(print_progress))
        # Several demos may run, and the disk stays as it was built.
        unchanged = ("-snapshot",)
        title = "a small Linux"
        return Guest(title, image, sample.MEMORY, _LOGIN, _SHELL, arguments=unchanged)
    if name == "invaders":
        image = _first(("/boot/invaders.exec",), "grub-invaders")
        return Guest("a game for text mode", image, "64M", _INVADERS, _GAME, (Act(0.5, "esc"),))
    if name == "memtest":
        image = _first(_MEMTEST, "memtest86+")
        return Guest("a memory test", image, "256M", _LOOKING, (Act(2, "shift"),))
    if not Path(name).exists():
        raise UsageError(
            f"the image {name} does not exist; use a path, or invaders, linux or memtest"
        )
    return Guest("your image", name, "1G", _LOOKING, (Act(10, "shift"),))


def print_progress(words: str) -> None:
    """Print one line of progress of building the sample guest."""
    print(f"sample guest: {words}", flush=True)


def _first(paths: tuple[str, ...], package: str) -> str:
    for path in paths:
        if Path(path).exists():
            return path
    raise UsageError(
        f"{paths[0]} is missing; on Debian install it with: apt install {package};"
        " or name an image of your own: --guest PATH"
    )
