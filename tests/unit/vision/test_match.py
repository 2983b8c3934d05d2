import numpy as np
import pytest
from support.watch_scene import Scene

from kju.errors import UsageError
from kju.surface.geometry import Rect
from kju.vision.match import Finder, Shows, merged
from kju.vision.needle import Needle


def noise(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 4), np.uint8)


def put(scene, picture, x, y):
    height, width = picture.shape[:2]
    scene.draw((x, y, width, height), picture)


@pytest.fixture
def scene():
    scene = Scene()
    scene.pixels[:] = noise(200, 320, 9) // 4
    return scene


def test_equal_place_scores_one(scene):
    picture = noise(20, 30)
    assert not scene.wait(Shows([Needle.of(picture)], None))
    put(scene, picture, 201, 77)
    assert scene.check()
    match = scene.watch.result
    assert (match.rect, match.score, match.number) == (Rect(201, 77, 30, 20), 1.0, 0)
    assert match.click == (216, 87)


def test_the_undefined_byte_does_not_count(scene):
    picture = noise(20, 30)
    needle = Needle.of(picture)
    picture[..., 3] ^= 255
    put(scene, picture, 10, 10)
    assert scene.wait(Shows([needle], None))
    assert scene.watch.result.score == 1.0


@pytest.mark.parametrize("exclude", [(), (Rect(3, 2, 9, 5),)])
def test_matching_again_equals_matching_all(scene, exclude):
    """Whatever changes: the numbers are those of a match that knows nothing of before."""
    needle = Needle.of(noise(20, 30), exclude=exclude)
    watched, rng = Shows([needle], Rect(5, 7, 300, 180)), np.random.default_rng(4)
    scene.wait(watched, Rect(5, 7, 300, 180))
    for seed in range(12):
        x, y = int(rng.integers(0, 290)), int(rng.integers(0, 180))
        put(scene, noise(20, 30, seed) // 2, x, y)
        if seed % 3 == 0:
            put(scene, noise(8, 8, seed), 320 - 8 - x, 200 - 8 - y)
        scene.check()
        fresh = Shows([needle], Rect(5, 7, 300, 180))
        other = Scene()
        other.pixels = scene.pixels
        other.wait(fresh, Rect(5, 7, 300, 180))
        np.testing.assert_allclose(
            watched._finders[0]._sums, fresh._finders[0]._sums, rtol=1e-4, atol=2e3
        )
        assert watched.best(0).rect == fresh.best(0).rect
        assert watched.best(0).score == fresh.best(0).score


def test_a_small_change_is_matched_only_around_it(scene, monkeypatch):
    needle = Needle.of(noise(20, 30))
    finder, sizes = Finder(needle), []
    plain = Finder._match
    monkeypatch.setattr(
        Finder, "_match", lambda self, part: sizes.append(part.shape[:2]) or plain(self, part)
    )
    condition = Shows([needle], None)
    condition._finders = [finder]
    scene.wait(condition)
    scene.draw((96, 96, 5, 5), 7)
    scene.check()
    assert sizes == [(200, 320), (32 + 2 * 19, 32 + 2 * 29)]


def test_excluded_pixels_may_differ(scene):
    picture = noise(20, 30)
    needle = Needle.of(picture, exclude=(Rect(4, 4, 20, 10),), click=(2, 3))
    picture[4:14, 4:24] = 255
    put(scene, picture, 50, 60)
    assert scene.wait(Shows([needle], None))
    assert scene.watch.result.score == 1.0
    assert scene.watch.result.click == (52, 63)
    put(scene, noise(1, 30, 5), 50, 60)
    assert not scene.wait(Shows([needle], None, 0.99))


def test_match_names_its_needle(scene):
    one, two = noise(20, 30, 1), noise(12, 14, 2)
    needles = [Needle.of(one, name="one"), Needle.of(two, name="two")]
    assert not scene.wait(Shows(needles, None))
    assert "any of the images one, two" in str(scene.watch.timed_out(scene.now))
    put(scene, two, 100, 100)
    assert scene.check()
    assert (scene.watch.result.number, scene.watch.result.needle.name) == (1, "two")
    put(scene, one, 10, 10)
    assert scene.wait(Shows(needles, None))
    assert scene.watch.result.number == 0


def test_needle_is_found_at_another_contrast():
    """Dim text on a dim ground is not found where only the ground is."""
    scene = Scene()
    scene.pixels[...] = 40
    text = np.full((16, 60, 4), 40, np.uint8)
    text[4:12, 5:55:4] = 90
    assert not scene.wait(Shows([Needle.of(text)], None))
    assert scene.watch.timed_out(scene.now).best.score <= 0.55
    put(scene, text, 100, 100)
    assert scene.check()


def test_a_plain_needle_is_its_colour():
    scene = Scene()
    plain = np.full((10, 10, 4), (30, 60, 90, 0), np.uint8)
    assert not scene.wait(Shows([Needle.of(plain)], None))
    scene.draw((50, 50, 10, 10), (33, 60, 90, 0))
    assert scene.check()
    assert scene.watch.result.rect == Rect(50, 50, 10, 10)


def test_the_needles_own_similarity_counts(scene):
    picture = noise(20, 30)
    near = picture.copy()
    near[:4] = noise(4, 30, 8)
    put(scene, near, 40, 40)
    assert not scene.wait(Shows([Needle.of(picture)], None))
    assert scene.wait(Shows([Needle.of(picture, similarity=0.7)], None))
    assert scene.wait(Shows([Needle.of(picture)], None, 0.7))
    assert scene.watch.result.score == pytest.approx(0.8, abs=0.05)


def test_a_larger_mode_is_matched_anew(scene):
    picture = noise(150, 250)
    needle = Needle.of(picture)
    small = Scene(200, 100)
    assert not small.wait(Shows([needle], None))
    assert "smaller than the needle" in str(small.watch.timed_out(0))
    small.set_mode(320, 200)
    put(small, picture, 10, 10)
    assert small.check()


def test_a_region_smaller_than_the_needle_is_refused():
    with pytest.raises(UsageError, match="larger than 20x20"):
        Shows([Needle.of(noise(20, 30))], Rect(0, 0, 20, 20))


def test_rectangles_are_merged_where_that_is_no_larger():
    assert merged([Rect(0, 0, 10, 10), Rect(5, 0, 10, 10)]) == [Rect(0, 0, 15, 10)]
    apart = [Rect(0, 0, 10, 10), Rect(50, 50, 10, 10)]
    assert sorted(merged(apart)) == apart
