"""SHELL: which firmware a machine starts with.

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

from ..errors import QemuError, UsageError
from ..files import Folder
from . import distribution, qemu_img
from .arguments import Firmware

FOLDERS = ("/etc/qemu/firmware", "/usr/local/share/qemu/firmware", "/usr/share/qemu/firmware")
VARIABLES = "uefi-variables.qcow2"
INSTALL = {
    "debian": "apt install ovmf",
    "ubuntu": "apt install ovmf",
    "fedora": "dnf install edk2-ovmf",
    "rhel": "dnf install edk2-ovmf",
    "arch": "pacman -S edk2-ovmf",
    "suse": "zypper install qemu-ovmf-x86_64",
    "alpine": "apk add ovmf",
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
        QemuError: There is no UEFI here; or qemu-img is missing or fails.
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


def _described(architecture: str) -> tuple[str, str, str]:
    """Code, its format, and a template of variables, of the first UEFI that will do."""
    for description in _descriptions():
        try:
            if found := _suits(description, architecture):
                return found
        except (KeyError, TypeError, AttributeError):
            continue  # it is not as the interop document says
    how = distribution.install_line(INSTALL, "install OVMF (edk2) from your distribution")
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
