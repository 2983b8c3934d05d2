"""SHELL: the choice of a machine's firmware.

A UEFI comes in two parts: code that many machines share, and variables that each has for itself.
A kept machine's variables are a qcow2 file in its folder, so that a snapshot holds them too.

Source:
    QEMU's docs/interop/firmware.json; distributions describe theirs in the folders named there.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ....errors import QemuError, UsageError
from ....extras import install_program
from ....files import Folder
from ....store import qemu_img
from ....store.defined import VARIABLES
from ..arguments.facts import Firmware

FOLDERS = ("/etc/qemu/firmware", "/usr/local/share/qemu/firmware", "/usr/share/qemu/firmware")
INSTALL = {
    "debian": "apt install ovmf",
    "ubuntu": "apt install ovmf",
    "fedora": "dnf install edk2-ovmf",
    "rhel": "dnf install edk2-ovmf",
    "arch": "pacman -S edk2-ovmf",
    "suse": "zypper install qemu-ovmf-x86_64",
    "alpine": "apk add ovmf",
}
INSTALL_ARM = {
    "debian": "apt install qemu-efi-aarch64 qemu-efi-arm",
    "ubuntu": "apt install qemu-efi-aarch64 qemu-efi-arm",
    "fedora": "dnf install edk2-aarch64 edk2-arm",
    "rhel": "dnf install edk2-aarch64",
    "arch": "pacman -S edk2-aarch64 edk2-arm",
    "suse": "zypper install qemu-uefi-aarch64 qemu-uefi-aarch32",
    "alpine": "apk add aavmf",
}
# What needs a machine of a particular kind, or starts only what Microsoft has signed.
_UNWANTED = {"requires-smm", "secure-boot", "enrolled-keys"}


def find(wish: str, folder: str, architecture: str) -> Firmware | None:
    """The firmware a machine wants, with its variables made if it has none yet.

    Args:
        wish: ``uefi``, a path, or empty for QEMU's own.
        folder: Where the machine is kept.
        architecture: The guest's.

    Raises:
        UsageError: The file cannot be read, or the machine is not kept.
        QemuError: UEFI firmware is missing; or qemu-img is missing or fails.
    """
    if not wish:
        return None
    if wish != "uefi":
        if not Path(wish).is_file():
            raise UsageError(f"the firmware {wish} is no file")
        return Firmware(wish, "", "", "asked for (firmware)")
    if not folder:
        raise UsageError("UEFI keeps variables: only a machine that is kept has a place for them")
    code, code_format, template = _described(architecture)
    variables = Path(folder) / VARIABLES
    if not variables.exists():
        with Folder.open(Path(folder), follow_own_link=True) as opened:
            qemu_img.convert(template, "raw", opened, VARIABLES)
    return Firmware(code, code_format, str(variables), "asked for (firmware = uefi)")


def without_variables(architecture: str) -> Firmware:
    """The UEFI for a board without firmware of its own, for a machine that is not kept.

    Its variables are in the guest's flash memory, and are lost when the machine ends.

    Raises:
        QemuError: No UEFI is installed.
    """
    code, code_format, _ = _described(architecture)
    if code_format != "raw":
        raise QemuError(f"the UEFI firmware {code} is {code_format}, not raw; give one with -bios")
    return Firmware(code, "", "", f"QEMU has no firmware of its own for {architecture} virt")


def _described(architecture: str) -> tuple[str, str, str]:
    """Code, its format, and a template of variables, of the first UEFI that will do."""
    for description in _descriptions():
        try:
            if found := _suits(description, architecture):
                return found
        except (KeyError, TypeError, AttributeError):
            continue  # it is not as the interop document says
    packages = INSTALL_ARM if architecture in ("aarch64", "arm") else INSTALL
    how = install_program(packages, "install OVMF (edk2) from your distribution")
    raise QemuError(f"there is no UEFI firmware for {architecture} guests on this computer; {how}")


def _descriptions() -> Iterator[Any]:
    """Every description, the most important first; of those of one name the first counts."""
    named: dict[str, Path] = {}
    for folder in map(Path, FOLDERS):
        for path in sorted(folder.glob("*.json")):
            named.setdefault(path.name, path)
    for name in sorted(named):
        try:
            yield json.loads(named[name].read_text())
        except (OSError, ValueError, RecursionError):
            continue


def _suits(description: Any, architecture: str) -> tuple[str, str, str] | None:  # noqa: ANN401
    if "uefi" not in description["interface-types"] or _UNWANTED & set(description["features"]):
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
