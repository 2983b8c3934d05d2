"""SHELL: the start of a defined machine: its launch request, and the last check before it."""

from __future__ import annotations

from ..protocol.launch_options import Launch, guest_values
from .clones import refuse_cloned
from .defined import DefinedMachine, images, require_defined
from .definition_folders import exclusive
from .disk_chain import read_image


def launch_request(machine: DefinedMachine, *, detach: bool, client: str) -> Launch:
    """Return the request that launches a defined machine.

    Raises:
        DefinitionError: A disk is missing.
        ConflictError: The machine has clones.
    """
    found, definition = images(machine), machine.definition
    refuse_cloned(machine.name, found)
    arguments = [word for device in definition.devices for word in ("-device", device)]
    arguments += ["-nic", "none"] if definition.network == "none" else []
    firmware = definition.firmware
    if firmware not in ("bios", "uefi"):
        firmware = str(machine.path(firmware))
    return Launch(
        machine=machine.name,
        image=str(machine.path(definition.image)) if definition.image else "",
        disks=[str(machine.path(disk)) for disk in definition.disks],
        firmware="" if firmware == "bios" else firmware,
        folder=str(machine.folder),
        arguments=[*arguments, *definition.arguments],
        **guest_values(definition, Launch.__struct_fields__),
        detach=detach,
        client=client[:256],
    )


def confirm(request: Launch) -> None:
    """Check again that a defined machine may start, now that its name is claimed.

    Raises:
        MachineNotFoundError: It has been removed since.
        ConflictError: It has been cloned since.
        UsageError: A disk has been removed since.
    """
    with exclusive():
        require_defined(request.machine)
        paths = [request.image, *request.disks]
        refuse_cloned(request.machine, [read_image(path) for path in paths if path])
