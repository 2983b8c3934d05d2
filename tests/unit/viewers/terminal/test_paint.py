import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from support.vt import Terminal, indexed

from kju.viewers.terminal.paint import BLANK, RAMP, Ability, Colours, ability, blank, diff, quantise

TRUE, MANY, NONE = (Ability(colours) for colours in (Colours.TRUE, Colours.MANY, Colours.NONE))
few = st.sampled_from([BLANK, 0, 16, 231, 255])
grids = arrays(np.int32, st.tuples(st.integers(1, 5), st.integers(1, 7), st.just(2)), elements=few)


def terminal(codes):
    return Terminal(codes.shape[1], codes.shape[0])


def colour(code, depth):
    if code == BLANK:
        return None
    return (code >> 16, code >> 8 & 255, code & 255) if depth is TRUE else indexed(code)


def expected(codes, depth):
    return [[(colour(a, depth), colour(b, depth)) for a, b in row] for row in codes.tolist()]


@pytest.mark.parametrize("depth", [TRUE, MANY])
@given(grids, st.data())
def test_a_difference_applied_to_one_screen_gives_the_other(depth, before, data):
    after = data.draw(arrays(np.int32, before.shape, elements=few))
    screen = terminal(before)
    screen.feed(diff(blank(*before.shape[:2]), before, depth))
    assert screen.dots() == expected(before, depth)
    written = screen.written
    screen.feed(diff(before, after, depth))
    assert screen.dots() == expected(after, depth)
    assert screen.written - written == (before != after).any(axis=2).sum()


def test_equal_screens_write_nothing():
    codes = np.full((3, 4, 2), 7, np.int32)
    assert diff(codes, codes.copy(), TRUE) == b""


def test_a_colour_that_is_set_is_not_set_again():
    codes = np.zeros((2, 3, 2), np.int32)
    assert diff(blank(2, 3), codes, TRUE) == b"\x1b[0m\x1b[1;1H\x1b[48;2;0;0;0m   \x1b[2;1H   "


def test_blocks_turn_round_to_keep_the_pen():
    codes = np.array([[[1, 2], [2, 1], [1, 1], [2, 2]]], np.int32)
    assert diff(blank(1, 4), codes, MANY).decode() == "\x1b[0m\x1b[1;1H\x1b[38;5;1;48;5;2m▀▄█ "


def test_unchanged_cells_are_skipped():
    before = blank(1, 9)
    after = before.copy()
    after[0, [1, 8]] = 5
    assert diff(before, after, MANY) == b"\x1b[0m\x1b[1;2H\x1b[48;5;5m \x1b[6C "


def test_without_blocks_a_cell_is_one_colour():
    dots = np.array([[[10, 0, 0]], [[30, 0, 0]]], np.uint8)
    plain = Ability(Colours.TRUE, blocks=False)
    codes = quantise(dots, plain)
    assert codes.tolist() == [[[20 << 16, 20 << 16]]]
    assert diff(blank(1, 1), codes, plain).isascii()


@given(arrays(np.uint8, (2, 5, 3)))
def test_without_blocks_or_colours_only_ascii_is_written(dots):
    for depth in (Ability(Colours.MANY, blocks=False), NONE, Ability(Colours.NONE, blocks=False)):
        assert diff(blank(1, 5), quantise(dots, depth), depth).isascii()


def test_true_colours_are_kept():
    dots = np.array([[[1, 2, 3]], [[255, 254, 253]]], np.uint8)
    screen = Terminal(1, 1)
    screen.feed(diff(blank(1, 1), quantise(dots, TRUE), TRUE))
    assert screen.dots() == [[((1, 2, 3), (255, 254, 253))]]


@given(arrays(np.uint8, (2, 1, 3)))
def test_the_nearest_of_240_colours_is_chosen(dots):
    cube = [0, 95, 135, 175, 215, 255]
    palette = [(r, g, b) for r in cube for g in cube for b in cube]
    palette += [(8 + 10 * i,) * 3 for i in range(24)]
    distances = ((np.array(palette) - dots[0, 0].astype(int)) ** 2).sum(axis=1)
    code = quantise(dots, MANY)[0, 0, 0]
    # The grey is chosen by the mean, which may be one step from the nearest.
    assert 16 <= code <= 255
    assert distances[code - 16] <= distances.min() + 3 * 10**2


def test_without_colours_brightness_is_a_denser_character():
    dots = np.repeat(np.array([0, 1, 128, 255], np.uint8), 3).reshape(1, 4, 3).repeat(2, axis=0)
    screen = Terminal(4, 1)
    screen.feed(diff(blank(1, 4), quantise(dots, NONE), NONE))
    assert screen.text() == [" " + RAMP[1] + RAMP[5] + RAMP[-1]]


@pytest.mark.parametrize(
    ("environment", "colours", "moves"),
    [
        ({"TERM": "xterm-256color", "COLORTERM": "truecolor"}, Colours.TRUE, True),
        ({"TERM": "xterm-kitty"}, Colours.TRUE, True),
        ({"TERM": "xterm-direct"}, Colours.TRUE, True),
        ({"TERM": "tmux-256color"}, Colours.MANY, True),
        ({"TERM": "screen"}, Colours.MANY, True),
        ({"TERM": "linux"}, Colours.MANY, True),
        ({"TERM": "vt100"}, Colours.NONE, True),
        ({"TERM": "xterm", "NO_COLOR": "1"}, Colours.NONE, True),
        ({"TERM": "vt100", "KJU_COLOURS": "true"}, Colours.TRUE, True),
        ({"TERM": "dumb"}, Colours.NONE, False),
        ({}, Colours.NONE, False),
    ],
)
def test_environment_names_the_terminals_abilities(environment, colours, moves):
    assert ability(environment, "utf-8") == Ability(colours, True, moves)
    assert not ability(environment, "ANSI_X3.4-1968").blocks
