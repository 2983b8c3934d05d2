"""SHELL: a base of this computer for machines of a fleet."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ...emulators.qemu.forks.recipe import files_of
from ...files import always
from ...store.forks import places
from ...store.forks.bases import open_base
from ...store.forks.copies import own_files
from ..images.opening import open_image
from .source import FleetBase


def open_for_fleet(name: str, node: str, is_wanted: Callable[[], bool] = always) -> FleetBase:
    """Return a base of this computer for machines of a fleet.

    Args:
        name: The base's ID.
        node: This node.
        is_wanted: Returns false to give up: the files below its disks are read once.

    Raises:
        ForkError: The base does not exist any more.
        UsageError: A file below its disks cannot be read, or was changed meanwhile.
        UnavailableError: It was given up.
    """
    with open_base(name) as base:
        facts, own = base.facts, own_files(base.description, base.state)
        below = [disk.layers[0].path for disk in base.disks.disks]
        opened = [
            open_image(Path(path), node, is_wanted)
            for path in dict.fromkeys([*below, *files_of(facts.recipe)])
        ]
        return FleetBase(
            id=base.id, machine=facts.machine, tag=facts.tag, node=node, memory=facts.memory,
            tmpfs=facts.memory + places.MARGIN,
            disk=sum(Path(path).stat().st_size for path in own[1:]),
            kvm=facts.accelerator == "kvm",
            # Each node has to have the others.
            images=tuple(image for image in opened if image is not None),
        )  # fmt: skip


def freeze_near(tag: str, node: str, machine: Any) -> FleetBase:  # noqa: ANN401  a machine of a task
    """Freeze a machine on its node, and return the base: for `run_near`.

    The machine's host holds the base from then on.
    """
    with machine.freeze(tag, spares=0) as made:
        return open_for_fleet(made.id, node)
