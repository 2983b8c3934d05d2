"""Frames, and reuse of the memory of unreferenced frames."""

import os

import numpy as np
import pytest

from kju.client.consumer.frame import POOL_BYTES, Frame, FramePool, make_frame
from kju.client.surface import Surface
from kju.memory import SurfaceProducer

SHAPE = (POOL_BYTES // 1024, 256, 4)


@pytest.fixture
def producer():
    with SurfaceProducer.create("memfd:", capacity=1 << 12) as made:
        made.set_mode(3, 4)
        yield made


@pytest.fixture
def surface(producer):
    with Surface.from_fd(os.dup(producer.memory.fileno())) as opened:
        yield opened


def frame_of(surface, **how):
    pixels = np.arange(4 * 3 * 4, dtype=np.uint8).reshape(4, 3, 4)
    return make_frame(pixels, surface._reference, surface.incarnation, surface.mode, 9, **how)


def test_slices_and_copies_are_of_the_same_moment(surface):
    frame = frame_of(surface, consistent=True)
    for part in (frame[1:], frame.copy(), frame[..., 0], frame.reshape(-1)):
        assert isinstance(part, Frame)
        assert (part.version, part.mode, part.consistent) == (9, frame.mode, True)
        assert not part.stale


def test_a_frame_is_stale_after_a_mode_change(surface, producer):
    frame = frame_of(surface)
    assert not frame.stale
    producer.set_mode(4, 4)
    assert frame.stale and not frame_of(surface).stale


def test_a_frame_is_stale_after_close(surface):
    frame = frame_of(surface)
    surface.close()
    assert frame.stale


def test_frame_without_a_surface_is_stale():
    assert np.zeros(3, np.uint8).view(Frame).stale


def test_results_of_computations_are_plain_arrays(surface):
    frame = frame_of(surface)
    assert type(frame.mean()) is np.float64
    assert type(frame == frame) is np.ndarray
    assert (frame == frame).all() is np.True_


def address(array):
    return array.__array_interface__["data"][0]


def test_unreferenced_memory_is_reused():
    pool = FramePool()
    first = pool.allocate(SHAPE)
    at = address(first)
    del first
    assert address(pool.allocate(SHAPE)) == at


def test_referenced_memory_is_not_reused():
    pool = FramePool()
    kept = [pool.allocate(SHAPE) for _ in range(6)]
    assert len({address(a) for a in kept}) == len(kept)


@pytest.mark.parametrize(
    "hold", [lambda a: a[3:5], lambda a: memoryview(a), lambda a: np.frombuffer(a, np.uint8)]
)
def test_memory_referenced_by_a_slice_is_not_reused(hold):
    pool = FramePool()
    whole = pool.allocate(SHAPE)
    at = address(whole)
    part = hold(whole)
    del whole
    assert address(pool.allocate(SHAPE)) != at
    del part
    assert at in {address(pool.allocate(SHAPE)) for _ in range(2)}


def test_frame_of_another_size_gets_new_memory():
    pool = FramePool()
    assert pool.allocate(SHAPE).shape == SHAPE
    flat = pool.allocate((SHAPE[0] * 2, *SHAPE[1:]))
    assert flat.shape == (SHAPE[0] * 2, *SHAPE[1:])
    assert pool.allocate((2, 2, 4)).shape == (2, 2, 4)
    assert pool.allocate((0, 5, 4)).size == 0
