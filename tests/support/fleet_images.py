"""Images for the tests of a fleet's copies."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

from kju.fleet.images.files import read_piece
from kju.fleet.images.opening import open_image
from kju.fleet.images.source import PIECE, FleetImage


def make_image(path: Path, size: int = PIECE + 5000, seed: int = 1) -> FleetImage:
    """Write a raw disk with random contents, and return it as an image of the node ``owner``."""
    path.write_bytes(random.Random(seed).randbytes(size))
    found = open_image(path, "owner")
    assert found is not None
    return found


def contents(image: FleetImage) -> Iterator[bytes]:
    """Yield an image in pieces, as its node sends them."""
    return (read_piece(image, number) for number in range(image.pieces))
