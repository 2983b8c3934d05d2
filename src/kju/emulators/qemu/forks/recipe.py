"""The recipe of a base: the facts from which a fork's QEMU is started, as JSON. I/O-free.

A fork does not examine the program, the board and the image again: it takes a second, and the
devices must be the frozen machine's, one for one.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from ....errors import ForkError
from ....store.disk_files import Chain, Layer
from ....store.image import Image, Kind
from ..arguments.user_options import ForkMemory
from ..launch import PreparedQemu
from ..program import Accelerator


class Recipe(NamedTuple):
    """The facts from which a fork's QEMU is started.

    Attributes:
        prepared: The frozen machine's launch, with the disks of its start.
        accelerator: The accelerator.
        memory: The place of the guest's memory in the base's file.
        paused: Whether the guest was paused when it was frozen.
    """

    prepared: PreparedQemu
    accelerator: Accelerator
    memory: ForkMemory
    paused: bool


def encoded(recipe: Recipe) -> dict[str, Any]:
    """Return a recipe, ready for JSON."""
    found: dict[str, Any] = msgspec.to_builtins(recipe._asdict())
    return found


def decoded(recipe: dict[str, Any]) -> Recipe:
    """Return the recipe of a base.

    Raises:
        ForkError: It was written by another version of kju.
    """
    try:
        return Recipe(**{
            name: msgspec.convert(recipe[name], kind) for name, kind in _KINDS.items()
        })  # fmt: skip
    except (msgspec.ValidationError, KeyError, TypeError) as error:
        raise ForkError(
            f"the base was written by another version of kju ({error}): freeze the machine again"
        ) from error


_KINDS: dict[str, Any] = {
    "prepared": PreparedQemu, "accelerator": Accelerator, "memory": ForkMemory, "paused": bool,
}  # fmt: skip


def writable_disks(prepared: PreparedQemu) -> list[tuple[str, str]]:
    """Return path and format of each disk that QEMU writes: image, disks, firmware's variables.

    The format is empty where QEMU probes it.
    """
    found = [(image.path, image.disk_format) for image in _images(prepared) if _is_written(image)]
    if prepared.firmware is not None and prepared.firmware.variables:
        found.append((prepared.firmware.variables, "qcow2"))
    return found


def files_of(encoded_recipe: dict[str, Any]) -> list[str]:
    """Return the paths of the images that a base's guest reads only: CDs, a kernel.

    Raises:
        ForkError: The recipe was written by another version of kju.
    """
    prepared = decoded(encoded_recipe).prepared
    return [image.path for image in _images(prepared) if image.path and not _is_written(image)]


def with_disks(prepared: PreparedQemu, files: Sequence[Sequence[Layer]]) -> PreparedQemu:
    """Return a launch with other files in place of its writable disks.

    Args:
        prepared: The launch.
        files: The files of each disk, the one that QEMU writes first: overlays, and the disk in
            *prepared* or a copy of it. In the order of `writable_disks`.
    """
    left = iter(files)

    def replaced(image: Image, chain: Chain) -> tuple[Image, Chain]:
        if not _is_written(image):
            return image, chain
        layers = tuple(next(left))
        above = len(layers) - 1
        formats = tuple((depth + above, name) for depth, name in chain.formats)
        below = tuple((depth + above, name) for depth, name in image.backing_formats)
        return (
            image._replace(path=layers[0].path, disk_format="qcow2", backing_formats=below),
            Chain((*layers, *chain.layers[1:]), formats),
        )

    images = list(_images(prepared))
    found = [replaced(*each) for each in zip(images, prepared.chains, strict=True)]
    disks, chains = [image for image, _ in found], tuple(chain for _, chain in found)
    image = disks.pop(0) if prepared.image else None
    firmware = prepared.firmware
    if firmware is not None and firmware.variables:
        firmware = firmware._replace(variables=next(left)[0].path)
    return prepared._replace(image=image, disks=tuple(disks), firmware=firmware, chains=chains)


def with_media(prepared: PreparedQemu, media: Mapping[str, str]) -> PreparedQemu:
    """Return a launch with the CDs that are in the drives now.

    Args:
        prepared: The launch.
        media: The path of the medium in each drive of kju's, by its id; empty without a medium.
    """

    def now(image: Image, suffix: str) -> Image:
        path = media.get(f"kju-cd{suffix}") if image.kind is Kind.CDROM else None
        if path is None or path == image.path:
            return image
        return image._replace(path=path, disk_format="raw" if path else "")

    image = prepared.image and now(prepared.image, "")
    disks = tuple(now(disk, f"-{at}") for at, disk in enumerate(prepared.disks, 1))
    return prepared._replace(image=image, disks=disks)


def _images(prepared: PreparedQemu) -> itertools.chain[Image]:
    return itertools.chain([prepared.image] if prepared.image else [], prepared.disks)


def _is_written(image: Image) -> bool:
    return image.kind is Kind.DISK and not image.read_only
