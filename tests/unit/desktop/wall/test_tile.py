"""Tiles, and the board that collects their changes."""

from __future__ import annotations

import numpy as np

from kju.desktop.wall.tile import Tile, TileBoard, TileState

PIXELS = np.zeros((20, 30, 4), np.uint8)


class Reports(list[frozenset[str]]):
    """The reports of a board."""

    def __init__(self) -> None:
        super().__init__()
        self.board = TileBoard(self.append)


def test_pictures_of_a_tile_are_counted() -> None:
    tile = Tile("a").showing(PIXELS)
    assert tile.picture is not None
    assert (tile.picture.version, tile.picture.guest_size) == (1, (30, 20))
    again = tile.showing(PIXELS, (1280, 800))
    assert again.picture is not None
    assert (again.picture.version, again.picture.guest_size) == (2, (1280, 800))


def test_changes_are_reported_once_and_together() -> None:
    reports = Reports()
    board = reports.board
    board.report()
    board.set(Tile("a"))
    board.set(Tile("b").showing(PIXELS))
    board.set_state("b", TileState.LIVE)
    board.report()
    board.report()
    assert reports == [{"a", "b"}]
    board.set_state("b", TileState.LIVE)
    board.set(board.tile("b"))
    board.report()
    assert len(reports) == 1
    board.set(board.tile("b").showing(PIXELS))
    board.report()
    assert reports[1:] == [{"b"}]


def test_dropped_tile_is_empty_and_not_reported() -> None:
    reports = Reports()
    board = reports.board
    board.set(Tile("a").showing(PIXELS))
    board.drop("a")
    board.drop("a")
    board.report()
    assert reports == []
    assert not board.has("a")
    assert board.tile("a") == Tile("a")


def test_other_reason_is_a_change() -> None:
    reports = Reports()
    reports.board.set_state("a", TileState.NO_PICTURE, "off")
    reports.board.report()
    reports.board.set_state("a", TileState.NO_PICTURE, "blank")
    reports.board.report()
    assert reports == [{"a"}, {"a"}]


def test_picture_of_one_byte_per_pixel_is_shown_in_grey() -> None:
    pixels = np.arange(600, dtype=np.uint16).astype(np.uint8).reshape(20, 30)
    picture = Tile("a").showing(pixels).picture
    assert picture is not None
    assert picture.pixels.shape == (20, 30, 4)
    assert (picture.pixels[..., :3] == pixels[..., None]).all()
    assert (picture.pixels[..., 3] == 255).all()
    assert picture.pixels.flags.c_contiguous and not picture.pixels.flags.writeable
