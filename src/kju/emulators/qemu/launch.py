"""SHELL: checks before a QEMU is started: program, image, firmware, accelerator, arguments."""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Collection, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from ...errors import KjuError, QemuError, UsageError
from ...extras import install_program
from ...files import Folder
from ...protocol.launch_options import Launch, guest_values
from ...store import definitions, disk_files
from ...store.definitions import VARIABLES
from ...store.disk_files import Chain, Layer, read_image
from ...store.image import Image, Kind
from ...store.paths import machine_paths
from ...store.running import is_alive
from ...store.snapshot_files import check_snapshot
from . import program, start_faults
from .arguments.board import PC, Board
from .arguments.devices import own_disks
from .arguments.plan import QemuPlan, board_arguments, needs_firmware, plan
from .arguments.user_options import Firmware, ForkMemory, LaunchFacts, parse
from .board_probe import inspect_board
from .program import Accelerator, Qemu, best_accelerator
from .start_faults import DiskUse

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
        variables: The template of the firmware's file of variables, if that is still to be made.
        fork_memory: The memory that a fork begins with; None for a machine that boots.
    """

    request: Launch
    qemu: Qemu
    image: Image | None
    disks: tuple[Image, ...] = ()
    firmware: Firmware | None = None
    board: Board = PC
    chains: tuple[Chain, ...] = ()
    variables: str = ""
    fork_memory: ForkMemory | None = None

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
            fork_memory=self.fork_memory,
            snapshot=self.request.snapshot,
            **guest_values(self.request, LaunchFacts._fields),
        )
        return plan(self.request.arguments, facts)

    def info(self, planned: QemuPlan, runs_on: Accelerator) -> dict[str, Any]:
        """Return the program, its arguments with their reasons, and the disks, ready for JSON."""
        return {
            "qemu": {
                "path": self.qemu.path,
                "version": ".".join(map(str, self.qemu.version)),
                "architecture": self.qemu.architecture,
                "arguments": list(planned.user),
                "sources": self.qemu.sources,
            },
            "accelerator": runs_on._asdict(),
            "serial": planned.has_serial,
            **planned.info(),
            "disks": self._disks(planned),
            "temporary": planned.temporary,
        }

    def _disks(self, planned: QemuPlan) -> list[dict[str, Any]]:
        """Return each disk: its bus and the reason, and every file that QEMU opens for it."""
        buses = dict(planned.buses)
        found = []
        for chain in self.chains:
            path = chain.layers[0].path
            if path in buses:
                bus, reason = buses[path].bus, buses[path].reason
                layers = [layer._asdict() for layer in chain.layers]
                found.append({"path": path, "bus": bus, "reason": reason, "layers": layers})
        return found

    def dry_run(self, name: str) -> dict[str, Any]:
        """Return the command and its reasons; the numbers of the descriptors are examples.

        Raises:
            ConflictError: The user's arguments contradict kju's.
            UsageError: QEMU would refuse to start; see `start_faults`.
        """
        runs_on = choose_accelerator(self)
        with _about("arguments"):
            planned = self.plan(name, 3, 4, runs_on)
        self._check_start(planned, runs=is_alive(machine_paths(name)))
        command = [self.qemu.path, *planned.arguments]
        image = self.image and {
            "path": self.image.path,
            "kind": self.image.kind.value,
            "reason": self.image.reason,
        }
        return {"command": command, "image": image, **self.info(planned, runs_on)}

    def _check_start(self, planned: QemuPlan, *, runs: bool) -> None:
        """Look for faults that QEMU would report.

        Args:
            planned: The command.
            runs: The machine runs already: its disks and ports are in use, by itself.
        """
        stamp = _stamp(self.qemu.path)
        options = parse(self.request.arguments)
        start_faults.check_devices(
            options, self.qemu.path, lambda program, words: _printed(program, words, stamp)
        )
        start_faults.check_memory(self.request.memory)
        if not runs:
            self.check_disks(temporary=bool(planned.temporary))
            start_faults.check_ports(options)

    def check_disks(self, *, temporary: bool = False) -> None:
        """Check that no other QEMU uses the disks.

        Args:
            temporary: The guest's changes are lost, so its disks are only read.

        Raises:
            UsageError: One does, or a disk is in the wrong format.
        """
        start_faults.check_disks(list(self._disk_uses(temporary=temporary)))

    def _disk_uses(self, *, temporary: bool) -> Iterator[DiskUse]:
        images = ([self.image] if self.image else []) + list(self.disks)
        for index, (image, chain) in enumerate(zip(images, self.chains, strict=True)):
            option = "image" if self.image and not index else "disks"
            if image.kind is not Kind.KERNEL:
                only_read = image.read_only or temporary or self.request.overlays
                yield DiskUse(chain, only_read, option)
        for path, disk_format in own_disks(self.request.arguments):
            # Whether it is written is not known: what applies to a read-only one applies to both.
            yield DiskUse(Chain((Layer(path, disk_format, "disk"),)), True, "arguments")


@contextlib.contextmanager
def _about(option: str) -> Iterator[None]:
    """Say in an error of this block, for a dry run, which option it is about."""
    try:
        yield
    except KjuError as error:
        error.option = error.option or option
        raise


def prepare(request: Launch, new_disks: Collection[str] = ()) -> PreparedQemu:
    """Check a launch of QEMU.

    Args:
        request: The launch.
        new_disks: Paths of disks that will be made before it starts.

    Raises:
        ConflictError: Arguments contradict each other.
        UsageError: The image cannot be read.
        QemuError: QEMU is missing or unusable.
    """

    def examined(path: str, *, further: bool) -> tuple[Image, Chain]:
        if path in new_disks:
            return disk_files.new_disk(Path(path))
        with _about("disks" if further else "image"):
            image = _read_disk(path) if further else read_image(path)
            if request.overlays and image.kind is Kind.DISK:
                image = image._replace(read_only=False)  # the guest writes to an overlay
            return disk_files.checked(
                image, trusted=request.trust_disk, made=definitions.layers_made
            )

    seen = [examined(request.image, further=False)] if request.image else []
    seen += [examined(path, further=True) for path in request.disks]
    checked = tuple(found for found, _ in seen)
    image, disks = (checked[0], checked[1:]) if request.image else (None, checked)
    with _about("arguments"):
        _check_own_disks(request)
        # Contradictions do not depend on the program: they are refused before the search for it.
        facts = LaunchFacts(
            "check", "x86_64", 3, "tcg", "", image, request.memory, request.cpus,
            snapshot=request.snapshot,
        )  # fmt: skip
        plan(request.arguments, facts)
    with _about("qemu"):
        path = program.locate(request.qemu)
        found = program.require(_inspected(path, _stamp(path)))
    with _about("firmware"):
        starts_with, variables = _find_firmware(
            request.firmware, request.folder, found.architecture
        )
        if starts_with is None and needs_firmware(request.arguments, found.architecture, image):
            starts_with = _firmware_without_variables(found.architecture)
    if request.snapshot:
        with _about("snapshot"):
            _check_snapshot(request, checked, starts_with)
    kernel = image.path if image and image.kind is Kind.KERNEL else ""
    words = tuple(board_arguments(request.arguments, found.architecture, kernel))
    with _about("arguments"):
        board = _board(found, words, tuple(map(_stamp, words)))
    chains = tuple(chain for _, chain in seen)
    return PreparedQemu(request, found, image, disks, starts_with, board, chains, variables)


def _check_snapshot(request: Launch, images: Collection[Image], firmware: Firmware | None) -> None:
    """Check that the disks hold the snapshot, but for those of the user's own arguments."""
    written = [each for each in images if each.kind is Kind.DISK and not each.read_only]
    if firmware is not None and firmware.variables:
        written.append(Image(firmware.variables, Kind.DISK, "qcow2", firmware.reason))
    if written:
        has_others = bool(own_disks(request.arguments))
        check_snapshot(written, request.snapshot, has_memory=not has_others)


# A process that answers dry runs asks the same program many times. The stamp notices a new program
# or another file at an argument's path.


def _stamp(path: str) -> tuple[int, int, int]:
    """Return numbers that differ once a file has been changed or replaced."""
    try:
        status = Path(path).stat()
    except (OSError, ValueError):
        return (0, 0, 0)
    return (status.st_ino, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=8)
def _inspected(path: str, stamp: tuple[int, int, int]) -> Qemu:
    return program.inspect(path)


@lru_cache(maxsize=64)
def _board(found: Qemu, words: tuple[str, ...], stamps: tuple[tuple[int, int, int], ...]) -> Board:
    return inspect_board(found, words)


@lru_cache(maxsize=64)
def _printed(path: str, words: tuple[str, ...], stamp: tuple[int, int, int]) -> str:
    return start_faults.ask_program(path, words)


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


def make_variables(prepared: PreparedQemu) -> None:
    """Make the file of the firmware's variables, if it is missing.

    Raises:
        QemuError: qemu-img is missing or fails.
        FileError: The file cannot be made.
    """
    if prepared.variables:
        with Folder.open(Path(prepared.request.folder), follow_own_link=True) as opened:
            disk_files.convert(prepared.variables, "raw", opened, VARIABLES)


def _find_firmware(wish: str, folder: str, architecture: str) -> tuple[Firmware | None, str]:
    """Find the firmware for a machine, and the template of its variables if they are missing.

    A UEFI has two parts: code, which many machines share, and variables, which each machine has for
    itself. A defined machine's variables are a qcow2 file in its folder, so that a snapshot holds
    them too.

    Args:
        wish: ``uefi``, a path, or empty for QEMU's own.
        folder: The folder of a defined machine; empty for another.
        architecture: The guest's.

    Raises:
        UsageError: The file cannot be read, or the machine is not defined.
        QemuError: UEFI firmware is missing.

    Source:
        docs/interop/firmware.json of QEMU. Distributions describe their firmware in
        `_FIRMWARE_FOLDERS`.
    """
    if not wish:
        return None, ""
    if wish != "uefi":
        if not Path(wish).is_file():
            raise UsageError(f"the firmware {wish} is not a file")
        return Firmware(wish, "", "", "asked for (firmware)"), ""
    if not folder:
        raise UsageError(
            "UEFI firmware stores variables, and only a defined machine has a folder for them:"
            " make one with kju create"
        )
    code, code_format, template = _uefi(architecture)
    variables = Path(folder) / VARIABLES
    found = Firmware(code, code_format, str(variables), "asked for (firmware = uefi)")
    return found, "" if variables.exists() else template


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
