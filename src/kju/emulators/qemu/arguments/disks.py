"""Disks and CDs: those that kju attaches, and the user's own. I/O-free."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ....store.image import Image, Kind
from ...base import Appended
from ..board.disk_bus import Attachment, attach
from ..options import fields, parse, quote
from .facts import Facts, Items
from .given import Given

#: Options whose value is a disk's path.
_DISK_OPTIONS = frozenset(
    "hda hdb hdc hdd cdrom fda fdb sd mtdblock pflash".split()  # noqa: SIM905  as in QEMU's help
)


def drives(given: Given, facts: Facts) -> list[tuple[Appended, str, Attachment]]:
    """Return the image, if it is a disk or a CD, and the further ones, in this order."""
    images = [("", image) for image in (facts.image,) if image and image.kind is not Kind.KERNEL]
    images += [(f"-{index}", disk) for index, disk in enumerate(facts.disks, 1)]
    ide_used = given.ide_used(facts.board)
    found = []
    for suffix, image in images:
        cd = image.kind is Kind.CDROM
        name = f"kju-cd{suffix}" if cd else f"kju-disk{suffix}"
        attached = attach(facts.board, name, suffix, cd=cd, wish=facts.disk_bus, ide_used=ide_used)
        ide_used += attached.bus == "ide"
        found.append((_drive(image, name, suffix, attached), image.path, attached))
    return found


def _drive(image: Image, name: str, suffix: str, attached: Attachment) -> Appended:
    """Return the arguments of a disk or a CD whose ids end in *suffix*."""
    # The filename is a field of its own, so that "nbd:..." is a name and not a protocol.
    drive = f"if={attached.interface},file.driver=file,file.filename={quote(image.path)}"
    if image.disk_format:
        drive += f",format={image.disk_format}"
    for depth, backing_format in image.backing_formats:
        drive += f",{'backing.' * depth}driver={backing_format}"
    if image.read_only:
        drive += ",readonly=on"
    drive += f",media=cdrom,id={name}" if image.kind is Kind.CDROM else f",id={name}"
    words = [word for device in attached.devices for word in ("-device", device)]
    what = "a further disk" if suffix else "the image"
    return Appended(("-drive", drive, *words), f"{what}: {image.reason}; on {attached.reason}")


def disks(given: Given, facts: Facts) -> Items:
    """Append the disks and CDs."""
    return [appended for appended, _, _ in drives(given, facts)]


def own_disks(user: Sequence[str]) -> list[tuple[str, str]]:
    """Return the paths of disks among the user's own arguments, with the formats given for them.

    Addresses are left out: they are the user's own choice. The disks of a file of ``-readconfig``
    are unknown.
    """
    found = []
    for option in parse(user):
        if option.name in _DISK_OPTIONS and option.value:
            found += _files({"file": option.value})
        elif option.name in ("drive", "blockdev"):
            found += _files(fields(option.value, "file" if option.name == "drive" else "driver"))
    return [(path.removeprefix("file:"), kind) for path, kind in found if path]


def _files(given: dict[str, str]) -> list[tuple[str, str]]:
    """Return the files that a tree of block nodes names, each with its format."""
    tree = dict(_flat(given))
    found = []
    for key, value in tree.items():
        *node, last = key.split(".")
        if last in ("file", "filename"):
            found.append((value, _format(tree, node)))
    return found


def _flat(given: dict[str, str]) -> Iterator[tuple[str, str]]:
    """Yield a tree with dots in its keys, as QEMU makes it of JSON and of ``json:``."""
    for key, value in given.items():
        text = value.removeprefix("json:").lstrip()
        if not text.startswith("{"):
            yield key, value
            continue
        for inner, below in _flat(fields(text, "driver")):
            yield f"{key}.{inner}", below


def _format(tree: dict[str, str], node: list[str]) -> str:
    """Return the format read from a node's file: the innermost that is not raw."""
    drivers = []
    while True:
        names = [".".join([*node, name]) for name in ("format", "driver")]
        drivers += [tree[name] for name in names if tree.get(name)]
        if not node or node[-1] != "file":
            break
        node = node[:-1]
    formats = [driver for driver in drivers if driver != "file"]
    return next((name for name in formats if name != "raw"), "raw" if formats else "")
