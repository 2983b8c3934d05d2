"""The rule of versions as a small model, every interleaving of it, and mutants that break it.

One producer and one consumer share pixels, tile versions, the surface's version and the
pulse. Each step reads or writes one of them. The search visits every state that some
interleaving reaches; in each final one (the producer has stopped, the consumer sleeps) the
consumer must hold the producer's pixels. The sleep is not capped here, so that a lost wake
shows. What the model says right is wrong as soon as one step moves: that is what the
mutants are for.
"""

from __future__ import annotations

from typing import NamedTuple

import pytest

TILES = 2
# Which tiles each publication draws. The second draws less than the first.
PUBLICATIONS = ((0, 1), (1,), (0, 1))


class Memory(NamedTuple):
    pixels: tuple[int, ...] = (0,) * TILES
    tiles: tuple[int, ...] = (0,) * TILES
    version: int = 0
    pulse: int = 0
    incarnation: int = 1


class Consumer(NamedTuple):
    copy: tuple[int, ...] = (0,) * TILES
    remembered: int = 0  # N
    of: int = 1  # the incarnation that N belongs to
    pulse: int = 0
    version: int = 0
    newest_tile: int = 0
    taking: tuple[int, ...] = ()


def put(values: tuple[int, ...], at: int, value: int) -> tuple[int, ...]:
    return (*values[:at], value, *values[at + 1 :])


# ---- The producer: a list of steps


def publication(number, order=("pixels", "tiles", "version", "pulse"), version=None):
    """Return the steps of one publication, whose pixels are unique."""
    version = number if version is None else version
    drawn = PUBLICATIONS[(number - 1) % len(PUBLICATIONS)]
    steps = {
        "pixels": [("pixel", t, number) for t in drawn],
        "tiles": [("tile", t, version) for t in drawn],
        "version": [("version", 0, version)],
        "pulse": [("pulse", 0, 0)],
    }
    return [step for name in order for step in steps[name]]


def produce(memory: Memory, step) -> Memory:
    what, at, value = step
    if what == "pixel":
        return memory._replace(pixels=put(memory.pixels, at, value))
    if what == "tile":
        return memory._replace(tiles=put(memory.tiles, at, value))
    if what == "version":
        return memory._replace(version=value)
    if what == "pulse":
        return memory._replace(pulse=memory.pulse + 1)
    fresh = Memory(pulse=memory.pulse + 1, incarnation=memory.incarnation + value)
    assert what == "restart"
    return fresh


# ---- The consumer: a loop of steps, each from (memory, consumer) to consumer, or None: asleep


def read_pulse(m, c):
    return c._replace(pulse=m.pulse)


def read_version(m, c):
    known = c.remembered if c.of == m.incarnation else -1
    return c._replace(version=m.version, remembered=known, of=m.incarnation, newest_tile=known)


def look_at(tile):
    def look(m, c):
        if m.tiles[tile] <= c.remembered or c.version == c.remembered:
            return c  # an unchanged version has no pixels to copy
        newest = max(c.newest_tile, m.tiles[tile])
        return c._replace(taking=(*c.taking, tile), newest_tile=newest)

    return look


def take(tile):
    def copy(m, c):
        if tile not in c.taking:
            return c
        return c._replace(copy=put(c.copy, tile, m.pixels[tile]))

    return copy


def commit(m, c):
    return c._replace(remembered=c.version, version=0, newest_tile=0, taking=())


def commit_a_tiles_version(m, c):
    return c._replace(remembered=c.newest_tile, version=0, newest_tile=0, taking=())


def commit_the_version_after_copying(m, c):
    return c._replace(remembered=m.version, version=0, newest_tile=0, taking=())


def sleep(m, c):
    return None if m.pulse == c.pulse else c


SCAN = [step for t in range(TILES) for step in (look_at(t), take(t))]
RULE = [read_pulse, read_version, *SCAN, commit, sleep]


def stale_ends(producer, consumer) -> int:
    """Count final states in which the consumer sleeps with other pixels than the producer's."""
    start = (Memory(), 0, Consumer(), 0)
    seen, todo, stale, ends = {start}, [start], 0, 0
    while todo:
        memory, made, state, at = todo.pop()
        following = []
        if made < len(producer):
            following.append((produce(memory, producer[made]), made + 1, state, at))
        after = consumer[at](memory, state)
        if after is not None:
            following.append((memory, made, after, (at + 1) % len(consumer)))
        elif made == len(producer):
            ends += 1
            stale += state.copy != memory.pixels
        for one in following:
            if one not in seen:
                seen.add(one)
                todo.append(one)
    assert ends  # some interleaving ends: the model is not stuck
    return stale


def published(**how):
    return [step for n in range(1, len(PUBLICATIONS) + 1) for step in publication(n, **how)]


def restarted(change: int):
    """Return a producer that ends after its publications; its successor counts from one again."""
    again = [*publication(4, version=1), *publication(5, version=2)]
    return [*published(), ("restart", 0, change), *again]


def test_rule_holds():
    assert stale_ends(published(), RULE) == 0


def test_rule_holds_when_the_producer_restarts():
    assert stale_ends(restarted(1), RULE) == 0


MUTANTS = {
    "a tile's version is committed": (
        published(),
        [read_pulse, read_version, *SCAN, commit_a_tiles_version, sleep],
    ),
    "the version is read after the copy": (
        published(),
        [read_pulse, read_version, *SCAN, commit_the_version_after_copying, sleep],
    ),
    "the version is read between the tiles": (
        published(),
        [read_pulse, *SCAN[:2], read_version, *SCAN[2:], commit, sleep],
    ),
    "the pulse is read after the scan": (
        published(),
        [read_version, *SCAN, commit, read_pulse, sleep],
    ),
    "the surface's version is raised before the tiles'": (
        published(order=("pixels", "version", "tiles", "pulse")),
        RULE,
    ),
    "the pixels are drawn after the tiles are marked and the version raised": (
        published(order=("tiles", "version", "pulse", "pixels")),
        RULE,
    ),
    "the pulse is read after the version": (
        published(),
        [read_version, read_pulse, *SCAN, commit, sleep],
    ),
    "the pulse comes before the version": (
        published(order=("pixels", "tiles", "pulse", "version")),
        RULE,
    ),
    "the pulse comes before the tiles": (
        published(order=("pixels", "pulse", "tiles", "version")),
        RULE,
    ),
    "a restarted producer keeps its incarnation": (restarted(0), RULE),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_mutants_are_found(name):
    assert stale_ends(*MUTANTS[name]) > 0
