"""Paste as typing into a real guest that reports its keys."""

from __future__ import annotations

import random
import re

import pytest
from support.paint_guest import Guest
from support.posts import Posts
from support.wait import until

from kju.viewers.tools.paste import PastePlan
from kju.viewers.tools.paste_run import PasteResult, PasteRun, PasteTarget

pytestmark = [pytest.mark.qemu]

#: Points in a text of 10,000 characters at which it is cancelled.
TIMES = 100
#: The guest's number of a key that no text has.
F12 = 88


class Paste:
    """A paste into the guest."""

    def __init__(self, guest: Guest, plan: PastePlan) -> None:
        self.posts = Posts()
        self.progress: list[int] = [0]
        self.ends: list[PasteResult] = []
        target = PasteTarget(guest.machine.name)
        self.run = PasteRun({target: plan}, self.posts.post, self.progress.append, self.ends.append)

    def until_typed(self, wanted: int) -> None:
        until(lambda: min(self.run._typed.values()) >= wanted, what=f"{wanted} characters")

    def end(self) -> PasteResult:
        self.posts.until(lambda: self.ends, "the end of the paste")
        return self.ends[0]


def down_in_guest(guest: Guest) -> set[int]:
    """Return the keys that are down as the guest reports them, after all that was sent."""
    guest.machine.keyboard.press("f12")
    guest.serial.wait(f"^kju: key {F12} down$")
    guest.machine.keyboard.release("f12")
    guest.serial.wait(f"^kju: key {F12} up$")
    text = guest.serial._log.read_text(errors="replace")
    state: dict[int, str] = {}
    for key, what in re.findall(r"kju: key (\d+) (down|up)", text):
        state[int(key)] = what
    return {key for key, what in state.items() if what == "down"}


def test_cancelled_paste_leaves_no_key_down(guest: Guest):
    """Every other character needs shift, so that shift goes down and up all the time."""
    plan = PastePlan.make("aBcD" * 2500, "us")
    rng = random.Random(1)
    for number in range(TIMES):
        paste = Paste(guest, plan)
        # Anywhere within a request: after some characters, and up to two round trips later.
        paste.until_typed(rng.randrange(0, 40))
        for _ in range(rng.randrange(3)):
            guest.console()
        paste.run.cancel()
        end = paste.end()
        assert end.cancelled and not end.errors, f"paste {number}: {end}"
        assert guest.console()["keys_held"] == []
        if number % 10 == 9:
            assert down_in_guest(guest) == set(), f"paste {number}"


def test_paste_types_the_whole_text(guest: Guest):
    before = len(guest.serial._log.read_text(errors="replace"))
    paste = Paste(guest, PastePlan.make("Hello\n", "us"))
    end = paste.end()
    assert end.words == "typed 6 characters"
    assert down_in_guest(guest) == set()
    said = guest.serial._log.read_text(errors="replace")[before:]
    keys = [int(key) for key in re.findall(r"kju: key (\d+) down", said)]
    assert keys == [42, 35, 18, 38, 38, 24, 28, F12]
