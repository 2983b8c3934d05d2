"""Scans of a source without announcements: compared tiles and their times, by the test's clock."""

from __future__ import annotations

import itertools
import time
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kju.errors import GeometryError
from kju.surface import NOTHING_TAKEN, surface_size
from kju.surface.consumer import Consumer
from kju.surface.geometry import Rect
from kju.surface.producer import Producer

MS = 1_000_000
REST, BRISK, HOT, COLD, SHARE = 16 * MS, MS // 2, 4 * MS, 64 * MS, 25
ANSWER = 100 * MS
WIDTH, HEIGHT = 200, 150  # neither is whole tiles
PROBES = 8


class Watched:
    """A surface, the window it is filled from, and a clock that moves from one step to the next."""

    def __init__(self, *, pace: bool = True, side: int = 0) -> None:
        how = {"tile": side} if side else {}
        memory = np.zeros(surface_size(WIDTH * HEIGHT * 8, **how), np.uint8)
        self.producer = Producer.format(memory.data, WIDTH * HEIGHT * 8, incarnation=1, **how)
        self.consumer = Consumer(memory.data)
        self.side = self.producer.tile_side
        self.window = np.zeros((HEIGHT, WIDTH, 4), np.uint8)
        self.now = 1000 * MS
        self.due = self.now
        if pace:
            self.producer.set_scan_pace(REST, BRISK, HOT, COLD, SHARE, ANSWER)
        self.producer.set_mode(WIDTH, HEIGHT, source=self.window)

    def step(self) -> int:
        """Scan once when due; return the number of published tiles."""
        self.now = max(self.now, self.due)
        self.due, changed = self.producer.scan(self.window, self.now)
        assert self.due > self.now
        return changed

    def rest(self) -> None:
        """Scan until no tile is hot."""
        self.step()
        while self.due - self.now < REST or self.step():
            self.step()
        for _ in range(PROBES):
            assert self.step() == 0

    def looks(self, until: int) -> list[int]:
        """Scan until a time; return the times of the scans."""
        found = []
        while self.due <= until:
            self.step()
            found.append(self.now)
        return found

    def equal(self) -> bool:
        return bool((self.producer.pixels == self.window).all())


@pytest.fixture
def watched() -> Watched:
    made = Watched()
    made.rest()
    return made


def test_screen_at_rest_is_scanned_once_a_rest(watched: Watched) -> None:
    before = watched.consumer.reader.version
    looks = watched.looks(watched.now + 100 * REST)
    assert len(looks) == 100
    assert {b - a for a, b in itertools.pairwise(looks)} == {REST}
    assert watched.consumer.reader.version == before


@pytest.mark.parametrize("top", [*range(20), HEIGHT - 8])
def test_change_of_eight_rows_is_found_by_the_next_probe(watched: Watched, top: int) -> None:
    changed = watched.now
    watched.window[top : top + 8, 70:72] = 7
    assert watched.step() >= 1
    assert watched.now - changed <= REST
    assert watched.equal()


@pytest.mark.parametrize("phase", range(PROBES))
@pytest.mark.parametrize("row", range(PROBES))
def test_change_of_one_pixel_is_found_within_eight_probes(
    watched: Watched, row: int, phase: int
) -> None:
    for _ in range(phase):
        watched.step()
    watched.window[64 + row, WIDTH - 1, 2] = 1
    steps = 1
    while not watched.step():
        steps += 1
    assert steps <= PROBES
    assert watched.equal()


@given(st.data())
def test_every_change_is_published(data: st.DataObject) -> None:
    watched = Watched()
    for _ in range(data.draw(st.integers(1, 12))):
        x, y = data.draw(st.integers(0, WIDTH - 1)), data.draw(st.integers(0, HEIGHT - 1))
        height, width = data.draw(st.integers(1, 40)), data.draw(st.integers(1, 40))
        watched.window[y : y + height, x : x + width] = data.draw(st.integers(0, 255))
        for _ in range(data.draw(st.integers(0, 3))):
            watched.step()
        if data.draw(st.booleans()):
            watched.producer.note_input(watched.now)
            watched.due = watched.now
    for _ in range(PROBES):
        watched.now += REST  # a probe is due at each: before that it may be a hot tile's turn
        watched.step()
    assert watched.equal()


def test_a_shape_across_tiles_is_published_in_one_piece(watched: Watched) -> None:
    # The row that the probe meets lies in one tile; one row of the shape is in the tile above.
    edge = watched.side
    watched.window[edge - 1 : edge + 8, 3:9] = 200
    while not watched.step():
        pass
    assert watched.equal()


def test_blinking_tile_heats_only_itself(watched: Watched) -> None:
    """A text cursor: every 250 ms, one cell. Everything else keeps the resting pace."""
    producer, side = watched.producer, watched.side
    mark = watched.consumer.changes(NOTHING_TAKEN).mark
    steps, published = 0, 0
    for blink in range(1, 9):
        watched.window[70:86, 80:88] = blink % 2 * 255
        end = watched.now + 250 * MS
        while watched.due <= end:
            steps += 1
            published += watched.step()
        watched.now = end
    tile = Rect(80 // side * side, 70 // side * side, side, 2 * side)
    change = watched.consumer.changes(mark)
    assert change.rects
    assert all(tile.contains(rect) for rect in change.rects)
    tiles = len(range(70 // side, 85 // side + 1)) * len(range(80 // side, 87 // side + 1))
    assert published == 8 * tiles
    # Each blink costs its tile four more looks (4, 8, 16, 32 ms) beside a probe every 16 ms.
    assert steps <= 8 * (250 / 16 + 6)
    assert producer.tile_side == side


def test_hot_tile_is_compared_alone(watched: Watched) -> None:
    """Between two probes only hot tiles are compared: another change waits for its probe."""
    watched.window[0:8, 0:8] = 1
    watched.step()
    assert watched.due - watched.now == HOT
    watched.window[0:8, 0:8] = 2
    watched.window[100:108, 100:108] = 2
    assert watched.step() == 1
    assert not watched.equal()
    while not watched.equal():
        watched.step()


def test_a_hot_tile_cools(watched: Watched) -> None:
    watched.window[0:8, 0:8] = 1
    watched.step()
    began = watched.now
    looks = [at - began for at in watched.looks(began + 200 * MS)]
    probes = {REST * n for n in range(1, 13)}
    assert [at for at in looks if at not in probes] == [4 * MS, 12 * MS, 28 * MS, 60 * MS]
    assert looks[-1] - looks[-2] == REST


def test_changing_tile_stays_hot(watched: Watched) -> None:
    for value in range(1, 50):
        watched.window[40:44, 40:44] = value
        watched.step()
    began = watched.now
    for value in range(50, 100):
        watched.window[40:44, 40:44] = value
        while not watched.step():
            pass
    assert watched.now - began <= 50 * HOT


def test_an_input_is_due_at_once_and_its_boost_decays(watched: Watched) -> None:
    watched.step()
    pressed = watched.now + 3 * MS
    watched.producer.note_input(pressed)
    watched.now = watched.due = pressed
    looks = watched.looks(pressed + 1000 * MS)
    assert looks[0] == pressed
    for before, after in itertools.pairwise(looks):
        age = before - pressed
        assert after - before == min(max(age // SHARE, BRISK), REST)
    gaps = [b - a for a, b in itertools.pairwise(looks)]
    assert gaps == sorted(gaps)
    assert gaps[0] == BRISK
    assert gaps[-1] == REST


def test_change_after_an_input_is_late_by_its_share(watched: Watched) -> None:
    for delay in (1, 5, 30, 100, 300):
        pressed = watched.now = watched.due = watched.now + 5000 * MS
        watched.rest()
        pressed = watched.now
        watched.producer.note_input(pressed)
        watched.due = pressed
        changed = pressed + delay * MS
        while watched.due < changed:
            watched.step()
        watched.window[50:58, 50:58] += 1
        while not watched.step():
            pass
        assert watched.now - changed <= max(BRISK, delay * MS // SHARE)


def test_an_input_makes_hot_tiles_hotter(watched: Watched) -> None:
    watched.producer.note_input(watched.now)
    watched.due = watched.now
    watched.window[0:8, 0:8] = 9
    watched.step()
    assert watched.due - watched.now == BRISK


def test_new_mode_is_compared_whole(watched: Watched) -> None:
    watched.producer.set_mode(WIDTH - 60, HEIGHT)
    stale = watched.window.reshape(-1)
    stale[:] = 5
    due, changed = watched.producer.scan(stale, watched.now)
    assert changed == len(range(0, WIDTH - 60, watched.side)) * len(range(0, HEIGHT, watched.side))
    assert due == watched.now + HOT
    assert (watched.producer.pixels == 5).all()


def test_the_clock_may_stand_still_or_jump(watched: Watched) -> None:
    for now in (watched.now, watched.now, 2**63, 2**64 - 2**40, 0, 1):
        watched.window[0, 0] += 1
        for _ in range(PROBES):
            watched.producer.scan(watched.window, now)
    watched.producer.note_input(2**64 - 1)
    watched.window[0, 0] += 1
    watched.due = watched.now = 5
    for _ in range(PROBES):
        watched.step()
    assert watched.equal()


def test_a_source_too_small_is_refused_and_nothing_changes(watched: Watched) -> None:
    before = watched.producer.version
    small = watched.window.reshape(-1)[:-1]
    for how in ({}, {"offset": 1}, {"stride": WIDTH * 4 + 1}, {"offset": 2**64 - 1}, {"stride": 1}):
        with pytest.raises(GeometryError):
            watched.producer.scan(small, watched.now, **how)
    assert watched.producer.version == before


def test_scan_without_a_mode_is_an_error() -> None:
    memory = np.zeros(surface_size(4096), np.uint8)
    producer = Producer.format(memory.data, 4096, incarnation=1)
    with pytest.raises(GeometryError):
        producer.scan(bytes(4096), 0)


def test_scan_without_a_pace_compares_every_time() -> None:
    watched = Watched(pace=False)
    watched.producer.note_input(1)
    for value in range(1, 20):
        watched.window[::8, 0] = value
        watched.window[:, 1] = value
        for _ in range(PROBES):
            watched.producer.scan(watched.window, watched.now)
        assert watched.equal()


def test_tiles_of_other_sizes_are_scanned(watched: Watched) -> None:
    for side in (8, 16, 64, 256):
        other = Watched(side=side)
        other.rest()
        other.window[149, 199] = 3
        while not other.step():
            pass
        assert other.equal()


def test_tiles_changed_by_an_input_are_compared_after_the_next(watched: Watched) -> None:
    """One pixel, which a probe meets once in eight times."""
    watched.producer.note_input(watched.now)
    watched.due = watched.now
    watched.window[63, 64] = 1
    while not watched.step():
        pass
    watched.rest()
    for value in range(2, 2 + PROBES):
        watched.now = watched.due = watched.now + 1000 * MS
        watched.producer.note_input(watched.now)
        watched.window[63, 64] = value
        assert watched.step() == 1
        assert watched.equal()


def test_often_compared_answer_cools_like_others(watched: Watched) -> None:
    watched.producer.note_input(watched.now)
    watched.due = watched.now
    watched.window[0:8, 0:8] = 1
    assert watched.step()
    began = watched.now
    watched.looks(began + HOT - 1)  # brisk ones, in which the tile is not due
    watched.window[0, 0] = 2
    while not watched.step():
        pass
    assert watched.now - began <= HOT
    assert watched.equal()


def test_a_change_of_many_tiles_does_not_displace_the_answers(watched: Watched) -> None:
    def press() -> None:
        watched.now = watched.due = watched.now + 1000 * MS
        watched.producer.note_input(watched.now)

    press()
    watched.window[63, 64] = 1
    while not watched.step():
        pass
    for value in (2, 3):
        watched.rest()
        press()
        watched.window[:] = value * 50
        watched.step()
    watched.rest()
    press()
    watched.window[63, 64] = 9
    assert watched.step() == 1


def _following(watched: Watched, *, until: int, budget: int = 8) -> Future[tuple[int, int]]:
    """Scan in a thread; the result is what `scan_until` returns."""
    pool = ThreadPoolExecutor(1)
    result = pool.submit(watched.producer.scan_until, watched.window, until=until, budget=budget)
    pool.shutdown(wait=False)
    return result


def test_pause_after_a_scan_does_not_depend_on_its_delay() -> None:
    """A preempted scan uses no processor time meanwhile."""
    watched = Watched()
    stopped = 0.2
    assert watched.producer.hold()
    look = _following(watched, until=0)
    with pytest.raises(TimeoutError):
        look.result(stopped)
    watched.producer.unhold()
    due, _ = look.result(20)
    assert due - time.monotonic_ns() < stopped * 1e9, "eight times as much would be 1.6 s"


def test_scan_until_returns_after_a_publication() -> None:
    watched = Watched()
    watched.producer.scan_until(watched.window, until=0, budget=1)
    watched.window[10:30, 10:30] = 5
    _, changed = _following(watched, until=time.monotonic_ns() + 60_000 * MS).result(20)
    assert changed
    assert watched.equal()


def test_interrupt_ends_scan_until() -> None:
    watched = Watched()
    watched.producer.scan_until(watched.window, until=0, budget=1)
    following = _following(watched, until=time.monotonic_ns() + 60_000 * MS)
    watched.producer.interrupt()
    assert following.result(20)[1] == 0
    # It ends the longest sleep, too.
    watched.producer.set_scan_pace(60_000 * MS, BRISK, HOT, COLD, SHARE, ANSWER)
    watched.producer.scan_until(watched.window, until=0, budget=1)
    following = _following(watched, until=time.monotonic_ns() + 120_000 * MS)
    watched.producer.interrupt()
    assert following.result(20)[1] == 0
    # An interrupt before the scan is not lost.
    watched.producer.interrupt()
    assert _following(watched, until=time.monotonic_ns() + 60_000 * MS).result(20)[1] == 0
