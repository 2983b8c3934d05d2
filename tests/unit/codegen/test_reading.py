"""The last frames, by time."""

from __future__ import annotations

from typing import Any

import numpy as np

from kju.codegen.reading import History


def frame(number: int) -> Any:
    return np.full((10, 10, 4), number, np.uint8)


def number(found: Any) -> int:
    return int(found.frame[0, 0, 0])


def test_the_frame_of_a_time_is_not_younger() -> None:
    history = History()
    assert history.at(5.0) is None
    assert history.newest() is None
    for time in (1, 2, 3):
        history.add(float(time), frame(time))
    assert [number(history.at(time)) for time in (0.5, 1.0, 1.9, 2.0, 9.0)] == [1, 1, 1, 2, 3]
    assert number(history.newest()) == 3


def test_frames_are_bounded_by_their_bytes() -> None:
    history = History(max_bytes=6 * 400)
    for time in range(50):
        history.add(float(time), frame(time))
    assert list(history.times()) == [44, 45, 46, 47, 48, 49]
    large = History(max_bytes=1)
    for time in range(50):
        large.add(float(time), frame(time))
    assert len(list(large.times())) == 4, "a screen of any size has some frames"
