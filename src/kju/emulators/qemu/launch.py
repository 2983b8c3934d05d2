"""SHELL: checks before a QEMU is started: program, image, firmware, accelerator, arguments."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from ...errors import QemuError, UsageError
from ...extras import install_program
from ...files import Folder
from ...protocol.launch_options import Launch, guest_values
from ...store import definitions, disk_files
from ...store.definitions import VARIABLES
from ...store.disk_files import Chain, read_image
from ...store.image import Image, Kind
from . import program
from .arguments.board import PC, Board
from .arguments.devices import own_disks
from .arguments.plan import QemuPlan, board_arguments, needs_firmware, plan
from .arguments.user_options import Firmware, LaunchFacts
from .board_probe import inspect_board
from .program import Accelerator, Qemu, best_accelerator

log = logging.getLogger(__name__)

_FIRMWARE_FOLDERS = (
    "/etc/qemu/firmware",
    "/usr/local/share/qemu/firmware",
    "/usr/share/qemu/firmware",
)
_INSTALL_OVMF = {
    "debian": "apt install ovmf",
    "ubuntu": "apt install ovmf",
    "fedora": "dnf install edk2-ovmf",
    "rhel": "dnf install edk2-ovmf",
    "arch": "pacman -S edk2-ovmf",
    "suse": "zypper install qemu-ovmf-x86_64",
    "alpine": "apk add ovmf",
}
_INSTALL_ARM = {
    "debian": "apt install qemu-efi-aarch64 qemu-efi-arm",
    "ubuntu": "apt install qemu-efi-aarch64 qemu-efi-arm",
    "fedora": "dnf install edk2-aarch64 edk2-arm",
    "rhel": "dnf install edk2-aarch64",
    "arch": "pacman -S edk2-aarch64 edk2-arm",
    "suse": "zypper install qemu-uefi-aarch64 qemu-uefi-aarch32",
    "alpine": "apk add aavmf",
}
#: Features that need a particular machine, or a system that Microsoft has signed.
_UNWANTED_FEATURES = {"requires-smm", "secure-boot", "enrolled-keys"}


class PreparedQemu(NamedTuple):
    """A checked launch of a QEMU.

    Attributes:
        request: The request.
        qemu: The program.
        image: The image to boot from.
        disks: Further disks and CDs.
        firmware: The firmware, unless it is QEMU's own.
        board: The machine type's buses and devices.
        chains: The files of the image and of each further disk.
    """

    request: Launch
    qemu: Qemu
    image: Image | None
    disks: tuple[Image, ...] = ()
    firmware: Firmware | None = None
    board: Board = PC
    chains: tuple[Chain, ...] = ()

    @property
    def default_name(self) -> str:
        """The path of the image, from which a machine without a name gets one."""
        return self.request.image

    def plan(self, name: str, qmp: int, serial: int, runs_on: Accelerator) -> QemuPlan:
        """Return the whole command line.

        Args:
            name: The machine's name.
            qmp: The descriptor that QEMU inherits for QMP.
            serial: The descriptor that QEMU inherits for a serial port.
            runs_on: The accelerator.

        Raises:
            ConflictError: The user's arguments contradict kju's.
        """
        facts = LaunchFacts(
            name=name,
            architecture=self.qemu.architecture,
            qmp=qmp,
            accelerator=runs_on.name,
            accelerator_reason=runs_on.reason,
            image=self.image,
            board=self.board,
            no_sound=self.qemu.no_sound,
            shares_video_memory=self.qemu.shares_video_memory,
            disks=self.disks,
            firmware=self.firmware,
            serial=serial,
            **guest_values(self.request, LaunchFacts._fields),
        )
        return plan(self.request.arguments, facts)


def prepare(request: Launch) -> PreparedQemu:
    """Check a launch of QEMU.

    Raises:
        ConflictError: Arguments contradict each other.
        UsageError: The image cannot be read.
        QemuError: QEMU is missing or unusable.
    """
    image = read_image(request.image) if request.image else None
    images = [*([image] if image else []), *map(_read_disk, request.disks)]
    seen = [
        disk_files.checked(found, trusted=request.trust_disk, made=definitions.layers_made)
        for found in images
    ]
    _check_own_disks(request)
    checked = tuple(found for found, _ in seen)
    image, disks = (checked[0], checked[1:]) if image else (None, checked)
    # Contradictions do not depend on the program, so they are refused before the search for it.
    facts = LaunchFacts("check", "x86_64", 3, "tcg", "", image, request.memory, request.cpus)
    plan(request.arguments, facts)
    found = program.require(program.inspect(program.locate(request.qemu)))
    starts_with = _find_firmware(request.firmware, request.folder, found.architecture)
    if starts_with is None and needs_firmware(request.arguments, found.architecture, image):
        starts_with = _firmware_without_variables(found.architecture)
    kernel = image.path if image and image.kind is Kind.KERNEL else ""
    board = inspect_board(found, board_arguments(request.arguments, found.architecture, kernel))
    chains = tuple(chain for _, chain in seen)
    return PreparedQemu(request, found, image, disks, starts_with, board, chains)


def _check_own_disks(request: Launch) -> None:
    """Check the disks among the user's own arguments; QEMU itself reports missing ones."""
    for path, disk_format in own_disks(request.arguments):
        if Path(path).is_file():
            whole = str(Path(path).absolute())
            image = Image(whole, Kind.DISK, disk_format, "the user's own argument")
            disk_files.checked(image, trusted=request.trust_disk, made=definitions.layers_made)


def _read_disk(path: str) -> Image:
    found = read_image(path)
    if found.kind is Kind.KERNEL:
        raise UsageError(f"{path} is a kernel ({found.reason}): it can only be the image")
    return found


def choose_accelerator(prepared: PreparedQemu) -> Accelerator:
    """Choose the accelerator; test KVM unless the user chose one."""
    untried = prepared.plan("check", 3, 4, Accelerator("tcg", ""))
    if not any("-accel" in part.arguments for part in untried.appended):
        return Accelerator("user", "the user's own choice")
    found = best_accelerator(prepared.qemu)
    log.info("accelerator %s: %s", found.name, found.reason)
    return found


def _find_firmware(wish: str, folder: str, architecture: str) -> Firmware | None:
    """Find the firmware for a machine; make its file of variables if it is missing.

    A UEFI has two parts: code, which many machines share, and variables, which each machine has for
    itself. A defined machine's variables are a qcow2 file in its folder, so that a snapshot holds
    them too.

    Args:
        wish: ``uefi``, a path, or empty for QEMU's own.
        folder: The folder of a defined machine; empty for another.
        architecture: The guest's.

    Raises:
        UsageError: The file cannot be read, or the machine is not defined.
        QemuError: UEFI firmware is missing; or qemu-img is missing or fails.

    Source:
        docs/interop/firmware.json of QEMU. Distributions describe their firmware in
        `_FIRMWARE_FOLDERS`.
    """
    if not wish:
        return None
    if wish != "uefi":
        if not Path(wish).is_file():
            raise UsageError(f"the firmware {wish} is not a file")
        return Firmware(wish, "", "", "asked for (firmware)")
    if not folder:
        raise UsageError(
            "UEFI firmware stores variables, and only a defined machine has a folder for them:"
            " make one with kju create"
        )
    code, code_format, template = _uefi(architecture)
    variables = Path(folder) / VARIABLES
    if not variables.exists():
        with Folder.open(Path(folder), follow_own_link=True) as opened:
            disk_files.convert(template, "raw", opened, VARIABLES)
    return Firmware(code, code_format, str(variables), "asked for (firmware = uefi)")


def _firmware_without_variables(architecture: str) -> Firmware:
    """Find the UEFI for a board without firmware of its own.

    Its variables are in the guest's flash memory, and are lost when the machine ends.

    Raises:
        QemuError: No UEFI is installed.
    """
    code, code_format, _ = _uefi(architecture)
    if code_format != "raw":
        raise QemuError(f"the UEFI firmware {code} is {code_format}, not raw; give one with -bios")
    return Firmware(code, "", "", f"QEMU has no firmware of its own for {architecture} virt")


def _uefi(architecture: str) -> tuple[str, str, str]:
    """Return the first suitable UEFI: its code, the code's format, a template of variables."""
    for description in _firmware_descriptions():
        try:
            if found := _uefi_of(description, architecture):
                return found
        except (KeyError, TypeError, AttributeError):
            continue  # not a valid description
    packages = _INSTALL_ARM if architecture in ("aarch64", "arm") else _INSTALL_OVMF
    how = install_program(packages, "install OVMF (edk2) from your distribution")
    raise QemuError(f"no UEFI firmware for {architecture} guests is installed; {how}")


def _firmware_descriptions() -> Iterator[Any]:
    """Yield the descriptions, the most important first; each name once, from the first folder."""
    named: dict[str, Path] = {}
    for folder in map(Path, _FIRMWARE_FOLDERS):
        for path in sorted(folder.glob("*.json")):
            named.setdefault(path.name, path)
    for name in sorted(named):
        try:
            yield json.loads(named[name].read_text())
        except (OSError, ValueError, RecursionError):
            continue


def _uefi_of(description: Any, architecture: str) -> tuple[str, str, str] | None:  # noqa: ANN401
    if "uefi" not in description["interface-types"] or _UNWANTED_FEATURES & set(
        description["features"]
    ):
        return None
    if architecture not in {target["architecture"] for target in description["targets"]}:
        return None
    mapping = description["mapping"]
    if mapping["device"] != "flash" or mapping.get("mode", "split") != "split":
        return None
    code, template = mapping["executable"], mapping["nvram-template"]
    if not (Path(code["filename"]).is_file() and Path(template["filename"]).is_file()):
        return None
    return str(code["filename"]), str(code["format"]), str(template["filename"])
