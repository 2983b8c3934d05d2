"""Guests that are typed into: a shell on a text console, a graphical text field.

What has arrived in them comes back whole, through a serial line whose other end is a file.
"""

from __future__ import annotations

import abc
import base64
import contextlib
import random
import re
import string
from collections.abc import Iterator, Sequence
from pathlib import Path

import kju

from . import guests
from .monitor import Monitor
from .wait import until

CHARACTERS = string.ascii_letters + string.digits + " .,;:-_=+/()[]{}!@#$%&*?<>'\"\\|~"
#: A character's place in the editor's window that the pointer is not over.
INSIDE = (200, 400)
WHITE = [255, 255, 255]
BOOTED = 90.0
_SAVED = r"begin\n(.*?)end\n"


def sample(length: int, seed: int = 1) -> str:
    """So many characters, in lines of 70, of which the last one is ended."""
    rng = random.Random(seed)
    made = [rng.choice(CHARACTERS) if i % 70 else "\n" for i in range(1, length + 1)]
    return "".join([*made[:-1], "\n"])


class Typed(abc.ABC):
    """A guest that takes what is typed; a text is what comes between `begin` and `arrived`."""

    def __init__(self, machine: kju.Machine, monitor: Monitor, out: Path) -> None:
        self.machine = machine
        self.monitor = monitor
        self.keyboard = machine.keyboard
        self._out = out
        self._read = 0

    @abc.abstractmethod
    def begin(self) -> None:
        """From here on, what is typed is text."""

    @abc.abstractmethod
    def arrived(self) -> str:
        """The text that has arrived; nobody types any more."""

    def said(self, pattern: str) -> re.Match[str]:
        """Wait until the guest has said this, behind what was waited for before."""
        found: list[re.Match[str]] = []
        until(
            lambda: found.extend(filter(None, [self._heard(pattern)])) or found,
            f"the guest says {pattern!r}",
        )
        return found[0]

    def _heard(self, pattern: str) -> re.Match[str] | None:
        text = self._out.read_bytes().decode(errors="replace").replace("\r", "")
        found = re.compile(pattern, re.DOTALL).search(text, self._read)
        if found:
            self._read = found.end()
        return found

    def saved(self) -> str:
        """Wait until the guest has saved something, and return it."""
        return _decoded(self.said(_SAVED))

    def saved_already(self) -> str:
        """Return the next thing that the guest has saved; empty if that is nothing."""
        found = self._heard(_SAVED)
        return _decoded(found) if found else ""


def _decoded(saved: re.Match[str]) -> str:
    return base64.b64decode(saved[1]).decode(errors="replace")


class Shell(Typed):
    """A shell on a text console, whose lines are read by `cat`."""

    def begin(self) -> None:
        self.keyboard.type("stty -echo; echo reading >/dev/ttyS1; cat >/tmp/f; stty echo\n")
        self.said("reading\n")

    def arrived(self) -> str:
        self.keyboard.chord("ctrl-d")
        self.keyboard.type("{ echo begin; base64 /tmp/f; echo end; } >/dev/ttyS1\n")
        return self.saved()


class Field(Typed):
    """A GTK editor on an X server."""

    def begin(self) -> None:
        self.keyboard.chord("ctrl-a", "delete")

    def arrived(self) -> str:
        self.keyboard.chord("ctrl-s")
        return self.saved()


@contextlib.contextmanager
def _booted(
    guest: guests.Typed, ready: str, qemu: Path | None = None
) -> Iterator[tuple[kju.Machine, Monitor]]:
    folder = guest.out.parent
    monitor = Monitor(folder)
    arguments = [*guest.arguments, *monitor.arguments]
    program = {"qemu": str(qemu)} if qemu else {}
    with (
        kju.launch(args=arguments, name=folder.name[:20], **program) as machine,
        monitor,
        guests.Serial(guest) as serial,
    ):
        serial.wait(ready, BOOTED)
        yield machine, monitor


@contextlib.contextmanager
def shell(
    folder: Path, keyboard: str = "ps2", display: Sequence[str] = (), qemu: Path | None = None
) -> Iterator[Shell]:
    """A shell whose keyboard, one of `guests.KEYBOARDS`, is read.

    Args:
        folder: The folder of its files.
        keyboard: The keyboard.
        display: QEMU's arguments for a further display.
        qemu: The QEMU to run; the installed one by default.
    """
    guest = guests.shell(folder, keyboard, display)
    log = Path(f"{guest.serial}.log")
    with _booted(guest, "^kju: ready", qemu) as (machine, monitor):
        known = re.compile(rf"^kju: input .*{guest.name}.*[Kk]eyboard", re.MULTILINE)
        until(lambda: known.search(log.read_text().replace("\r", "")), f"{guest.name}")
        yield Shell(machine, monitor, guest.out)


@contextlib.contextmanager
def field(folder: Path, keyboard: str = "ps2") -> Iterator[Field]:
    """A text field whose window is shown."""
    guest = guests.field(folder, keyboard)
    with _booted(guest, "^kju: starting") as (machine, monitor):

        def shown() -> bool:
            picture = machine.screen.frame(sync=True, pixels="bgrx")
            return picture.shape[:2] == (480, 640) and picture[INSIDE][:3].tolist() == WHITE

        until(shown, "the editor's window")
        yield Field(machine, monitor, guest.out)
