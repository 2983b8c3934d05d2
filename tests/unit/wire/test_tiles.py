"""Tiles and rectangles of tiles."""

from __future__ import annotations

import numpy as np
import pytest
from support.wire_scene import surface

from kju.surface.consumer import Consumer
from kju.surface.geometry import Rect
from kju.wire.tiles import DirtyTiles, TileGrid, merged

GRID = TileGrid(32, 100, 70)


def covered(rects: list[Rect]) -> np.ndarray:
    """Count how often rectangles cover each pixel."""
    pixels = np.zeros((GRID.height, GRID.width), int)
    for x, y, width, height in rects:
        pixels[y : y + height, x : x + width] += 1
    return pixels


def test_the_last_column_and_row_are_cut_at_the_screen() -> None:
    assert (GRID.columns, GRID.tile_count) == (4, 12)
    assert GRID.rects(np.array([11])) == [Rect(96, 64, 4, 6)]
    assert GRID.around(np.array([0, 11])) == Rect(0, 0, 100, 70)


@pytest.mark.parametrize("seed", range(8))
def test_rectangles_cover_each_chosen_tile_once(seed: int) -> None:
    rng = np.random.default_rng(seed)
    tiles = np.flatnonzero(rng.random(GRID.tile_count) < 0.5)
    pixels = covered(GRID.rects(tiles) if len(tiles) else [])
    for tile in range(GRID.tile_count):
        x, y = tile % 4 * 32, tile // 4 * 32
        assert (pixels[y : y + 32, x : x + 32] == (tile in tiles)).all()


def test_tiles_in_a_rectangle_are_those_of_its_pieces() -> None:
    rect = Rect(30, 31, 40, 34)
    pieces = GRID.pieces(rect)
    assert sorted(GRID.tile_at(piece) for piece in pieces) == GRID.tiles_in(rect).tolist()
    assert (covered(pieces) == covered([rect])).all()


def test_neighbours_are_merged() -> None:
    pieces = [Rect(x, y, 32, 32) for y in (0, 32) for x in (0, 32, 64)]
    assert merged(pieces) == [Rect(0, 0, 96, 64)]
    assert merged([*pieces, Rect(0, 64, 32, 8)]) == [Rect(0, 0, 96, 64), Rect(0, 64, 32, 8)]
    assert merged([]) == []


def test_the_tiles_of_an_unchanged_screen_are_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    producer = surface()
    producer.set_mode(100, 70)
    consumer = Consumer(producer.memory)  # type: ignore[attr-defined]
    mode = consumer.mode
    dirty = DirtyTiles(consumer, TileGrid(consumer.tile_side, mode.width, mode.height))
    reads: list[int] = []
    read = Consumer.tile_versions

    def counted(self: Consumer) -> object:
        reads.append(1)
        return read(self)

    monkeypatch.setattr(Consumer, "tile_versions", counted)
    changed = np.flatnonzero(dirty.find(0.0))
    dirty.remove(changed, consumer.reader.version)
    assert [dirty.find(0.0).any() for _ in range(3)] == [False] * 3
    assert len(reads) == 2
    dirty.add(changed[:1], 1.0)
    assert np.flatnonzero(dirty.find(1.0)).tolist() == changed[:1].tolist()
    dirty.remove(changed[:1], consumer.reader.version)
    producer.draw(Rect(8, 8, 8, 8), np.ones((8, 8, 4), np.uint8), stride=32)
    assert dirty.find(2.0).any()
