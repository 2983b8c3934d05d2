"""SHELL: the search for a QEMU, and its version and features."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

from ...errors import QemuError
from ...extras import install_program

OLDEST = (7, 0)
#: Since this version QEMU shares its surfaces' memory (Listener.Unix.Map).
MAPS_SINCE = (9, 2)
#: Since this version QEMU can keep a display's video memory in shared memory.
SHARES_SINCE = (10, 0)
#: Since this version QEMU has ``-audio none``.
AUDIO_SINCE = (8, 2)
#: Paths of a QEMU outside PATH (RHEL, CentOS).
ELSEWHERE = "/usr/libexec/qemu-kvm"

INSTALL = {
    "debian": "apt install qemu-system-x86 qemu-system-modules-opengl",
    "ubuntu": "apt install qemu-system-x86 qemu-system-modules-opengl",
    "fedora": "dnf install qemu-system-x86 qemu-ui-dbus",
    "rhel": "dnf install qemu-kvm qemu-kvm-ui-dbus",
    "arch": "pacman -S qemu-system-x86 qemu-ui-dbus",
    "suse": "zypper install qemu-x86 qemu-ui-dbus",
    "alpine": "apk add qemu-system-x86_64 qemu-ui-dbus",
}


class Qemu(NamedTuple):
    """A QEMU on this computer.

    Attributes:
        path: Absolute.
        version: For example ``(10, 0, 2)``.
        version_text: Its own first line.
        architecture: Of the guests it runs, from its file name; ours if that has none.
        displays: The names ``-display help`` lists.
    """

    path: str
    version: tuple[int, ...]
    version_text: str
    architecture: str
    displays: tuple[str, ...]

    @property
    def shares_video_memory(self) -> bool:
        """Whether it has ``-machine aux-ram-share``."""
        return self.version >= SHARES_SINCE

    @property
    def no_sound(self) -> tuple[str, ...]:
        """Arguments for sound devices to start, and to play nothing."""
        if self.version >= AUDIO_SINCE:
            return ("-audio", "none")
        return ("-audiodev", "none,id=kju-audio")

    @property
    def sources(self) -> dict[str, str]:
        """For each source an empty text if this QEMU supports it, otherwise the reason."""
        dbus = "" if "dbus" in self.displays else "it has no dbus display (a module to install)"
        version = ".".join(map(str, self.version))
        maps = "" if self.version >= MAPS_SINCE else f"needs QEMU 9.2, this is {version}"
        vram = "" if self.shares_video_memory else f"needs QEMU 10.0, this is {version}"
        return {"vram": vram, "display1-map": dbus or maps, "display1-copy": dbus}


def install_line() -> str:
    """Return how to install QEMU here, as the end of a message."""
    return install_program(
        INSTALL, "install QEMU 9.2 or newer, with its dbus display module, from your distribution"
    )


def locate(asked: str = "") -> str:
    """Return the path of the QEMU to run.

    Args:
        asked: The caller's choice, a path or a name in PATH. Without it ``$KJU_QEMU``;
            without that the one for this computer's architecture, then any.

    Raises:
        QemuError: QEMU is missing.
    """
    source = "" if asked else "$KJU_QEMU: "
    if wanted := asked or os.environ.get("KJU_QEMU", ""):
        # Only a path with a tilde becomes a Path: it would drop the "./" of "./qemu".
        if found := shutil.which(str(Path(wanted).expanduser()) if wanted[0] == "~" else wanted):
            return str(Path(found).absolute())
        raise QemuError(f"{source}{wanted!r} is not a program; {install_line()}")
    machine = {"amd64": "x86_64", "arm64": "aarch64"}.get(platform.machine(), platform.machine())
    for name in dict.fromkeys((machine, "x86_64", "aarch64")):
        if found := shutil.which(f"qemu-system-{name}"):
            return found
    if found := shutil.which(ELSEWHERE):
        return found
    raise QemuError(f"QEMU is not installed; {install_line()}")


def inspect(path: str) -> Qemu:
    """Ask a QEMU for its version and displays: two short runs, 40 ms together.

    Raises:
        QemuError: It does not run, or is not a QEMU.
    """
    first = _run(path, "--version").splitlines()[:1]
    match = re.search(r"version (\d+)\.(\d+)(?:\.(\d+))?", first[0] if first else "")
    if not match:
        raise QemuError(f"{path} is not a QEMU: its first line is {first[0] if first else ''!r}")
    version = tuple(int(part) for part in match.groups() if part is not None)
    displays = tuple(re.findall(r"^([a-z0-9-]+)$", _run(path, "-display", "help"), re.MULTILINE))
    name = re.fullmatch(r"qemu-system-(\w+)", Path(path).name)
    architecture = name[1] if name else platform.machine()
    return Qemu(path, version, first[0].strip(), architecture, displays)


def require(qemu: Qemu) -> Qemu:
    """Return *qemu* if kju can use it.

    Raises:
        QemuError: It is older than 7.0, or has no dbus display.
    """
    version = ".".join(map(str, qemu.version))
    if qemu.version < OLDEST:
        raise QemuError(f"{qemu.path} is QEMU {version}; kju needs 7.0 or newer. {install_line()}")
    if "dbus" not in qemu.displays:
        raise QemuError(
            f"{qemu.path} (QEMU {version}) has no dbus display, which kju needs."
            f" Its module may be missing; {install_line()}"
        )
    return qemu


def _run(path: str, *arguments: str) -> str:
    try:
        result = subprocess.run(
            [path, *arguments], capture_output=True, stdin=subprocess.DEVNULL, timeout=10
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise QemuError(f"{path} cannot be run: {error}") from error
    return (result.stdout + result.stderr).decode("utf-8", "replace")
