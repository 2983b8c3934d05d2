import numpy as np

from kju.cli.surface import heat, heat_picture
from kju.viewers.terminal.paint import Ability, Colours

PLAIN = Ability(Colours.NONE)


def table(rows):
    return np.array(rows, np.uint64)


def test_the_newest_is_hottest_and_the_oldest_coldest():
    hot = heat(table([[1000, 999, 990, 1]]), 1000)[0]
    assert hot[0] == 255 and hot[-1] == 0
    assert list(hot) == sorted(hot, reverse=True)


def test_tiles_of_one_age_are_all_hot():
    assert (heat(table([[5, 5], [5, 5]]), 5) == 255).all()


def test_a_tile_may_be_newer_than_the_version_that_was_read():
    assert heat(table([[7, 5]]), 5)[0, 0] == 255


def test_versions_may_have_64_bits():
    assert heat(table([[2**64 - 1, 0]]), 2**64 - 1).tolist() == [[255, 0]]


def test_a_character_is_two_tiles():
    assert heat_picture(table([[9, 1], [9, 1]]), 9, PLAIN, 80, 24) == ["@."]
    lines = heat_picture(table([[9, 1], [1, 1], [1, 9]]), 9, Ability(Colours.TRUE), 80, 24)
    assert len(lines) == 2
    assert all(line.endswith("\x1b[0m") for line in lines)


def test_large_tables_are_made_to_fit_and_keep_their_hottest():
    big = np.ones((300, 500), np.uint64)
    big[150, 499] = 50
    lines = heat_picture(big, 50, PLAIN, 80, 20)
    assert len(lines) <= 20 and max(map(len, lines)) <= 80
    assert sum(set(line) != {"."} for line in lines) == 1


def test_table_without_tiles_gives_no_picture():
    assert heat_picture(np.empty((0, 0), np.uint64), 0, PLAIN, 80, 24) == []
