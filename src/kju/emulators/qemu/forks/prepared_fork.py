"""SHELL: a checked launch of a fork: the base's recipe, in place of an examination.

A machine that does not write to its images has the disks of a fork, without a base.
"""

from __future__ import annotations

from typing import Any

import msgspec

from ....errors import ForkError
from ....protocol.launch_options import Launch
from ....store.forks.bases import Base, open_base
from ....store.forks.overlays import ForkDisks
from ..launch import PreparedQemu
from ..program import Accelerator
from . import arguments, recipe
from .machine_forks import build_of, launch_from


class PreparedFork:
    """A checked launch of a fork.

    Args:
        request: The launch request, which names the base.

    Attributes:
        request: The frozen machine's launch, under the fork's own name.
        base: The base, held by this process.

    Raises:
        ForkError: The base does not exist, is damaged, or fits another QEMU.
    """

    def __init__(self, request: Launch) -> None:
        self.base: Base = open_base(request.base)
        try:
            self._recipe = recipe.decoded(self.base.facts.recipe)
            self.base.check(build_of(self._recipe.prepared))
        except BaseException:
            self.base.release()
            raise
        frozen = self._recipe.prepared.request
        self.request: Launch = msgspec.structs.replace(
            request,
            image=frozen.image,
            memory=frozen.memory,
            cpus=frozen.cpus,
            disk_bus=frozen.disk_bus,
            trust_disk=frozen.trust_disk,
            arguments=arguments.own_arguments(frozen.arguments),
        )

    @property
    def default_name(self) -> str:
        """A name made from those of the frozen machine and the base."""
        facts = self.base.facts
        return f"{facts.machine.replace('.', '-')}-{facts.tag.replace('.', '-')}"

    def dry_run(self, name: str) -> dict[str, Any]:
        """Refuse: a fork's command is the frozen machine's.

        Raises:
            ForkError: Always.
        """
        frozen = self.base.facts.machine
        raise ForkError(f"a fork has no dry run; for its arguments: kju info {frozen}", name)

    @property
    def original(self) -> PreparedQemu:
        """The launch with the user's own disks, from which the recipes of its bases are made."""
        return self._recipe.prepared._replace(request=self.request)

    @property
    def accelerator(self) -> Accelerator:
        """The accelerator of the frozen machine."""
        return self._recipe.accelerator

    def with_new_disks(self, name: str) -> tuple[PreparedQemu, ForkDisks]:
        """Return the launch of the QEMU, with new overlays, and these.

        Args:
            name: The fork's name.

        Raises:
            FileError: An overlay cannot be made.
        """
        disks = ForkDisks.over(name, self.base.disks)
        return launch_from(self.base, self.original, disks), disks


def over_images(name: str, prepared: PreparedQemu) -> tuple[PreparedQemu, ForkDisks]:
    """Return the launch of a machine that does not write to its images, and its disks.

    They are overlays over its images; or, if it begins with a snapshot, copies of them.

    Args:
        name: The machine's name.
        prepared: Its launch.

    Raises:
        UsageError: An image cannot have an overlay.
        QemuError: qemu-img cannot read an image of an unusual format.
        FileError: An overlay cannot be made; nothing is left.
    """
    if prepared.request.snapshot:
        prepared.check_disks()  # QEMU would check an overlay's image, but not that of a copy
    make = ForkDisks.copies if prepared.request.snapshot else ForkDisks.over_files
    disks = make(name, recipe.writable_disks(prepared))
    return recipe.with_disks(prepared, disks.files), disks
