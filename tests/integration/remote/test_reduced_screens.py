"""Mirrors that show a screen small get a smaller picture of it, over zenoh."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
from support.link_scene import NAME, OpenLink, Screen, new_screen, shows
from support.wait import until_async
from support.wire_scene import surface

from kju.errors import RoleError
from kju.remote.mirror import Mirror
from kju.surface.producer import Producer
from kju.surface.thumbnail import fitting, shrink

pytest.importorskip("zenoh")


def shows_small(target: Producer, screen: Screen, width: int, height: int) -> bool:
    expected = shrink(np.array(screen.producer.pixels), width, height)
    mine = target.pixels
    return mine.shape == expected.shape and np.array_equal(mine[..., :3], expected[..., :3])


async def test_small_and_whole_pictures_of_one_screen(open_link: OpenLink) -> None:
    rng, screen = np.random.default_rng(1), new_screen()
    _, there, _ = await open_link(screen)
    targets = [surface() for _ in range(3)]
    whole = Mirror(there, NAME, targets[0])
    first, second = (Mirror(there, NAME, target, max_side=120) for target in targets[1:])
    for each in (whole, first, second):
        await each.open(60)
    for _ in range(20):
        screen.draw(rng)
        await asyncio.sleep(0.005)
    await until_async(lambda: shows(targets[0], screen))
    for target in targets[1:]:
        await until_async(lambda target=target: shows_small(target, screen, 160, 120))  # type: ignore[misc]
    assert first.screen_size == whole.screen_size == (320, 240)
    before = whole.received, first.received
    screen.producer.set_mode(320, 240, source=rng.integers(0, 256, (240, 320, 4), np.uint8))
    screen.changed()
    await until_async(lambda: shows(targets[0], screen))
    await until_async(lambda: shows_small(targets[1], screen, 160, 120))
    assert (first.received - before[1]) * 3 < whole.received - before[0]
    for each in (whole, first, second):
        each.close()


async def test_screen_that_changes_its_mode(open_link: OpenLink) -> None:
    rng, screen = np.random.default_rng(1), new_screen()
    _, there, _ = await open_link(screen)
    target = surface()
    mirror = Mirror(there, NAME, target, max_side=160)
    await mirror.open(60)
    for width, height in ((200, 300), (480, 360), (320, 240)):
        pixels = rng.integers(0, 256, (height, width, 4), np.uint8)
        screen.producer.set_mode(width, height, source=pixels)
        screen.changed()
        await until_async(lambda size=(width, height): mirror.screen_size == size)  # type: ignore[misc]
        fitted = fitting(width, height, 160, 160)
        await until_async(lambda fitted=fitted: shows_small(target, screen, *fitted))  # type: ignore[misc]
    mirror.close()


async def test_another_size_and_then_the_whole_screen(open_link: OpenLink) -> None:
    rng, screen = np.random.default_rng(1), new_screen()
    _, there, served = await open_link(screen)
    screen.draw(rng)
    target = surface()
    mirror = Mirror(there, NAME, target, max_side=160)
    await mirror.open(60)
    await until_async(lambda: shows_small(target, screen, 160, 120))
    session = mirror.receiver
    mirror.set_max_side(160)
    assert mirror.receiver is session
    mirror.set_max_side(240)
    await until_async(lambda: shows_small(target, screen, 240, 180))
    mirror.set_max_side(0)
    await until_async(lambda: shows(target, screen))
    assert len(served.registry.viewers) == 1
    mirror.close()


async def test_mirror_of_a_small_picture_has_the_role_view(open_link: OpenLink) -> None:
    _, there, _ = await open_link(new_screen())
    mirror = Mirror(there, NAME, surface(), "control", max_side=160)
    await mirror.open(60)
    with pytest.raises(RoleError):
        await mirror.input(b"a key")
    mirror.close()


async def test_rate_of_a_small_picture_is_confirmed_with_the_newest_pixels(
    open_link: OpenLink,
) -> None:
    rng, screen = np.random.default_rng(1), new_screen()
    _, there, _ = await open_link(screen)
    target = surface()
    mirror = Mirror(there, NAME, target, max_side=160)
    mirror.set_rate(0.0)
    await mirror.open(60)
    for _ in range(5):
        screen.draw(rng)
        await asyncio.sleep(0.05)
    assert not shows_small(target, screen, 160, 120)  # nobody looks
    mirror.set_rate(2.0)
    await mirror.shown(60)
    assert shows_small(target, screen, 160, 120)
    mirror.close()
