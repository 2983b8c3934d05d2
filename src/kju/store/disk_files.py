"""SHELL: the files that QEMU opens for a disk: check them, and make disks with qemu-img.

- `disk_headers` reads every layer before QEMU opens the disk. No other file is opened.
- A backing file is a regular file in the folder of the image, after links are followed. Its format
  is named, or it is raw and passed to QEMU as raw: a guest may have written its contents.
- External data files and network addresses are refused.
- A VMDK's description must be unambiguous to QEMU. Its extents, which QEMU writes, are in its
  folder, are named after it, and name no further files.
- Layers that kju has made are trusted: a clone's disk is an overlay of its base's disk in any
  folder. The files that the base's disk names must be in its own folder.
- A trusted disk (``--trust-disk``) may name any file; its layers are still listed.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple, TypeVar

from ..errors import QemuError, UsageError
from ..extras import install_program
from ..files import Folder, always
from ..protocol.values import size_fault
from .disk_headers import NamedFiles, Read, extent_fault, parse
from .image import HEAD, Image, Kind, classify

_T = TypeVar("_T")

#: Far above chains in use: QEMU gets slow with fewer layers.
MAX_LAYERS = 64
#: Formats that a layer may name for the one below.
_FORMATS = frozenset(
    ("raw", "qcow2", "qcow", "qed", "vmdk", "vdi", "vpc", "vhdx", "parallels", "bochs", "dmg")
)
#: As QEMU distinguishes a protocol from a path: a colon before the first slash.
_PROTOCOL = re.compile(r"[^:/]*:")

#: Returns the files below a disk that kju made, by the disk's path.
Made = Callable[[Path], frozenset[Path]]

#: Prefixes that QEMU reads as a network address or a block driver, in any part of a path.
_ADDRESS = re.compile(
    r"(?:^|/)(?:json|fat|https?|ftps?|nbd(?:\+\w+)?|ssh|iscsi|rbd|nfs|gluster(?:\+\w+)?|vvfat"
    r"|blkdebug|blkverify|null-(?:co|aio)|host_device|nvme|sheepdog|tftp|vxhs):"
)


def read_image(path: str) -> Image:
    """Read the first bytes of an image and return its kind.

    Raises:
        UsageError: It is missing, unreadable, a folder, or a kernel QEMU cannot start.
    """
    whole = Path(path).expanduser().absolute()
    if whole.is_dir():
        raise UsageError(f"the image {whole} is a folder; name a disk, an ISO or a kernel in it")
    if not whole.exists() and _ADDRESS.search(str(whole)):
        raise UsageError(
            f"the image {path} is not a file: kju opens files only. For an address, use"
            " QEMU's own arguments: kju run -- -drive file=..."
        )
    if whole.exists() and not (whole.is_file() or whole.is_block_device()):
        raise UsageError(f"the image {whole} is neither a file nor a block device")
    try:
        with whole.open("rb") as file:
            head = file.read(HEAD)
    except OSError as error:
        raise UsageError(f"the image {whole} cannot be read: {error.strerror}") from error
    return classify(str(whole), head, read_only=not os.access(whole, os.W_OK))


class Layer(NamedTuple):
    """One file that QEMU opens for a disk, or would open.

    Attributes:
        path: An absolute path; or an address, as written in the image.
        format: The format passed to QEMU, or the one that QEMU probes.
        role: ``disk``, ``backing`` or ``data``.
    """

    path: str
    format: str
    role: str


class Chain(NamedTuple):
    """The files of one disk, the disk itself first.

    Attributes:
        layers: Every file.
        formats: The depth (from 1) and the format of each backing file whose format the layer
            above does not name.
    """

    layers: tuple[Layer, ...]
    formats: tuple[tuple[int, str], ...] = ()


def checked(image: Image, *, trusted: bool, made: Made) -> tuple[Image, Chain]:
    """Return a disk as QEMU may open it, and its files.

    Args:
        image: A disk or a CD; a kernel is returned as it is.
        trusted: Whether it may name any file and any address.
        made: Returns the layers that kju has made.

    Raises:
        UsageError: It names a forbidden file, or cannot be read.
    """
    if image.kind is Kind.KERNEL:
        return image, Chain((Layer(image.path, "", "kernel"),))
    chain = _walk(image, trusted, made)
    return image._replace(backing_formats=chain.formats), chain


def new_disk(path: Path) -> tuple[Image, Chain]:
    """Return a disk that `make_disk` will make."""
    image = Image(str(path), Kind.DISK, "qcow2", "kju makes it")
    return image, Chain((Layer(str(path), "qcow2", "disk"),))


def _walk(image: Image, trusted: bool, made: Made) -> Chain:
    path, disk_format = Path(image.path), image.disk_format
    folder = path.parent.resolve()
    layers: list[Layer] = []
    formats: list[tuple[int, str]] = []
    for depth in range(MAX_LAYERS):
        named = _read(path, disk_format, regular=bool(depth) and not trusted)
        if named.unclear:
            what = f"{path} names files ambiguously: {named.unclear} of its description"
            _refuse(trusted, what)
        shown = disk_format or named.format
        # The owner wrote the path of the image; a stranger wrote the others: show their targets.
        where = path.resolve() if depth else path
        layers.append(Layer(str(where), shown, "backing" if depth else "disk"))
        layers.extend(_data(path, folder, named, name, trusted) for name in named.data)
        if not named.backing:
            return Chain(tuple(layers), tuple(formats))
        below = _below(path, named)
        if below is None:
            _refuse(trusted, f"{path} is an overlay of {named.backing!r}, not a file in its folder")
            layers.append(Layer(named.backing, named.backing_format, "backing"))
            return Chain(tuple(layers), tuple(formats))
        ours = below.resolve() in made(path)
        if not ours:
            _check_place(path, below, folder, trusted, "is an overlay of")
        disk_format = named.backing_format
        if not disk_format:
            disk_format = _unnamed(path, below, trusted)
            formats.append((depth + 1, disk_format))
        elif disk_format not in _FORMATS:
            what = f"{path} names {disk_format!r} as the format of {below}, which kju does not know"
            _refuse(trusted, what)
        if ours:
            folder = below.parent.resolve()
        path = below
    raise UsageError(
        f"the disk {image.path} has more than {MAX_LAYERS} layers, or they form a loop"
    )


def backing(path: Path) -> Path | None:
    """Return the absolute path of a disk's backing file; None if there is none to read."""
    try:
        named = _read(path, "", regular=True)
        found = _below(path, named) if named.backing else None
        return found and found.resolve()
    except (UsageError, OSError, ValueError):
        return None


def copy(
    source: Path,
    folder: Folder,
    name: str,
    *,
    durable: bool = True,
    is_wanted: Callable[[], bool] = always,
) -> None:
    """Copy a qcow2 disk with its snapshots. The copy of an overlay has the same backing file.

    Args:
        source: The disk, which no process writes.
        folder: The folder of the copy.
        name: Its name there.
        durable: Wait until the copy is on the disk.
        is_wanted: Returns false to give up.

    Raises:
        UsageError: The disk cannot be read, or was cut short meanwhile.
        QemuError: qemu-img is missing or failed.
        FileError: It could not be copied.
        UnavailableError: It was given up.
    """
    folder.copy(source, name, durable=durable, is_wanted=is_wanted)
    named = _read(folder.path / name, "qcow2", regular=True)
    below = _below(source, named) if named.backing else None
    if below is not None and not Path(named.backing.removeprefix("file:")).is_absolute():
        # Its name is relative to the folder of the overlay.
        below_format = named.backing_format or _read(below, "", regular=False).format
        _run(
            "rebase", "-u", "-f", "qcow2", "-F", below_format, "-b", str(below.resolve()),
            str(folder.path / name),
        )  # fmt: skip


def _below(path: Path, named: NamedFiles) -> Path | None:
    """Return the backing file that a disk names; None for an address."""
    name = named.backing.removeprefix("file:")
    return None if _PROTOCOL.match(name) else path.parent / name


def _unnamed(path: Path, below: Path, trusted: bool) -> str:
    """Return the format of a backing file that the layer above does not name.

    Raises:
        UsageError: It is not raw, and the disk is not trusted.
    """
    found = _read(below, "", regular=not trusted).format
    if found != "raw" and not trusted:
        raise UsageError(
            f"{path} does not name the format of its backing file {below}, which looks like"
            f" {found}; if it is, name it: qemu-img rebase -u -F {found} -b {below} {path}"
        )
    return found


def _data(path: Path, folder: Path, named: NamedFiles, name: str, trusted: bool) -> Layer:
    """Check a file with an image's data, which QEMU writes, and return it as a layer."""
    where = path.parent / name
    if named.format != "vmdk":
        _refuse(trusted, f"{path} keeps its data in another file, {name!r}")
    elif _PROTOCOL.match(name):
        _refuse(trusted, f"{path} has its data at {name!r}")
    else:
        _check_place(path, where, folder, trusted, "has its data in")
        stem = path.stem
        if not (where.name.startswith(stem) and where.suffix.lower() == ".vmdk"):
            what = f"{path} has its data in {where}, whose name is not {stem}...vmdk"
            _refuse(trusted, what)
        if not trusted and (fault := _examine(where, extent_fault, regular=True)):
            _refuse(trusted, f"{path} has its data in {where}, which has a fault: {fault}")
    return Layer(str(where.resolve()), "", "data")


def _check_place(path: Path, below: Path, folder: Path, trusted: bool, does: str) -> None:
    """Refuse a file outside the folder, or in a folder below: that may be private, as in a home."""
    real = below.resolve()
    if real.parent != folder:
        link = f" (by the link {below})" if str(real) != os.path.normpath(below) else ""
        _refuse(trusted, f"{path} {does} {real}{link}, outside its folder {folder}")


def _refuse(trusted: bool, what: str) -> None:
    if not trusted:
        raise UsageError(
            f"{what}. QEMU would open it, and may write to it. If you trust this disk, use"
            " --trust-disk (trust_disk=True, or trust_disk = true in machine.toml)"
        )


def _read(path: Path, disk_format: str, *, regular: bool) -> NamedFiles:
    """Return the files that a layer names; only a regular file, or a device, is read."""
    return _examine(path, lambda read: parse(read, disk_format), regular=regular)


def _examine(path: Path, what: Callable[[Read], _T], *, regular: bool) -> _T:
    try:
        # Without O_NONBLOCK, opening a named pipe would wait for a writer.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise UsageError(f"the disk's layer {path} cannot be read: {error.strerror}") from error
    try:
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode) and (regular or not stat.S_ISBLK(mode)):
            raise UsageError("it is not a regular file")
        return what(lambda offset, size: os.pread(descriptor, size, offset))
    except (UsageError, OSError, OverflowError) as error:
        raise UsageError(f"the disk {path} cannot be used: {error}") from error
    finally:
        os.close(descriptor)


def describe(chain: Chain) -> Iterator[str]:
    """Yield a line for each file of a disk; nothing for a disk of one file."""
    if len(chain.layers) > 1:
        for layer in chain.layers:
            kind = f" ({layer.format})" if layer.format else ""
            yield f"{layer.role}: {layer.path}{kind}"


_INSTALL = {
    "debian": "apt install qemu-utils",
    "ubuntu": "apt install qemu-utils",
    "fedora": "dnf install qemu-img",
    "rhel": "dnf install qemu-img",
    "arch": "pacman -S qemu-img",
    "suse": "zypper install qemu-img",
    "alpine": "apk add qemu-img",
}
#: Seconds. A call writes a few hundred kilobytes, except for the variables of a UEFI.
_QEMU_IMG_TIMEOUT = 120.0


def make_disk(path: Path, size: str) -> None:
    """Make an empty qcow2 disk.

    Args:
        path: The new disk, which must not exist.
        size: A number and a unit, such as ``20G``.

    Raises:
        UsageError: The size is invalid.
        QemuError: qemu-img is missing or failed.
    """
    if fault := size_fault("disk", size):
        raise UsageError(fault)
    _run("create", "-q", "-f", "qcow2", str(path), size)


def make_overlay(base: Path, base_format: str, path: Path) -> None:
    """Make a qcow2 overlay of a disk, which must not change from then on.

    Raises:
        QemuError: qemu-img is missing or failed.
    """
    _run("create", "-q", "-f", "qcow2", "-b", str(base), "-F", base_format, str(path))


def convert(source: str, source_format: str, folder: Folder, name: str) -> None:
    """Copy a disk to a new qcow2 disk, without its snapshots.

    Args:
        source: The disk.
        source_format: Its format.
        folder: The folder of the new disk.
        name: Its name there.

    Raises:
        QemuError: qemu-img is missing or failed.
        FileError: The new disk could not be finished.
    """
    with folder.staged(name) as new:
        _run("convert", "-q", "-f", source_format, "-O", "qcow2", source, str(new))


def format_of(path: Path) -> str:
    """Return the format of a disk, as QEMU probes it.

    Raises:
        QemuError: qemu-img is missing, or cannot read it.
    """
    return str(json.loads(_run("info", "--output=json", str(path)))["format"])


def qcow2_information(path: Path) -> str:
    """Return facts about a qcow2 disk as JSON, its snapshots included.

    The format is passed to qemu-img, which would probe it otherwise: a guest can write the header
    of another format to its raw disk. Disks of running machines are read, too (``-U``).

    Raises:
        QemuError: qemu-img is missing, or cannot read it.
    """
    return _run("info", "-U", "--output=json", "-f", "qcow2", str(path))


def virtual_size(path: Path, disk_format: str) -> int:
    """Return the size of a disk that the guest sees, in bytes.

    Raises:
        QemuError: qemu-img is missing, or cannot read it.
    """
    found = json.loads(_run("info", "--output=json", "-f", disk_format, str(path)))
    return int(found["virtual-size"])


def commit(overlay: Path, below: Path, lock: int) -> None:
    """Write the contents of an overlay, and of those under it, into a disk below them.

    The overlays keep their contents, so that an interrupted call can be repeated.

    Args:
        overlay: The uppermost overlay.
        below: The disk.
        lock: The descriptor of a lock that qemu-img holds too: it may outlive this process.

    Raises:
        QemuError: qemu-img is missing or failed, or another process uses the disk.
    """
    _run("commit", "-q", "-f", "qcow2", "-d", "-b", str(below), str(overlay), limit=None, lock=lock)


def copy_begin(disk: Path, path: Path) -> None:
    """Copy the first 64 KiB that a guest sees of a qcow2 disk to a new file.

    Raises:
        QemuError: qemu-img is missing or failed.
    """
    _run("dd", "-f", "qcow2", "-O", "raw", "bs=65536", "count=1", f"if={disk}", f"of={path}")


def revert(path: Path, tag: str) -> None:
    """Return a qcow2 disk to the contents that it had at one of its snapshots.

    Raises:
        QemuError: qemu-img is missing or failed.
    """
    _run("snapshot", "-q", "-a", tag, str(path))


def remove_snapshot(path: Path, tag: str) -> None:
    """Remove a snapshot of a qcow2 disk.

    Raises:
        QemuError: qemu-img is missing or failed.
    """
    _run("snapshot", "-q", "-d", tag, str(path))


def _run(*words: str, limit: float | None = _QEMU_IMG_TIMEOUT, lock: int = -1) -> str:
    program = shutil.which("qemu-img")
    if program is None:
        how = install_program(_INSTALL, "install qemu-img from your distribution")
        raise QemuError(f"qemu-img is not installed; {how}")
    try:
        done = subprocess.run(
            [program, *words],
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=limit,
            pass_fds=(lock,) if lock >= 0 else (),
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise QemuError(f"qemu-img cannot be run: {error}") from error
    if done.returncode:
        reason = " ".join(done.stderr.decode("utf-8", "replace").split())
        # A limit of the file size ends it by a signal, without a message.
        reason = reason or f"status {done.returncode} of qemu-img {' '.join(words)}"
        raise QemuError(f"qemu-img {words[0]} failed: {reason.removeprefix('qemu-img: ')}")
    return done.stdout.decode("utf-8", "replace")
