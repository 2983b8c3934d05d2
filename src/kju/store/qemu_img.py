"""SHELL: qemu-img, QEMU's tool for disks."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

from ..errors import QemuError, UsageError
from ..extras import install_program
from ..files import Folder

INSTALL = {
    "debian": "apt install qemu-utils",
    "ubuntu": "apt install qemu-utils",
    "fedora": "dnf install qemu-img",
    "rhel": "dnf install qemu-img",
    "arch": "pacman -S qemu-img",
    "suse": "zypper install qemu-img",
    "alpine": "apk add qemu-img",
}
#: It writes a few hundred kilobytes for what is asked of it here.
LONGEST = 120.0
_SIZE = re.compile(r"[0-9]+(\.[0-9]+)?[bkKMGTPE]?")


def create(path: Path, size: str) -> None:
    """Make an empty qcow2 disk.

    Args:
        path: Where; nothing may be there yet.
        size: As qemu-img takes it, such as ``20G``.

    Raises:
        UsageError: The size is invalid.
        QemuError: qemu-img is missing, or refused.
    """
    if not _SIZE.fullmatch(size):
        raise UsageError(f"invalid disk size {size!r}; write a number and a unit, such as 20G")
    _run("create", "-q", "-f", "qcow2", str(path), size)


def overlay(base: Path, base_format: str, path: Path) -> None:
    """Make a qcow2 disk that lies over another, which must never change from then on.

    Raises:
        QemuError: qemu-img is missing, or refused.
    """
    _run("create", "-q", "-f", "qcow2", "-b", str(base), "-F", base_format, str(path))


def convert(source: str, source_format: str, folder: Folder, name: str) -> None:
    """Copy a disk into a new qcow2 one, without its snapshots.

    Args:
        source: The disk.
        source_format: Its format.
        folder: The folder of the new one.
        name: Its name there.

    Raises:
        QemuError: qemu-img is missing, or refused.
        FileError: The new disk could not be finished.
    """
    with folder.staged(name) as new:
        _run("convert", "-q", "-f", source_format, "-O", "qcow2", source, str(new))


def format_of(path: Path) -> str:
    """The format of a disk, as QEMU would probe it.

    Raises:
        QemuError: qemu-img is missing, or cannot read it.
    """
    told = json.loads(_run("info", "--output=json", str(path)))
    return str(told["format"])


def _run(*words: str) -> str:
    program = shutil.which("qemu-img")
    if program is None:
        how = install_program(INSTALL, "install qemu-img from your distribution")
        raise QemuError(f"qemu-img is not installed; {how}")
    try:
        done = subprocess.run(
            [program, *words], capture_output=True, stdin=subprocess.DEVNULL, timeout=LONGEST
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise QemuError(f"qemu-img cannot be run: {error}") from error
    if done.returncode:
        said = " ".join(done.stderr.decode("utf-8", "replace").split())
        # A limit of the file size ends it by a signal, without a word.
        said = said or f"status {done.returncode} of qemu-img {' '.join(words)}"
        raise QemuError(f"qemu-img {words[0]} failed: {said.removeprefix('qemu-img: ')}")
    return done.stdout.decode("utf-8", "replace")
