"""Photographs in the page: JPEG while they change, exact when they are still."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from playwright.sync_api import Page
from support.acting_host import ActingMachine, acting_host
from support.wait import until

from .conftest import own_folders, pixels_of, screen_is_shown

pytest.importorskip("simplejpeg")

WIDTH, HEIGHT = 640, 400


@pytest.fixture(scope="module")
def guest(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ActingMachine]:
    """A machine whose screen the test draws."""
    with own_folders(tmp_path_factory.mktemp("photos")), acting_host("photos") as made:
        yield made


def photograph(step: int) -> np.ndarray:
    """Return smooth shapes with noise, B G R X: much shorter as a JPEG."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    shapes = [110 + 80 * np.sin((x + 7 * step) / (29 + c)) * np.cos(y / 31) for c in range(3)]
    noise = np.random.default_rng(step).integers(-6, 7, (HEIGHT, WIDTH, 3))
    out = np.zeros((HEIGHT, WIDTH, 4), np.uint8)
    out[..., :3] = (np.stack(shapes, -1) + noise).clip(0, 255)
    return out


def draw(machine: ActingMachine, step: int) -> None:
    machine.producer.pixels[...] = photograph(step)
    machine.producer.publish([(0, 0, WIDTH, HEIGHT)])


def is_exact(page: Page, machine: ActingMachine) -> bool:
    return bool((pixels_of(page) == machine.producer.pixels[..., 2::-1]).all())


COUNT = """
const decode = ImageDecoder.prototype.decode;
window.photos = 0;
ImageDecoder.prototype.decode = function (...given) {
  window.photos++;
  return decode.apply(this, given);
};
"""


def test_moving_photographs_are_jpeg_and_become_exact_when_still(
    guest: ActingMachine, open_page: Callable[..., Page]
):
    page = open_page("view", script=COUNT, path="m/photos")
    screen_is_shown(page)
    steps = iter(range(1, 100_000))

    def photos_arrive() -> bool:
        draw(guest, next(steps))
        return bool(page.evaluate("window.photos") > 3)

    until(photos_arrive, "photos")
    until(lambda: is_exact(page, guest), "the exact pixels")


def test_browser_without_a_decoder_gets_exact_pixels_only(
    guest: ActingMachine, open_page: Callable[..., Page]
):
    page = open_page("view", script="delete window.ImageDecoder", path="m/photos")
    screen_is_shown(page)
    draw(guest, 5)
    until(lambda: is_exact(page, guest), "the exact pixels")


def test_decoder_that_cannot_convert_ends_the_photos(
    guest: ActingMachine, open_page: Callable[..., Page]
):
    """As a browser may do whose frames have a format that it cannot convert."""
    refuse = """window.refused = 0;
      VideoFrame.prototype.copyTo = () => {
        window.refused++;
        return Promise.reject(new DOMException("no", "NotSupportedError"));
      };"""
    page = open_page("view", script=refuse, path="m/photos")
    screen_is_shown(page)
    steps = iter(range(1, 100_000))

    def is_refused() -> bool:
        draw(guest, next(steps))
        return bool(page.evaluate("window.refused"))

    until(is_refused, "a photo")
    until(lambda: is_exact(page, guest), "the exact pixels")
    refused = page.evaluate("window.refused")
    for step in range(1000, 1003):
        draw(guest, step)
        until(lambda: is_exact(page, guest), "the exact pixels without a photo")
    assert page.evaluate("window.refused") == refused
