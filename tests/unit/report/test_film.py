import io

import numpy as np
import pytest
from PIL import Image

from kju.report.film import Film, compressed


def picture(value, shape=(48, 64, 4)):
    return np.full(shape, value, np.uint8)


def with_cursor(frame, on):
    frame = frame.copy()
    frame[10:26, 10:18] = 200 if on else 0
    return frame


def shown(film, frames, *, step=1.0):
    return [film.show(n * step, frame, (1, n + 1)) for n, frame in enumerate(frames)]


def test_pictures_have_the_pixels_of_frames():
    frame = np.arange(48 * 64 * 4, dtype=np.uint8).reshape(48, 64, 4)
    film = Film()
    assert film.show(0.5, frame, (1, 1))
    (kept,) = film.pictures
    assert (kept.time, kept.width, kept.height) == (0.5, 64, 48)
    with Image.open(io.BytesIO(kept.png)) as image:
        assert np.array_equal(np.asarray(image), frame[..., 2::-1])


def test_bytes_without_colour_are_grey():
    with Image.open(io.BytesIO(compressed(picture(7, (4, 4))))) as image:
        assert image.mode == "L"


def test_equal_frames_are_stored_once():
    alpha = picture(1)
    alpha[..., 3] = 9  # undefined: no difference
    film = Film()
    assert shown(film, [picture(1), picture(1), alpha, picture(2)]) == [True, False, False, True]


def test_older_frame_is_ignored():
    film = Film()
    assert film.show(0, picture(1), (1, 5))
    assert not film.show(1, picture(2), (1, 4))
    assert film.show(2, picture(3), (2, 1))  # another producer's


def test_picture_has_the_time_of_its_first_frame():
    film = Film()
    film.show(1, picture(1), (1, 1))
    film.show(3, picture(2), (1, 2))
    assert not film.show(2, picture(2), (1, 2))
    assert [kept.time for kept in film.pictures] == [1, 2]
    assert not film.show(0, picture(2), (1, 2))
    assert [kept.time for kept in film.pictures] == [1, 1]


def test_a_cursor_that_blinks_is_two_pictures():
    base = picture(0)
    film = Film()
    frames = [with_cursor(base, n % 2) for n in range(20)]
    assert sum(shown(film, frames, step=0.5)) == 2
    base[40:] = 255
    assert film.show(20, base, (1, 99))


def test_slow_or_large_change_is_not_a_cursor():
    film = Film()
    assert sum(shown(film, [with_cursor(picture(0), n % 2) for n in range(6)], step=5)) == 6
    film = Film()
    frames = [picture(n % 2 * 255, (128, 64, 4)) for n in range(6)]
    assert sum(shown(film, frames, step=0.25)) == 6


def test_last_picture_is_exact():
    film = Film()
    frames = [with_cursor(picture(0), n % 2) for n in range(3)]
    shown(film, frames, step=0.5)
    assert len(film.pictures) == 2
    assert film.show(2, frames[0], (1, 3), final=True)
    assert not film.show(3, frames[0], (1, 3), final=True)
    assert film.pictures[-1].png == film.pictures[0].png


def test_stored_pictures_are_spread_over_the_time():
    film = Film(most=10)
    shown(film, [picture(n) for n in range(200)])
    times = [kept.time for kept in film.pictures]
    assert len(times) == 10 and (times[0], times[-1]) == (0, 199)
    assert max(np.diff(times)) < 80  # not the newest only, not the oldest only
    assert sum(kept.left_out for kept in film.pictures) == 190


@pytest.mark.parametrize("most_bytes", [1, 20_000])
def test_bytes_are_bounded(most_bytes):
    noise = np.random.default_rng(4)
    film = Film(most_bytes=most_bytes)
    for n in range(60):
        film.show(n, noise.integers(0, 256, (48, 64, 4), np.uint8), (1, n + 1))
        assert film.bytes == sum(len(kept.png) for kept in film.pictures)
        assert film.bytes <= most_bytes or len(film.pictures) == 1
    assert film.pictures[-1].time == 59
