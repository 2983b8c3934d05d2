"""The facts of a base, and the reasons to refuse it."""

from __future__ import annotations

import msgspec
import pytest
from support.forks import facts

from kju.errors import FormatError
from kju.store.forks.description import (
    VERSION,
    BaseDisk,
    Description,
    DiskLayer,
    FileIdentity,
    FrozenDisks,
    change,
    decode,
    difference,
    encode,
    with_paths,
)

FILE = FileIdentity(1, 2, 300, 4, 5)
BASE = Description(
    VERSION,
    facts(),
    12.5,
    FILE,
    FrozenDisks(
        (
            BaseDisk(
                (DiskLayer("/d.raw", "raw", FILE), DiskLayer("/b/0-1.qcow2", "qcow2", FILE)), 512
            ),
        ),
        "/a",
    ),
)


def test_a_description_is_read_as_it_was_written() -> None:
    assert decode(encode(BASE), "base.json") == BASE
    assert BASE.disks.disks[0].top.path == "/b/0-1.qcow2"
    assert BASE.disks.folders == ["/a", "/b"]


@pytest.mark.parametrize("size", range(0, len(encode(BASE)), 7))
def test_a_description_cut_short_is_refused(size: int) -> None:
    with pytest.raises(FormatError, match=r"base\.json is damaged .*freeze the machine again"):
        decode(encode(BASE)[:size], "base.json")


def test_another_version_is_refused() -> None:
    newer = msgspec.structs.replace(BASE, version=VERSION + 1)
    with pytest.raises(FormatError, match="has version 2, and this kju reads version 1"):
        decode(encode(newer), "base.json")


def test_another_qemu_is_refused() -> None:
    assert difference(facts(), "QEMU 10") == ""
    assert difference(facts(), "QEMU 11") == (
        "it was made by QEMU 10, and the QEMU that is installed now is QEMU 11"
    )


@pytest.mark.parametrize(
    ("new", "how"),
    [
        (FILE, ""),
        (None, "is missing"),
        (FileIdentity(1, 9, 300, 4, 5), "was replaced by another file"),
        (FileIdentity(1, 2, 299, 4, 5), "was cut short: it has 299 bytes of 300"),
        (FileIdentity(1, 2, 301, 4, 5), "has grown: it has 301 bytes, and had 300"),
        (FileIdentity(1, 2, 300, 9, 5), "was changed"),
        (FileIdentity(1, 2, 300, 4, 9), "was changed"),
    ],
)
def test_a_changed_file_is_noticed(new: FileIdentity | None, how: str) -> None:
    assert change(FILE, new) == how


def test_mode_and_links_of_a_users_file_may_change() -> None:
    assert change(FileIdentity(1, 2, 300, 4), FileIdentity(1, 2, 300, 4)) == ""


def test_a_recipe_gets_other_paths() -> None:
    recipe = {"image": ["/a.iso", "cdrom"], "words": [{"path": "/a.iso"}, "/a.iso.txt", 5, None]}
    assert with_paths(recipe, {"/a.iso": "/b.iso"}) == {
        "image": ["/b.iso", "cdrom"], "words": [{"path": "/b.iso"}, "/a.iso.txt", 5, None],
    }  # fmt: skip
