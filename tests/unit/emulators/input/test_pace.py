"""The pace of keys."""

from __future__ import annotations

import asyncio
import functools
import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from support.wait import HANG

from kju.emulators.input import pace as pace_module
from kju.emulators.input.pace import Gauge, NotStarted, Pace, Processors, cut
from kju.emulators.qemu.input.gauges import BiosBuffer, Gauges, NoKeyboard, Ps2
from kju.emulators.qemu.input.usb import Usb
from kju.emulators.qemu.stderr import Traces
from kju.errors import InputError, QemuError
from kju.keys import Step


class Queue(Gauge):
    """A keyboard's queue that a test empties, and that drops keys that do not fit."""

    name, room = "queue", 4

    def __init__(self) -> None:
        super().__init__()
        self.waiting = self.lost = self.looks = 0
        self.emptied_by_a_look = True

    def put(self, count: int) -> None:
        self.lost += max(0, self.waiting + count - self.room)
        self.waiting = min(self.room, self.waiting + count)

    async def is_empty(self) -> bool:
        self.looks += 1
        if self.emptied_by_a_look:
            self.waiting = 0
        return not self.waiting


async def _type(pace: Pace, queue: Queue, steps: list[Step]) -> None:
    for batch in await pace.batches(steps):
        await pace.make_room(batch, into_empty=len(batch) > 1)
        queue.put(len(batch))
        pace.sent()


async def _find(queue: Gauge) -> Gauge:
    return queue


async def test_text_is_sent_in_pieces_that_fit_the_queue() -> None:
    queue = Queue()
    await _type(Pace(functools.partial(_find, queue)), queue, [(1, True), (1, False)] * 20)
    assert (queue.lost, queue.looks) == (0, 9)


async def test_single_steps_wait_for_no_check_while_there_is_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    queue = Queue()
    pace = Pace(functools.partial(_find, queue))
    await _type(pace, queue, [(1, True), (1, False)])
    for index in range(20):
        looks = queue.looks
        await pace.make_room([(1, index % 2 == 0)])
        assert queue.looks == looks or queue.waiting == 0
        queue.put(1)
        pace.sent()
    assert queue.lost == 0


class Slow(Processors):
    """Processors that run for a millisecond between two checks."""

    def __init__(self) -> None:
        super().__init__()
        self.owed: list[float] = []
        self.looks = 0
        self._left = 0.0

    def charge(self, seconds: float) -> None:
        self.owed.append(seconds)
        self._left = seconds

    def caught_up(self) -> bool | None:
        self.looks += 1
        self._left -= 0.001
        return self._left <= 0


async def test_next_piece_waits_for_the_processors_and_not_for_the_clock() -> None:
    queue, slow = Queue(), Slow()
    pace = Pace(functools.partial(_find, queue), processors=slow)
    await _type(pace, queue, [(1, True), (1, False)] * 30)
    assert queue.lost == 0
    due = queue.room / pace_module.STEPS_PER_SECOND
    assert slow.owed == [due] * 15
    # Two times: readers have room for five pieces.
    assert slow.looks == 2 * math.ceil(due / 0.001)


class Reader(Processors):
    """A program that reads the keyboard late, from a queue that loses all when it is full."""

    def __init__(self) -> None:
        self.unread = self.most = self.looks = 0

    def charge(self, seconds: float) -> None:
        self.unread += round(seconds * pace_module.STEPS_PER_SECOND)
        self.most = max(self.most, self.unread)

    def caught_up(self) -> bool | None:
        self.looks += 1
        if self.looks % 3:
            return False
        self.unread = 0
        return True


@given(st.lists(st.integers(1, 9), max_size=40))
def test_readers_have_room_for_everything_that_is_sent(sizes: list[int]) -> None:
    async def type_pieces() -> None:
        queue, reader = Queue(), Reader()
        queue.room = 18
        pace = Pace(functools.partial(_find, queue), processors=reader)
        for size in sizes:
            await _type(pace, queue, [(1, True), (1, False)] * size)
        assert reader.most <= pace_module.MAX_UNREAD

    asyncio.run(type_pieces())


async def test_input_that_qemu_would_drop_is_an_error_at_once() -> None:
    queue, why = Queue(), "paused"
    pace = Pace(functools.partial(_find, queue), refusal=lambda: why)
    for steps in ([(1, True)], [(1, True), (1, False)]):
        with pytest.raises(InputError, match="paused"):
            await pace.make_room(steps)
    why = ""
    await _type(pace, queue, [(1, True), (1, False)])
    assert (queue.waiting, queue.lost) == (2, 0)


async def test_guest_that_takes_nothing_is_an_error_and_sooner_the_second_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pace_module, "TAKE_TIMEOUT", 0.02)
    monkeypatch.setattr(pace_module, "STUCK_TIMEOUT", 0.01)
    queue = Queue()
    queue.emptied_by_a_look = False
    pace = Pace(functools.partial(_find, queue))
    with pytest.raises(InputError, match="queue"):
        await _type(pace, queue, [(1, True), (1, False)] * 9)
    with pytest.raises(InputError):
        await _type(pace, queue, [(1, True), (1, False)])
    queue.waiting = 0
    await _type(pace, queue, [(1, True), (1, False)])
    assert queue.lost == 0


async def test_keyboard_that_is_not_started_gets_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace_module, "TAKE_TIMEOUT", 0.02)
    pace = Pace(functools.partial(_find, NotStarted("usb")))
    with pytest.raises(InputError, match="not started"):
        await _type(pace, Queue(), [(1, True), (1, False)])


async def test_machine_without_a_keyboard_refuses_at_once() -> None:
    pace = Pace(functools.partial(_find, NoKeyboard()))
    with pytest.raises(InputError, match="has no keyboard"):
        await pace.begin()
    pace = Pace(functools.partial(_find, NoKeyboard()))
    with pytest.raises(InputError, match="has no keyboard"):
        await pace.make_room([(1, True)])


async def test_reset_empties_the_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    queue = Queue()
    pace = Pace(functools.partial(_find, queue))
    await _type(pace, queue, [(1, True), (1, False)])
    queue.emptied_by_a_look = False
    pace.reset()
    queue.waiting = 0
    await asyncio.wait_for(_type(pace, queue, [(1, True), (1, False)]), HANG)
    assert queue.waiting == 2, "both went into the empty queue"


async def test_step_after_a_reset_waits_until_the_keyboard_is_started_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pace_module, "TAKE_TIMEOUT", 0.02)
    used: list[Gauge] = [Queue()]

    async def find() -> Gauge:
        return used[-1]

    pace = Pace(find)
    await pace.make_room([(1, True)])
    used.append(NotStarted("virtio"))
    for _ in range(2):  # the second time it was not started before either
        pace.reset()
        assert not pace.has_room([(1, True)])
        with pytest.raises(InputError, match="not started"):
            await pace.make_room([(1, True)])
    used.append(Queue())
    pace.reset()
    await pace.make_room([(1, True)])


async def test_keyboard_that_was_just_started_is_given_time() -> None:
    used: list[Gauge] = [NotStarted("usb")]

    async def find() -> Gauge:
        return used[-1]

    pace = Pace(find)
    await pace.find()
    used.append(Queue())
    pace.reset()
    loop = asyncio.get_running_loop()
    began = loop.time()
    await pace.make_room([(1, True)])
    assert loop.time() - began >= 0.9 * pace_module.SETTLE_TIME


async def test_device_found_before_a_reset_does_not_count_after_it() -> None:
    found = asyncio.Event()
    used: list[Gauge] = [Queue()]

    async def find() -> Gauge:
        now = used[-1]
        await found.wait()
        return now

    pace = Pace(find)
    look = asyncio.create_task(pace.find())
    await asyncio.sleep(0)
    used.append(NotStarted("virtio"))
    pace.reset()
    found.set()
    await look
    assert pace.kind == "virtio, not started"


@given(st.lists(st.tuples(st.sampled_from([1, 30, 0x9D, 0x54]), st.booleans()), max_size=60))
@example([(1, False), (1, True), (30, True), *[(1, False)] * 8, *[(0x9D, False)] * 2])
def test_pieces_add_up_to_the_text_and_fit(steps: list[Step]) -> None:
    gauge = Usb.__new__(Usb)
    pieces = cut(steps, gauge)
    assert [step for piece in pieces for step in piece] == steps
    assert all(sum(gauge.cost(*step) for step in piece) <= gauge.room for piece in pieces)


def test_piece_ends_where_no_key_is_down_if_possible() -> None:
    gauge = Queue()
    steps = [(1, True), (1, False), (2, True), (3, True), (3, False), (2, False)]
    assert cut(steps, gauge) == [steps[:2], steps[2:]]


def test_ps2_counts_the_longer_set_of_scan_codes() -> None:
    cost = Ps2.__new__(Ps2).cost
    assert [cost(30, True), cost(30, False), cost(0xC8, True), cost(0xC8, False)] == [1, 2, 2, 3]
    assert max(cost(0xC6, True), cost(0x54, True)) <= Ps2.room


def test_bios_buffer_counts_only_where_it_moves() -> None:
    bios = BiosBuffer()
    assert bios.is_empty(0x1E, 0x22, 0), "remains of a BIOS that nothing uses any more"
    assert not bios.is_empty(0x1E, 0x24, 1), "something puts keys there"
    assert not bios.is_empty(0x20, 0x24, 1.5)
    assert bios.is_empty(0x24, 0x24, 2)
    assert not bios.is_empty(0x24, 0x26, 2.5)
    assert bios.is_empty(0x24, 0x26, 9), "it has not moved for long: remains"


def _usb() -> tuple[Usb, Traces]:
    traces = Traces()
    return Usb(None, traces), traces  # type: ignore[arg-type]  # QEMU is not asked


async def test_usb_is_empty_behind_the_last_key_only() -> None:
    usb, traces = _usb()
    usb.sending(3)
    key, empty = b"input_event_key_qcode con 0\n", b"hid_kbd_queue_empty queue empty\n"
    traces.receive_data(key + empty + key + key)
    assert not await usb.is_empty()
    traces.receive_data(empty)
    assert await usb.is_empty()
    usb.sending(1)
    assert not await usb.is_empty()


async def test_key_that_was_never_traced_does_not_stop_typing_forever() -> None:
    usb, traces = _usb()
    usb.sending(2)
    assert not await usb.is_empty()
    usb.forget()
    assert await usb.is_empty()
    usb.sending(1)
    traces.receive_data(b"input_event_key_qcode con 0\nhid_kbd_queue_empty queue empty\n")
    assert await usb.is_empty()


async def test_keys_of_other_clients_are_not_counted_forever() -> None:
    usb, traces = _usb()
    key, empty = b"input_event_key_number con 0\n", b"hid_kbd_queue_empty queue empty\n"
    traces.receive_data((key + empty) * 5)
    usb.sending(2)
    traces.receive_data(key + empty)
    assert not await usb.is_empty()
    traces.receive_data(key + empty)
    assert await usb.is_empty()


@given(st.lists(st.integers(1, 40), max_size=20))
def test_traces_are_removed_however_the_bytes_are_split(sizes: list[int]) -> None:
    said = b"hello\nwanted 1\nwant\nwanted\nunwanted 2\nlast wanted 3\nwanted 4\nwan"
    traces, heard = Traces(), []
    traces.listen("wanted", heard.append)
    rest, at = b"", 0
    for size in [*sizes, len(said)]:
        rest += traces.receive_data(said[at : at + size])
        at += size
    rest += traces.receive_data(b"\n")
    assert heard == [b"wanted 1\n", b"wanted\n", b"wanted 4\n"]
    assert rest == b"hello\nwant\nunwanted 2\nlast wanted 3\nwan\n"


async def test_keyboard_of_a_machine_without_usb_is_observed() -> None:
    class Qmp:
        async def execute(self, command: str, arguments: object = None) -> object:
            assert command == "x-query-virtio"
            return []

        async def monitor(self, line: str) -> str:
            if line == "info usb":
                raise QemuError("QEMU could not run 'info usb': Error: USB support not enabled")
            assert line == "i /1bx 0x64"
            return "portb[0x0064] = 0x18\r\n"

    assert isinstance(await Gauges(Qmp(), None).keyboard(), Ps2)  # type: ignore[arg-type]
