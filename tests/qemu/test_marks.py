"""The mark of an input is from before the guest's answer, so a wait for a change finds it.

`act` waits from that mark, and its frame shows the answer.

The guest answers inside its interrupt: at the press, or at the release.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from support import guests
from support.wait import HANG, until

import kju
import kju.aio
from kju.acting import AnyInput, Chord, Click, KeyDown, KeyUp, MoveBy, Type
from kju.errors import InputError, UsageError
from kju.surface import Mark

pytestmark = [pytest.mark.qemu, pytest.mark.usefixtures("shared_runtime_folder")]

ROUNDS = 12
#: Where the guest counts its answers: see tools/guests/README.md.
COUNTER = (63, 67)
#: The pixels that an answer changes.
STAMP = kju.Rect(64, 63, 4, 1)

Input = Callable[[kju.Machine], Mark]

#: Inputs that press and release.
WHOLE: dict[str, Input] = {
    "chord": lambda m: m.keyboard.chord("a"),
    "chord without interval": lambda m: m.keyboard.chord("a", interval=0),
    "slow chord": lambda m: m.keyboard.chord("a", interval=200),
    "one character": lambda m: m.keyboard.type("a"),
    "one character, interval": lambda m: m.keyboard.type("a", interval=50),
    "click": lambda m: m.pointer.click(),
    "right click": lambda m: m.pointer.click(button="right"),
}
#: Inputs that only press, or only move.
PRESSES: dict[str, Input] = {
    "press": lambda m: m.keyboard.press("a"),
    "press of two": lambda m: m.keyboard.press("ctrl", "a"),
    "button": lambda m: m.pointer.press("left"),
    "wheel": lambda m: m.pointer.wheel(1),
    "move": lambda m: m.pointer.move_by(3, 4),
}
#: Inputs that release what the input of the same name has pressed.
RELEASES: dict[str, Input] = {
    "press": lambda m: m.keyboard.release("a"),
    "press of two": lambda m: m.keyboard.release("a", "ctrl"),
    "button": lambda m: m.pointer.release("left"),
}


def count_in(frame: kju.Frame) -> int:
    """Return the count of answers that a B G R X frame shows."""
    return int(frame[COUNTER].view("<u4")[0] & 0xFFFFFF)


class Plain:
    """The plain guest, and its count of answers."""

    def __init__(self, machine: kju.Machine, serial: guests.Serial) -> None:
        self.machine = machine
        self._serial = serial

    def answer(self, when: str) -> None:
        self._serial.ask(f"answer {when}", "^kju: answer frame [0-9]+$")

    @property
    def answers(self) -> int:
        return count_in(self.machine.screen.frame(sync=True, pixels="bgrx"))

    def sees_every_answer(self, act: Input, after: Input | None = None) -> None:
        """Act several times; each change since the mark must be the guest's answer."""
        for _ in range(ROUNDS):
            before = self.answers
            mark = act(self.machine)
            self.machine.screen.wait_change(since=mark, timeout=HANG)
            until(lambda before=before: self.answers > before, "the guest has answered")
            if after is not None:
                after(self.machine)


@pytest.fixture(scope="module")
def plain(shared_runtime_folder: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plain]:
    guest = guests.plain(tmp_path_factory.mktemp("plain"))
    with kju.launch(args=guest.arguments, name="plain") as machine, guests.Serial(guest) as serial:
        serial.wait("^kju: ready", 60)
        until(lambda: machine.screen.mode[:2] == (1280, 800), "the mode")
        yield Plain(machine, serial)


@pytest.mark.parametrize("when", ["press", "release"])
@pytest.mark.parametrize("name", WHOLE)
def test_answer_to_a_whole_input_is_after_its_mark(plain: Plain, name: str, when: str) -> None:
    plain.answer(when)
    plain.sees_every_answer(WHOLE[name])


@pytest.mark.parametrize("name", PRESSES)
def test_answer_to_a_press_is_after_its_mark(plain: Plain, name: str) -> None:
    plain.answer("press")
    plain.sees_every_answer(PRESSES[name], RELEASES.get(name))


@pytest.mark.parametrize("name", RELEASES)
def test_answer_to_a_release_is_after_its_mark(plain: Plain, name: str) -> None:
    plain.answer("release")
    for _ in range(ROUNDS):
        PRESSES[name](plain.machine)
        before = plain.answers
        mark = RELEASES[name](plain.machine)
        plain.machine.screen.wait_change(since=mark, timeout=HANG)
        until(lambda before=before: plain.answers > before, "the guest has answered")


@pytest.mark.parametrize("when", ["press", "release"])
async def test_asyncio_marks_are_from_before_the_answer(plain: Plain, when: str) -> None:
    plain.answer(when)

    async with await kju.aio.attach("plain") as machine:
        for _ in range(ROUNDS):
            mark = await machine.keyboard.chord("a")
            await machine.screen.wait_change(since=mark, timeout=HANG)
            mark = await machine.pointer.click()
            await machine.screen.wait_change(since=mark, timeout=HANG)


@pytest.mark.parametrize("one", [Chord("a"), Click(), MoveBy(3, 4), Type("ab")], ids=str)
def test_frame_shows_the_answer(plain: Plain, one: AnyInput) -> None:
    """The count of the last answer is in the frame, not that of the answer before."""
    plain.answer("press")
    screen = plain.machine.screen
    shown = count_in(screen.frame(sync=True, pixels="bgrx"))
    for _ in range(5):
        answer = plain.machine.act(one, first=HANG, still=0.1, limit=HANG, pixels="bgrx")
        assert answer.changed and answer.settled
        assert answer.rects and all(STAMP.contains(rect) for rect in answer.rects)
        assert count_in(answer.frame) > shown
        shown = count_in(answer.frame)
        assert np.array_equal(answer.frame, screen.frame(sync=True, pixels="bgrx"))


async def test_asyncio_act_returns_the_answer(plain: Plain) -> None:
    plain.answer("press")
    async with await kju.aio.attach("plain") as machine:
        answer = await machine.act(Chord("a"), first=HANG, still=0.1, limit=HANG)
        assert answer.changed and answer.version >= answer.frame.version


def test_guest_that_does_not_answer_changes_nothing(plain: Plain) -> None:
    """It answers releases only, so a press alone is an input without an answer."""
    plain.answer("release")
    answer = plain.machine.act(KeyDown("a"), first=0.2, still=0.1)
    assert (answer.changed, answer.settled, answer.rects) == (False, True, ())
    answer = plain.machine.act(KeyUp("a"), first=HANG, still=0.1, limit=HANG)
    assert answer.changed


def test_paused_guest_is_an_error_that_says_so(plain: Plain) -> None:
    plain.machine.pause()
    try:
        with pytest.raises(InputError, match="paused"):
            plain.machine.act(Chord("a"))
    finally:
        plain.machine.resume()
    with pytest.raises(UsageError, match="takes no positions now"):
        plain.machine.act(Click(5, 5))
    assert plain.machine.info()["consoles"][0]["keys_held"] == []
