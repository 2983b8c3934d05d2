from __future__ import annotations

import os

import numpy as np
import pytest
from support.fake_display import XRGB, memfd

from kju.errors import LimitError, PeerError
from kju.memory.shared import Descriptor
from kju.sources.display1.listener import (
    CursorDefine,
    Disable,
    MouseSet,
    Scanout,
    ScanoutMap,
    Unannounced,
    Update,
    UpdateMap,
)
from kju.sources.display1.presenter import HOLD_PLACEHOLDER, HOLD_SIZE, NEVER, Presenter
from kju.sources.display1.scanout import MAX_MAPPINGS
from kju.surface import State, surface_size
from kju.surface.consumer import Consumer
from kju.surface.geometry import Rect
from kju.surface.producer import Producer

CAPACITY = 1 << 20


def surface(capacity: int = CAPACITY) -> tuple[Producer, Consumer]:
    memory = np.zeros(surface_size(capacity), np.uint8)
    return Producer.format(memory.data, capacity, incarnation=7), Consumer(memory.data)


def picture(width: int, height: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 4), np.uint8)


def scanout(image: np.ndarray) -> Scanout:
    height, width = image.shape[:2]
    data = memoryview(image.tobytes())
    return Scanout(width, height, width * 4, XRGB, "xrgb8888", data)


def update(image: np.ndarray, rect: Rect) -> Update:
    part = image[rect.y : rect.bottom, rect.x : rect.right]
    return Update(rect, rect.width * 4, XRGB, "xrgb8888", memoryview(part.tobytes()))


def scanout_map(fd: int, width: int, height: int, offset: int = 0) -> ScanoutMap:
    owner = Descriptor(os.dup(fd))
    return ScanoutMap(owner, offset, width, height, width * 4, XRGB, "xrgb8888")


class Rig:
    def __init__(self) -> None:
        self.producer, self.consumer = surface()
        self.presenter = Presenter(self.producer)
        self.now = 100.0

    def take(self, *events: object) -> None:
        for event in events:
            self.presenter.handle(event, self.now)
        self.presenter.publish(self.now)

    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.presenter.publish(self.now)

    def shows(self, image: np.ndarray) -> bool:
        pixels = self.producer.pixels
        return pixels.shape == image.shape and bool((pixels[..., :3] == image[..., :3]).all())


@pytest.fixture
def rig() -> Rig:
    return Rig()


@pytest.fixture
def fds():
    held: list[int] = []

    def make(image: np.ndarray, name: str = "virtio-gpu res") -> int:
        held.append(memfd(image.tobytes(), name))
        return held[-1]

    yield make
    for fd in held:
        os.close(fd)


def test_first_picture_is_published_at_once(rig):
    image = picture(64, 48, 1)
    rig.take(scanout(image))
    assert rig.shows(image)
    assert rig.consumer.state[0] == State.LIVE
    assert rig.presenter.deadline == NEVER


def test_updates_are_drawn(rig):
    image = picture(64, 48, 1)
    rig.take(scanout(image))
    image[10:20, 5:50] = 9
    rig.take(update(image, Rect(5, 10, 45, 10)))
    assert rig.shows(image)


def test_repaint_publishes_only_the_differences(rig):
    image = picture(256, 256, 1)
    rig.take(scanout(image))
    version = rig.producer.version
    rig.take(scanout(image))
    assert rig.producer.version == version


def test_another_size_is_delayed_and_updates_belong_to_it(rig):
    old, new = picture(64, 48, 1), picture(80, 60, 2)
    rig.take(scanout(old))
    rig.take(scanout(new))
    assert rig.shows(old)
    assert rig.presenter.deadline == pytest.approx(rig.now + HOLD_SIZE)
    new[0:5, 0:70] = 3
    rig.take(update(new, Rect(0, 0, 70, 5)))
    assert rig.shows(old)
    rig.wait(HOLD_SIZE)
    assert rig.shows(new)
    assert rig.presenter.deadline == NEVER


def test_size_that_lasts_one_tick_is_never_published(rig):
    old, flash = picture(64, 48, 1), picture(80, 60, 2)
    rig.take(scanout(old))
    epoch = rig.producer.mode.epoch
    rig.take(scanout(flash))
    rig.wait(HOLD_SIZE / 2)
    rig.take(scanout(old))
    rig.wait(1)
    assert rig.producer.mode.epoch == epoch
    assert rig.shows(old)


def test_sizes_that_change_forever_are_published_in_the_end(rig):
    rig.take(scanout(picture(64, 48, 1)))
    epoch = rig.producer.mode.epoch
    for number in range(20):
        rig.take(scanout(picture(64 + number, 80, number)))
        rig.wait(HOLD_SIZE * 0.9)
    assert rig.producer.mode.epoch > epoch


def test_map_is_compared_where_it_was_updated(rig, fds):
    image = picture(128, 128, 1)
    fd = fds(image)
    rig.take(scanout_map(fd, 128, 128))
    assert rig.shows(image)
    image[40:60, 40:60] = 5
    os.pwrite(fd, image.tobytes(), 0)
    rig.take()
    assert not rig.shows(image)
    rig.take(UpdateMap(Rect(40, 40, 20, 20)))
    assert rig.shows(image)


def test_page_flips_are_published_at_once_and_not_mapped_again(rig, fds):
    images = [picture(64, 64, seed) for seed in range(2)]
    buffers = [fds(image) for image in images]
    for number in range(6):
        rig.take(scanout_map(buffers[number % 2], 64, 64))
        assert rig.shows(images[number % 2])
    assert len(rig.presenter._mappings) == 2


def test_mappings_are_bounded(rig, fds):
    for seed in range(3 * MAX_MAPPINGS):
        image = picture(64, 64, seed)
        rig.take(scanout_map(fds(image), 64, 64))
        assert rig.shows(image)
    assert len(rig.presenter._mappings) == MAX_MAPPINGS


def test_placeholder_at_a_mode_change_is_never_published(rig, fds):
    old, flash, new = picture(64, 64, 1), picture(64, 64, 2), picture(96, 64, 3)
    rig.take(scanout_map(fds(old), 64, 64))
    rig.take(scanout_map(fds(flash, "displaysurface"), 64, 64), UpdateMap(Rect(0, 0, 64, 64)))
    rig.wait(0.1)
    assert rig.shows(old)
    rig.take(scanout_map(fds(new), 96, 64))
    rig.wait(HOLD_SIZE)
    assert rig.shows(new)


def test_placeholder_that_lasts_is_published(rig, fds):
    old, flash = picture(64, 64, 1), picture(64, 64, 2)
    rig.take(scanout_map(fds(old), 64, 64))
    rig.take(scanout_map(fds(flash, "displaysurface"), 64, 64))
    rig.wait(HOLD_PLACEHOLDER - 0.01)
    assert rig.shows(old)
    rig.wait(0.01)
    assert rig.shows(flash)


def test_maps_and_bytes_may_alternate(rig, fds):
    first, second, third = (picture(64, 64, seed) for seed in range(3))
    fd = fds(first)
    rig.take(scanout_map(fd, 64, 64))
    rig.take(scanout(second))
    assert rig.shows(second)
    os.pwrite(fd, third.tobytes(), 0)
    rig.take(scanout_map(fd, 64, 64))
    assert rig.shows(third)


def test_falling_back_to_bytes_is_noticed(rig, fds):
    image = picture(64, 64, 1)
    rig.take(scanout_map(fds(image), 64, 64))
    rig.take(scanout(picture(64, 32, 1)))
    assert not rig.presenter.fell_back  # another mode may well be unmappable
    rig.take(scanout(image))
    assert rig.presenter.fell_back
    rig.take(scanout_map(fds(image), 64, 64))
    assert not rig.presenter.fell_back


def test_an_unannounced_size_is_noticed(rig):
    rig.take(scanout(picture(64, 64, 1)))
    rig.take(Unannounced(Rect(0, 0, 720, 16)))
    assert rig.presenter.out_of_step
    rig.take(scanout(picture(64, 64, 1)))
    assert not rig.presenter.out_of_step


@pytest.mark.parametrize(("offset", "width"), [(1, 64), (0, 65), (1 << 39, 64)])
def test_map_larger_than_its_memory_is_rejected(rig, fds, offset, width):
    image = picture(64, 64, 1)
    fd = fds(image)
    rig.take(scanout_map(fd, 64, 64))
    with pytest.raises(PeerError, match="its memory has"):
        rig.take(scanout_map(fd, width, 64, offset))
    assert rig.shows(image)


def test_map_of_a_descriptor_without_memory_is_rejected(rig):
    reader, writer = os.pipe()
    with pytest.raises(PeerError, match="is not memory"):
        rig.take(scanout_map(reader, 4, 4))
    os.close(reader)
    os.close(writer)


def test_offset_of_a_map_is_applied(rig):
    image = picture(64, 64, 1)
    fd = memfd(bytes(52) + image.tobytes())
    rig.take(scanout_map(fd, 64, 64, 52))
    os.close(fd)
    assert rig.shows(image)


def test_truncated_memory_makes_the_surface_unavailable(rig, fds):
    image = picture(128, 128, 1)
    fd = fds(image)
    rig.take(scanout_map(fd, 128, 128))
    os.ftruncate(fd, 0)
    with pytest.raises(PeerError, match="cut short"):
        rig.take(UpdateMap(Rect(0, 0, 128, 128)))
    assert rig.consumer.state[0] == State.UNAVAILABLE
    rig.take(scanout(image))
    assert rig.shows(image)
    assert rig.consumer.state[0] == State.LIVE


def test_picture_of_a_paused_machine_is_paused(rig):
    rig.presenter.set_paused(True)
    rig.take(scanout(picture(64, 64, 1)))
    assert rig.consumer.state[0] == State.PAUSED


def test_pause_is_published_with_a_picture_and_kept(rig):
    rig.presenter.set_paused(True)
    assert rig.consumer.state[0] == State.LIVE, "without a picture another part sets the state"
    rig.take(scanout(picture(64, 64, 1)))
    assert rig.consumer.state[0] == State.PAUSED
    rig.take(scanout(picture(64, 64, 2)))
    rig.presenter.set_paused(False)
    assert rig.consumer.state[0] == State.LIVE
    rig.presenter.set_paused(True)
    rig.take(Disable())
    rig.presenter.set_paused(False)
    rig.presenter.set_paused(True)
    assert rig.consumer.state[0] == State.UNAVAILABLE
    rig.take(scanout(picture(64, 64, 1)))
    assert rig.consumer.state[0] == State.PAUSED


@pytest.mark.parametrize("mapped", [True, False])
def test_new_surface_of_a_paused_machine_is_paused(rig, fds, mapped):
    image = picture(64, 64, 1)
    rig.take(scanout_map(fds(image), 64, 64) if mapped else scanout(image))
    rig.presenter.set_paused(True)
    producer, consumer = surface()
    rig.presenter.retarget(producer, rig.now)
    assert consumer.state[0] == State.PAUSED


def test_new_surface_of_a_display_that_is_off_is_unavailable(rig):
    rig.take(scanout(picture(64, 64, 1)), Disable())
    producer, consumer = surface()
    rig.presenter.retarget(producer, rig.now)
    assert consumer.state[0] == State.UNAVAILABLE


def test_mode_without_memory_makes_the_surface_unavailable(rig, monkeypatch):
    def full(*args, **kwargs):
        raise LimitError("no space", "free space", 1, 2)

    rig.take(scanout(picture(64, 64, 1)))
    rig.take(scanout(picture(80, 64, 1)))
    monkeypatch.setattr(rig.producer, "set_mode", full)
    with pytest.raises(LimitError):
        rig.wait(HOLD_SIZE)
    assert rig.consumer.state == (State.UNAVAILABLE, "no space")
    monkeypatch.undo()
    image = picture(80, 64, 2)
    rig.take(scanout(image))
    assert rig.shows(image)
    assert rig.consumer.state[0] == State.LIVE


def test_picture_after_disable_is_published(rig):
    image = picture(64, 64, 1)
    rig.take(scanout(image))
    rig.take(Disable())
    assert rig.consumer.state[0] == State.UNAVAILABLE
    rig.take(scanout(image))
    assert rig.consumer.state[0] == State.LIVE


@pytest.mark.parametrize("mapped", [True, False])
def test_picture_that_is_too_large_requests_a_surface_and_the_last_one_stays(rig, fds, mapped):
    old, large = picture(64, 64, 1), picture(1000, 400, 2)
    event = scanout_map(fds(large), 1000, 400) if mapped else scanout(large)
    rig.take(scanout(old))
    rig.take(event)
    rig.wait(1)
    assert rig.shows(old)
    assert rig.presenter.needed >= 1000 * 400 * 4
    producer, _ = surface(rig.presenter.needed)
    large[:10, :900] = 1
    if not mapped:
        rig.take(update(large, Rect(0, 0, 900, 10)))
        rig.presenter.retarget(producer, rig.now)
        assert (producer.pixels[..., :3] == large[..., :3]).all()
    else:
        rig.presenter.retarget(producer, rig.now)
    assert rig.presenter.needed == 0
    assert producer.mode[:2] == (1000, 400)


@pytest.mark.parametrize("mapped", [True, False])
def test_retarget_publishes_everything_again(rig, fds, mapped):
    image = picture(64, 64, 1)
    rig.take(
        scanout_map(fds(image), 64, 64) if mapped else scanout(image),
        CursorDefine(1, 1, 0, 0, b"abcd"),
        MouseSet(3, 4, True),
    )
    producer, consumer = surface()
    rig.presenter.retarget(producer, rig.now)
    assert (producer.pixels[..., :3] == image[..., :3]).all()
    cursor = consumer.cursor()
    assert (cursor.x, cursor.y, cursor.visible) == (3, 4, True)
    assert cursor.shape.tobytes() == b"abcd"
    assert consumer.state[0] == State.LIVE


def test_update_in_another_format_than_the_delayed_picture_is_rejected(rig, fds):
    rig.take(scanout(picture(64, 64, 1)))
    rig.take(scanout_map(fds(picture(80, 64, 1)), 80, 64))
    with pytest.raises(PeerError):
        rig.take(update(picture(80, 64, 1), Rect(0, 0, 8, 8)))
