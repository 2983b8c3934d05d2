"""Lossy viewers: photographs are close first and exact at rest, and viewers know which."""

from __future__ import annotations

import random

import numpy as np
import pytest
from support.wire_scene import Link, Scene, Viewer

from kju.surface.consumer import Consumer
from kju.surface.formats import R8
from kju.surface.geometry import Rect
from kju.wire import messages
from kju.wire.encoder import Encoder, Encoders
from kju.wire.greeting import Stage
from kju.wire.messages import LossySegment, Segment, SessionHello
from kju.wire.photos import MEASURE_INTERVAL, REST_TIME, PhotoPolicy

pytest.importorskip("simplejpeg")
LOSSY = {"lossy": True, "codecs": ["zstd", "jpeg"]}


def lossy_encoder(consumer: Consumer) -> Encoder:
    return Encoder(consumer, policy=PhotoPolicy())


LINKS = {
    "good": {},
    "lossy": {"lost": 0.2},
    "awful": {"lost": 0.2, "repeated": 0.2, "overtaken": 0.2, "delay": 0.02},
}


def photograph(rng: np.random.Generator, width: int, height: int) -> np.ndarray:
    """Soft shapes with a camera's grain."""
    y, x = np.mgrid[:height, :width]
    picture = np.zeros((height, width, 4), np.uint8)
    for channel in range(3):
        shape = np.sin(x / (20 + 5 * channel) + 9 * rng.random()) * np.cos(y / 17 + channel)
        picture[..., channel] = np.clip(110 + 60 * shape + rng.normal(0, 4, y.shape), 0, 255)
    return picture


def text(rng: np.random.Generator, width: int, height: int) -> np.ndarray:
    """Letters with soft edges, more or less."""
    picture = np.full((height, width, 4), 255, np.uint8)
    for y in range(4, height - 12, 16):
        for x in range(4, width - 8, 9):
            letter = rng.random((10, 7)) < 0.3
            edge = np.roll(letter, 1, 1) & ~letter
            picture[y : y + 10, x : x + 7][letter] = (20, 20, 20, 0)
            picture[y : y + 10, x : x + 7][edge] = rng.integers(90, 200, (int(edge.sum()), 4))
    return picture


def scene_of(width: int = 320, height: int = 240, **options: int) -> Scene:
    scene = Scene(capacity=4 << 20, make=lossy_encoder, **options)
    scene.producer.set_mode(width, height)
    return scene


def settle(scene: Scene, seconds: float = 30) -> None:
    """Run until every viewer shows exactly the screen."""
    end = scene.now + seconds
    while scene.now < end:
        scene.run(0.01)
        if all(
            each.receiver.picture.exact and each.shows(scene.producer) for each in scene.viewers
        ):
            return
    raise AssertionError("a viewer does not show the screen exactly")


def error_of(viewer: Viewer, scene: Scene) -> float:
    """Return the root mean square of the differences, 0 to 255."""
    mine, theirs = viewer.target.pixels, scene.producer.pixels
    return float(np.sqrt(np.mean((mine[..., :3].astype(float) - theirs[..., :3]) ** 2)))


def happen(scene: Scene, rng: np.random.Generator) -> None:
    """A photograph, letters, a scroll, or another picture."""
    pixels = scene.producer.pixels.copy()
    x, y, what = int(rng.integers(200)), int(rng.integers(160)), rng.integers(4)
    if what == 0:
        pixels[y : y + 60, x : x + 90] = photograph(rng, 90, 60)
    elif what == 1:
        pixels[y : y + 8, x : x + 30] = rng.integers(0, 256, 4)
    elif what == 2:
        pixels[:-16] = pixels[16:].copy()
    else:
        pixels[...] = photograph(rng, 320, 240)
    scene.producer.compare(pixels)


# ---- near, and then exact ----


def test_a_film_costs_a_fraction_and_its_last_picture_becomes_exact() -> None:
    bytes_of = {}
    for make in (Encoder, lossy_encoder):
        rng = np.random.default_rng(1)
        scene = Scene(capacity=4 << 20, make=make)
        scene.producer.set_mode(640, 480)
        viewer = scene.view(**LOSSY)
        scene.run(0.1)
        for _ in range(12):
            picture = scene.producer.pixels.copy()
            picture[50:300, 70:400] = photograph(rng, 330, 250)
            scene.producer.compare(picture)
            scene.run(0.04)
        bytes_of[make] = viewer.down.bytes
        if make is lossy_encoder:
            assert not viewer.receiver.picture.exact
            assert viewer.receiver.picture.complete_version == scene.producer.version
            assert 0.5 < error_of(viewer, scene) < 6
        settle(scene)
        assert viewer.receiver.picture.complete_version == scene.producer.version
    assert bytes_of[lossy_encoder] < bytes_of[Encoder] / 6


@pytest.mark.parametrize("name", LINKS)
def test_a_viewer_reports_exact_only_when_it_is(name: str) -> None:
    rng, scene = np.random.default_rng(5), scene_of()
    link = {"lost": 0.0, **LINKS[name]}
    viewers = [scene.view(Link(**link), Link(**link, rng=random.Random(2)), **LOSSY)]
    claims = 0
    for number in range(21):
        if number == 8:
            viewers.append(scene.view(Link(**link, rng=random.Random(3)), Link(**link), **LOSSY))
        if number < 20:
            happen(scene, rng)
        rests = 4000 if number == 20 else 700 if number % 9 == 6 else int(rng.integers(1, 40))
        for _ in range(rests):
            scene.run(0.001)
            for viewer in viewers:
                if (
                    viewer.receiver.picture.exact
                    and viewer.receiver.picture.complete_version >= scene.producer.version
                ):
                    claims += 1
                    assert viewer.shows(scene.producer)
    settle(scene)
    assert claims
    for viewer in viewers:
        assert viewer.receiver.stage is Stage.OPEN
        assert viewer.receiver.picture.complete_version == scene.encoder.complete_version


@pytest.mark.parametrize("seed", range(4))
def test_whole_is_only_claimed_for_a_whole_picture(seed: int) -> None:
    """The last of several repairs needs those before it, without photos too."""
    rng = np.random.default_rng(seed)
    scene = Scene()
    scene.producer.set_mode(320, 240)
    claims = 0
    link = {"lost": 0.15, "overtaken": 0.1, "repeated": 0.1, "delay": 0.005}
    for number in range(20):
        if number in (0, 8):
            rngs = (random.Random(7 * seed + number), random.Random(7 * seed + number + 1))
            scene.view(Link(**link, rng=rngs[0]), Link(**link, rng=rngs[1]))
        happen(scene, rng)
        rests = 400 if number % 5 == 4 else int(rng.integers(1, 60))
        for rest in range(rests):
            scene.run(0.001)
            version = scene.producer.version
            claiming = [
                each for each in scene.viewers if each.receiver.picture.complete_version >= version
            ]
            claims += len(claiming)
            assert all(each.shows(scene.producer) for each in claiming)
            if rest >= 60 and claiming == scene.viewers:
                break
    assert claims


def test_text_never_comes_as_a_photo() -> None:
    rng, scene = np.random.default_rng(2), scene_of()
    viewer = scene.view(**LOSSY)
    for _ in range(5):
        scene.producer.compare(text(rng, 320, 240))
        scene.run(0.02)
        assert viewer.receiver.picture.exact
    settle(scene)
    assert scene.encoder.is_exact


def test_a_colour_gradient_is_sent_exactly() -> None:
    scene = scene_of(640, 480)
    viewer = scene.view(**LOSSY)
    y, x = np.mgrid[:480, :640]
    picture = np.zeros((480, 640, 4), np.uint8)
    picture[..., 0], picture[..., 1], picture[..., 2] = x // 3, y // 2, (x + y) // 5
    scene.producer.compare(picture)
    scene.run(0.1)
    assert viewer.receiver.picture.exact
    assert viewer.shows(scene.producer)
    assert viewer.down.bytes < 20_000


def test_one_tile_of_a_photograph_is_not_searched_for_in_a_large_change() -> None:
    rng, scene = np.random.default_rng(8), scene_of(640, 480)
    viewer = scene.view(**LOSSY)
    scene.run(0.01)
    picture = np.full((480, 640, 4), 40, np.uint8)
    picture[64:96, 64:96] = photograph(rng, 32, 32)
    scene.producer.compare(picture)
    scene.run(0.05)
    assert viewer.receiver.picture.exact
    assert viewer.shows(scene.producer)
    picture[64:96, 64:96] = photograph(rng, 32, 32)
    scene.producer.compare(picture)
    scene.run(0.05)
    assert not viewer.receiver.picture.exact, "alone it is a photo"
    settle(scene)


def test_a_photograph_with_text_beside_it_has_exact_text() -> None:
    rng, scene = np.random.default_rng(3), scene_of()
    viewer = scene.view(**LOSSY)
    scene.run(0.01)
    picture = text(rng, 320, 240)
    picture[64:200, 32:200] = photograph(rng, 168, 136)
    scene.producer.compare(picture)
    scene.run(0.05)
    assert not viewer.receiver.picture.exact
    wrong = (viewer.target.pixels[..., :3] != picture[..., :3]).any(-1)
    assert wrong[64:200, 32:200].mean() > 0.5
    wrong[64:224, 32:224] = False  # in the tiles at its edge are letters as well
    assert not wrong.any()
    settle(scene)


def test_a_move_from_a_rough_tile_is_rough() -> None:
    rng, scene = np.random.default_rng(4), scene_of()
    viewer = scene.view(**LOSSY)
    long = photograph(rng, 320, 600)
    for top in range(0, 80, 8):
        scene.producer.compare(np.ascontiguousarray(long[top : top + 240]))
        scene.run(0.03)
        assert viewer.receiver.picture.exact is viewer.shows(scene.producer)
    assert not viewer.receiver.picture.exact
    settle(scene)


def test_a_film_does_not_keep_the_rest_of_the_screen_rough() -> None:
    rng, scene = np.random.default_rng(6), scene_of()
    viewer = scene.view(**LOSSY)
    picture = photograph(rng, 320, 240)
    scene.run(0.01)
    end = 0
    while not np.array_equal(viewer.target.pixels[128:, :, :3], picture[128:, :, :3]):
        picture[:64, :96] = photograph(rng, 96, 64)
        scene.producer.compare(picture.copy())
        scene.run(0.03)
        end += 1
        assert end < 100
    assert not viewer.receiver.picture.exact


def test_tiles_at_rest_get_their_turn_beside_a_film() -> None:
    rng, scene = np.random.default_rng(6), scene_of()
    encoder, now = scene.encoder, 1.0
    picture = photograph(rng, 320, 240)
    scene.producer.compare(picture)
    while encoder.advance(now):
        pass
    films = [photograph(rng, 320, 96) for _ in range(4)]
    exact = 0
    for number in range(300):
        now += 0.1
        picture[:96] = films[number % 4]
        scene.producer.compare(picture.copy())
        step = encoder.advance(now, max_bytes=2000)
        assert step is not None
        assert encoder.has_changes(now)  # the film is never done
        exact += not step.photos
        if not encoder.policy.rough[30:].any():
            break
    assert not encoder.policy.rough[30:].any()
    assert encoder.policy.rough[:30].any()
    assert 0.2 < exact / number < 0.3


def test_redrawing_the_same_pixels_does_not_keep_a_photograph_rough() -> None:
    rng, scene = np.random.default_rng(6), scene_of()
    viewer = scene.view(**LOSSY)
    picture = photograph(rng, 320, 240)
    scene.producer.compare(picture)
    for _ in range(int(3 * REST_TIME / 0.03)):
        scene.producer.draw(Rect(0, 0, 320, 240), picture, stride=1280)
        scene.run(0.03)
    assert viewer.receiver.picture.exact
    assert viewer.shows(scene.producer)


def test_a_late_viewer_has_a_photograph_near_first_and_others_stay_right() -> None:
    rng, scene = np.random.default_rng(6), scene_of()
    early = scene.view(**LOSSY)
    picture = photograph(rng, 320, 240)
    picture[:60] = text(rng, 320, 60)
    scene.producer.compare(picture)
    settle(scene)
    late = scene.view(**LOSSY)
    plain = early.down.bytes
    while not late.receiver.picture.complete_version:
        scene.run(0.001)
    assert late.down.bytes < 40_000
    assert not late.receiver.picture.exact
    assert np.array_equal(late.target.pixels[:32, :, :3], picture[:32, :, :3])
    while not late.receiver.picture.exact:
        assert early.shows(scene.producer)
        scene.run(0.001)
    assert late.shows(scene.producer)
    assert early.down.bytes - plain < 200_000
    settle(scene)
    # What has become text is sent as that, when it is not believed any more to be a photograph.
    scene.run(MEASURE_INTERVAL)
    picture = text(rng, 320, 240)
    scene.producer.compare(picture)
    settle(scene)
    another = scene.view(**LOSSY)
    while not another.receiver.picture.complete_version:
        scene.run(0.001)
    assert another.receiver.picture.exact


def test_grey_screens_and_other_modes() -> None:
    rng, scene = np.random.default_rng(7), scene_of()
    viewer = scene.view(**LOSSY)
    scene.producer.compare(photograph(rng, 320, 240))
    scene.run(0.05)
    assert not viewer.receiver.picture.exact
    scene.producer.set_mode(200, 160, fourcc=R8)
    grey = np.ascontiguousarray(photograph(rng, 200, 160)[..., 1])
    scene.producer.compare(grey)
    scene.run(0.1)
    assert viewer.target.mode.fourcc == R8
    assert not viewer.receiver.picture.exact
    assert 0.5 < np.abs(viewer.target.pixels.astype(int) - grey).mean() < 6
    settle(scene)


@pytest.mark.parametrize("tile", [8, 64, 256])
def test_tiles_of_any_size(tile: int) -> None:
    rng, scene = np.random.default_rng(9), scene_of(500, 300, tile=tile)
    viewer = scene.view(**LOSSY)
    scene.run(0.01)
    for _ in range(4):
        picture = scene.producer.pixels.copy()
        picture[20:270, 30:411] = photograph(rng, 381, 250)
        scene.producer.compare(picture)
        scene.run(0.2)
        assert not viewer.receiver.picture.exact
    settle(scene)


# ---- encoders of viewers ----


def hello(codecs: list[str], *, lossy: bool = False, audience: bool = False) -> SessionHello:
    return SessionHello(1, "view", codecs, 1 << 20, audience=audience, lossy=lossy)


def test_each_way_of_reading_has_one_encoder() -> None:
    encoders = Encoders(Scene().consumer)
    kinds = {
        ("zstd", False): [hello(["zstd", "raw"]), hello(["zstd", "jpeg"]), hello(["another"]),
                          hello(["zstd"], lossy=True), hello([]),
                          hello(["raw", "jpeg"], lossy=True, audience=True)],
        ("zstd", True): [hello(["zstd", "jpeg"], lossy=True), hello(["jpeg", "zstd"], lossy=True)],
        ("raw", False): [hello(["raw", "zstd"])],
        ("raw", True): [hello(["raw", "jpeg"], lossy=True)],
        ("lz4", False): [hello(["another", "lz4", "zstd"])],
    }  # fmt: skip
    made = set()
    for (codec, lossy), said in kinds.items():
        found = {id(encoders.for_viewer(each)): encoders.for_viewer(each) for each in said}
        (encoder,) = found.values()
        assert (encoder.codec, encoder.is_lossy) == (codec, lossy)
        made.add(id(encoder))
    assert len(made) == len(kinds)


def test_other_viewers_are_sent_the_same_bytes_whether_one_is_lossy_or_not() -> None:
    said = []
    for with_lossy in (False, True):
        rng, scene = np.random.default_rng(8), Scene()
        scene.producer.set_mode(320, 240)
        viewer = scene.view()
        if with_lossy:
            encoders = Encoders(scene.consumer)
            scene.encoder, plain = (
                encoders.for_viewer(hello(["zstd", "jpeg"], lossy=True)),
                scene.encoder,
            )
            scene.view(**LOSSY)
            scene.encoder = plain
        sent: list[bytes] = []
        put = viewer.down.put
        viewer.down.put = lambda message, now, data, put=put, sent=sent: (  # type: ignore[method-assign]
            sent.append(messages.encode(message)), put(message, now, data))  # fmt: skip
        for _ in range(15):
            happen(scene, rng)
            scene.run(0.03)
        assert {type(each) for each in map(messages.decode_from_sender, sent)} >= {Segment}
        assert LossySegment not in {type(each) for each in map(messages.decode_from_sender, sent)}
        said.append(sent)
    assert said[0] == said[1]


def test_text_is_sent_equally_to_lossy_and_lossless_viewers() -> None:
    said = []
    for make in (Encoder, lossy_encoder):
        rng, scene = np.random.default_rng(8), Scene(make=make)
        scene.producer.set_mode(320, 240)
        viewer = scene.view(**LOSSY)
        scene.run(0.01)
        before = viewer.down.bytes
        for _ in range(5):
            scene.producer.compare(text(rng, 320, 240))
            scene.run(0.03)
        said.append(viewer.down.bytes - before)
    assert said[0] == said[1]
