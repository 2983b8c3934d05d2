"""`act` on real guests: the answer is the guest's, and the frame shows it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from support import guests
from support.wait import until

import kju
import kju.aio
from kju.acting import AnyInput, Chord, Click, KeyDown, KeyUp, MoveBy, Type
from kju.errors import InputError, UsageError

pytestmark = [pytest.mark.qemu, pytest.mark.usefixtures("shared_runtime_folder")]

#: Where the guest counts its answers, and the pixels that change: tools/guests/README.md.
COUNTER = (63, 67)
STAMP = kju.Rect(64, 63, 4, 1)
#: A bound on a hang.
SEEN = 30.0


class Plain:
    """The plain guest, which answers inside its interrupts."""

    def __init__(self, machine: kju.Machine, serial: guests.Serial) -> None:
        self.machine = machine
        self._serial = serial

    def reacts_to(self, when: str) -> None:
        self._serial.ask(f"answer {when}", "^kju: answer frame [0-9]+$")


@pytest.fixture(scope="module")
def plain(shared_runtime_folder: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plain]:
    guest = guests.plain(tmp_path_factory.mktemp("plain"))
    with kju.launch(args=guest.arguments, name="act") as machine, guests.Serial(guest) as serial:
        serial.wait("^kju: ready", 60)
        until(lambda: machine.screen.mode[:2] == (1280, 800), SEEN, "the mode")
        yield Plain(machine, serial)


def count(frame: kju.Frame) -> int:
    return int(frame[COUNTER].view("<u4")[0] & 0xFFFFFF)


@pytest.mark.parametrize("one", [Chord("a"), Click(), MoveBy(3, 4), Type("ab")], ids=str)
def test_frame_shows_the_answer(plain: Plain, one: AnyInput) -> None:
    """The count of the last answer is in the frame, not that of the answer before."""
    plain.reacts_to("press")
    screen = plain.machine.screen
    shown = count(screen.frame(sync=True, pixels="bgrx"))
    for _ in range(5):
        answer = plain.machine.act(one, first=SEEN, still=0.1, limit=SEEN, pixels="bgrx")
        assert answer.changed and answer.settled
        assert answer.rects and all(STAMP.contains(rect) for rect in answer.rects)
        assert count(answer.frame) > shown
        shown = count(answer.frame)
        assert np.array_equal(answer.frame, screen.frame(sync=True, pixels="bgrx"))


async def test_asyncio_returns_the_answer(plain: Plain) -> None:
    plain.reacts_to("press")
    async with await kju.aio.attach("act") as machine:
        answer = await machine.act(Chord("a"), first=SEEN, still=0.1)
        assert answer.changed and answer.version >= answer.frame.version


def test_guest_that_does_not_answer_changes_nothing(plain: Plain) -> None:
    """It answers releases only, so a press alone is an input without an answer."""
    plain.reacts_to("release")
    answer = plain.machine.act(KeyDown("a"), first=0.2, still=0.1)
    assert (answer.changed, answer.settled, answer.rects) == (False, True, ())
    answer = plain.machine.act(KeyUp("a"), first=SEEN, still=0.1)
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
