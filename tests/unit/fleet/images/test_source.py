"""The name, the pieces and the room of an image."""

import pytest

from kju.fleet.images.source import PIECE, FleetImage
from kju.fleet.placement import Part, Room
from kju.store.forks.description import FileIdentity

SHA = "0123456789abcdef" * 4


def image(path="/images/a.qcow2", size=10):
    return FleetImage(SHA, FileIdentity(1, 2, size, 3, 4), path, "n1")


@pytest.mark.parametrize(
    ("path", "suffix"),
    [
        ("/images/a.qcow2", ".qcow2"),
        ("/images/a.b.ISO", ".ISO"),
        ("/images/kernel", ""),
        ("/images/a.b c", ""),
        ("/images/a.\u00e9", ""),
    ],
)
def test_a_copy_keeps_the_suffix_that_decides_the_format(path, suffix):
    assert image(path).key == SHA + suffix


@pytest.mark.parametrize(
    ("size", "pieces"), [(1, 1), (PIECE, 1), (PIECE + 1, 2), (20_000_000_000, 4769)]
)
def test_a_copy_takes_the_bytes_of_the_image_in_pieces(size, pieces):
    found = image(size=size)
    assert (found.pieces, found.part) == (pieces, Part(found.key, Room(disk=size)))
