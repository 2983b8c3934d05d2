"""Guests that receive typed text, and the differences from the sent text."""

from __future__ import annotations

import base64
import contextlib
import random
import re
import string
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from difflib import SequenceMatcher
from pathlib import Path

import kju
from kju import keys

from . import guests
from .monitor import Monitor

CHARACTERS = string.ascii_letters + string.digits + " .,;:-_=+/()[]{}!@#$%&*?<>'\"\\|~"
#: A place in the editor's window without the pointer.
INSIDE = (200, 400)
#: Differences with fewer characters between them count as one.
NEAR = 4
#: Seconds for Linux to set up a keyboard.
SET_UP = 5


def sample(length: int) -> str:
    """Return a number of characters in lines of 70, with a line end."""
    rng = random.Random(1)
    made = [rng.choice(CHARACTERS) if i % 70 else "\n" for i in range(1, length)]
    return "".join(made) + "\n"


def prose(length: int) -> str:
    """Return a number of characters of an English text: this project's own."""
    text = (Path(__file__).parent.parent / "README.md").read_text()
    plain = re.sub(r"[^\n -~]", "", text)
    return (plain * (1 + length // len(plain)))[: length - 1] + "\n"


class Target:
    """A guest with a keyboard; a text is typed between `begin` and `arrived`.

    Attributes:
        folder: Contains its output and the socket of its VNC server.
        monitor: QMP of its QEMU.
    """

    def __init__(self, folder: Path, machine: kju.Machine, field: bool) -> None:
        self.folder = folder
        self.keyboard = machine.keyboard
        self.monitor = Monitor(folder / "peer")
        self._machine = machine
        self._field = field
        self._read = 0

    def begin(self) -> None:
        """Begin a text."""
        if self._field:
            self.keyboard.chord("ctrl-a", "delete")
            return
        self.keyboard.type("stty -echo; echo reading >/dev/ttyS1; cat >/tmp/f; stty echo\n")
        self._until(r"reading\n")

    def mend(self) -> None:
        """Restore a keyboard after a peer has lost keys: some may still be pressed.

        For Linux, a release of left shift without a press means a keyboard that was just plugged
        in; it reads no keys until it has set that up.
        """
        time.sleep(SET_UP)
        for key in range(1, 0x59):
            if name := keys.NAMES.get(key):
                up = {"down": False, "key": {"type": "qcode", "data": name}}
                self.monitor.command("input-send-event", events=[{"type": "key", "data": up}])
                time.sleep(0.01)

    def arrived(self) -> str:
        """Return the received text."""
        # A press or release that a peer has lost also affects the next key.
        self.keyboard.chord("shift", "shift", "ret")
        if self._field:
            self.keyboard.chord("ctrl-s")
        else:
            self.keyboard.chord("ctrl-d")
            self.keyboard.type("{ echo begin; base64 /tmp/f; echo end; } >/dev/ttyS1\n")
        coded = self._until(r"begin\n(.*?)end\n")[1]
        return base64.b64decode(coded).decode(errors="replace").removesuffix("\n")

    def started(self, name: str) -> None:
        """Return when the guest reads this keyboard."""
        said = "kju: starting" if self._field else rf"kju: input [^\n]*{name}[^\n]*[Kk]eyboard"
        self._until(said, "said")
        if not self._field:
            return
        end = time.monotonic() + 90
        while time.monotonic() < end:
            picture = self._machine.screen.frame(sync=True, pixels="bgrx")
            if picture.shape[:2] == (480, 640) and picture[INSIDE][:3].tolist() == [255] * 3:
                return
            time.sleep(0.05)
        raise TimeoutError("the text field's window did not appear")

    def _until(self, pattern: str, name: str = "out") -> re.Match[str]:
        end, start = time.monotonic() + 120, self._read if name == "out" else 0
        while time.monotonic() < end:
            text = (self.folder / name).read_text(errors="replace").replace("\r", "")
            if found := re.compile(pattern, re.DOTALL).search(text, start):
                if name == "out":
                    self._read = found.end()
                return found
            time.sleep(0.05)
        raise TimeoutError(f"the guest did not say {pattern!r}")


@contextlib.contextmanager
def target(folder: str, field: bool, keyboard: str) -> Iterator[Target]:
    """Run a guest that reads this keyboard."""
    here = Path(tempfile.mkdtemp(dir=folder))
    lines = ["-qmp", f"unix:{here}/peer,server=on,wait=off", "-vnc", f"unix:{here}/vnc"]
    arguments = [*guests.typed(here, field, keyboard), *lines]
    with kju.launch(name="kju-bench-typing", args=arguments) as machine:
        made = Target(here, machine, field)
        with contextlib.closing(made.monitor):
            made.started(guests.KEYBOARDS[keyboard][1])
            yield made


def differences(typed: str, arrived: str) -> dict[str, int]:
    """Return the numbers of lost, doubled, reordered and additional characters."""
    counts = dict.fromkeys(("lost", "doubled", "reordered", "added"), 0)
    if typed == arrived:
        return counts
    lost, added, end = "", "", 0
    matcher = SequenceMatcher(None, typed, arrived, autojunk=False)
    for kind, a, b, c, d in [*matcher.get_opcodes(), ("end", len(typed) + NEAR, 0, 0, 0)]:
        if kind == "equal":
            continue
        if a - end >= NEAR:
            _count(lost, added, counts)
            lost = added = ""
        twice = kind == "insert" and set(arrived[c:d]) == {arrived[c - 1 : c]}
        counts["doubled"] += (d - c) * twice
        lost, added, end = lost + typed[a:b], added + arrived[c:d] * (not twice), b
    return counts


def _count(lost: str, added: str, counts: dict[str, int]) -> None:
    moved = (Counter(lost) & Counter(added)).total()
    counts["reordered"] += moved
    counts["lost"] += len(lost) - moved
    counts["added"] += len(added) - moved
