"""A base for a fleet, and the hash of its files."""

from __future__ import annotations

from kju.fleet.bases.source import FleetBase, PiecesHash
from kju.fleet.images.source import PIECE
from kju.fleet.placement import Part, Room


def hash_of(*pieces: bytes) -> str:
    found = PiecesHash()
    for piece in pieces:
        found.add(piece)
    return found.hexdigest()


def test_a_copy_of_a_base_takes_memory_and_disk():
    base = FleetBase("01234567-0123456789abcdef", "web", "ready", "n1", 1 << 20, 2 << 20, 100)
    assert base.part == Part("base-01234567-0123456789abcdef", Room(tmpfs=2 << 20, disk=100))


def test_the_hash_tells_contents_and_their_places_apart():
    empty = bytes(PIECE)
    one = b"x".ljust(PIECE, b"\0")
    hashes = {
        hash_of(),
        hash_of(one),
        hash_of(empty, one),
        hash_of(one, one),
        hash_of(one, b"x"),
        hash_of(empty, empty, one),
    }
    assert len(hashes) == 6
    # Empty pieces are holes at both ends; the size of a file is compared elsewhere.
    assert hash_of(one, empty, bytes(5)) == hash_of(one)
    assert hash_of(empty, one, b"end") == hash_of(empty, one, b"end")
