"""SHELL: faults that QEMU would report when it starts, found without starting it.

For dry runs: a disk that another QEMU uses, a port that is in use, a device, a property or a
processor that this QEMU does not have, more memory than this computer has. A launch does not make
these checks: QEMU's own are exact, and nothing can change between them and the start.

Source:
    block/file-posix.c of QEMU (raw_apply_lock_bytes, raw_check_lock_bytes): the byte ranges that
    QEMU locks in a disk; net/slirp.c (slirp_hostfwd); system/qdev-monitor.c (qdev_device_help);
    proc(5) and fcntl(2) (F_OFD_GETLK).
"""

from __future__ import annotations

import contextlib
import difflib
import errno
import fcntl
import ipaddress
import os
import re
import socket
import struct
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from ...errors import KjuError, UsageError
from ...files import proc_lines, read_proc
from ...store.disk_files import Chain
from .arguments.user_options import QemuOption, fields, parse
from .program import output_of

#: QEMU locks byte 100 + n for a use that it makes of a disk, and 200 + n for one it does not share.
_USES, _UNSHARED = 100, 200
#: The uses: consistent reading, writing, changing the size.
_READ, _WRITE, _RESIZE = 0, 1, 3
#: Bytes that must be free for a disk that is only read, and further ones for one that is written.
_FREE_TO_READ = (_USES + _WRITE, _USES + _RESIZE, _UNSHARED + _READ)
_FREE_TO_WRITE = (_UNSHARED + _WRITE, _UNSHARED + _RESIZE)
_QCOW2 = b"QFI\xfb"
#: struct flock: type, whence, start, length, process.
_LOCK = struct.Struct("hhqqi4x")

_DEVICE_NAME = re.compile(r'^name "([^"]+)"(?:.*?\balias "([^"]+)")?', re.MULTILINE)
_PROPERTY = re.compile(r"^\s+([\w-]+)=<", re.MULTILINE)
#: Keys of -device that are QEMU's own, not a property of the device.
_COMMON_KEYS = frozenset(("driver", "id", "bus"))
#: A key that can be checked: QEMU lists neither items of arrays nor properties of parts.
_PLAIN_KEY = re.compile(r"(?!x-|len-)[\w-]+")
_CPU_NAME = re.compile(r"^\s+(?:x86\s+)?([\w.+-]+)", re.MULTILINE)
#: Processors that some QEMUs accept without listing them.
_UNLISTED = frozenset(("host", "max", "base", "help"))

_FORWARD = re.compile(r"(?:^|,)hostfwd=(tcp|udp|):([^:,]*):(\d{1,5})-")
_SIZE = re.compile(r"(\d+)([KMGTPE]?)i?B?", re.IGNORECASE)
_UNITS = {"": 20, "K": 10, "M": 20, "G": 30, "T": 40, "P": 50, "E": 60}


class DiskUse(NamedTuple):
    """A disk as a machine would use it.

    Attributes:
        chain: Its files, the disk itself first.
        read_only: Whether QEMU only reads it.
        option: The option that names it, for the error.
    """

    chain: Chain
    read_only: bool
    option: str


def check_disks(disks: Sequence[DiskUse]) -> None:
    """Raise an error for a disk in the wrong format, or in use by another QEMU.

    Raises:
        UsageError: There is one.
    """
    for disk in disks:
        for depth, layer in enumerate(disk.chain.layers):
            if layer.role == "data":
                continue
            if layer.format == "qcow2" and _is_other_format(layer.path):
                raise UsageError(
                    f"{layer.path} is not a qcow2 disk, though its name or the disk above says so;"
                    " look at it with: qemu-img info, and rename a raw disk to end in .raw"
                ).about(disk.option)
            read_only = disk.read_only or depth > 0
            if _is_locked(layer.path, read_only=read_only):
                who = _user_of(layer.path)
                raise UsageError(
                    f"the disk {layer.path} is in use by {who}: stop that first, or make a clone"
                    " of the machine"
                ).about(disk.option)


def _is_other_format(path: str) -> bool:
    """Return whether a file is not qcow2; False for one that is missing: it is still to be made."""
    try:
        with Path(path).open("rb") as file:
            return file.read(len(_QCOW2)) != _QCOW2
    except OSError:
        return False


def _is_locked(path: str, *, read_only: bool) -> bool:
    """Return whether another process has locked the bytes of a disk that QEMU needs."""
    wanted = _FREE_TO_READ if read_only else (*_FREE_TO_READ, *_FREE_TO_WRITE)
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return False  # a disk that is still to be made; `prepare` has checked the others
    try:
        for byte in wanted:
            asked = _LOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, byte, 1, 0)
            answer = fcntl.fcntl(descriptor, fcntl.F_OFD_GETLK, asked)
            if _LOCK.unpack(answer)[0] != fcntl.F_UNLCK:
                return True
    except OSError:
        return False  # a file system without locks, where QEMU makes none either
    finally:
        os.close(descriptor)
    return False


def _user_of(path: str) -> str:
    """Return the machine or the process that has a file open; the kernel hides other users'."""
    with contextlib.suppress(OSError):
        wanted = Path(path).stat()
        for process in Path("/proc").iterdir():
            if process.name.isdecimal() and process.name != str(os.getpid()):
                with contextlib.suppress(OSError):
                    if _has_open(process, wanted):
                        return _title(process)
    return "another process"


def _has_open(process: Path, wanted: os.stat_result) -> bool:
    for link in (process / "fd").iterdir():
        with contextlib.suppress(OSError):
            found = link.stat()
            if (found.st_dev, found.st_ino) == (wanted.st_dev, wanted.st_ino):
                return True
    return False


def _title(process: Path) -> str:
    words = read_proc(process / "cmdline").split("\0")[:-1]
    program = Path(words[0]).name if words else "a process"
    options = [option for option in parse(words[1:]) if option.name == "name"]
    name = fields(options[-1].value, "guest").get("guest", "") if options else ""
    if name:
        return f"{name!r} ({program}, process {process.name})"
    return f"{program} (process {process.name})"


def check_ports(options: Sequence[QemuOption]) -> None:
    """Raise an error if a port that QEMU would forward to the guest cannot be opened.

    Raises:
        UsageError: It cannot.
    """
    seen = set()
    for kind, host, port in _forwards(options):
        family = f"{kind} port {port}"
        if (kind, host, port) in seen:
            raise UsageError(f"hostfwd: the {family} is forwarded twice").about("arguments")
        seen.add((kind, host, port))
        if fault := _port_fault(kind, host, port):
            raise UsageError(f"hostfwd: the {family} cannot be opened: {fault}").about("arguments")


def _forwards(options: Sequence[QemuOption]) -> Iterator[tuple[str, str, int]]:
    """Yield the protocol, the address and the port of each forwarding."""
    for option in options:
        if option.name not in ("nic", "netdev", "net") or not option.value:
            continue
        values = [option.value]
        if option.value.lstrip().startswith("{"):
            found = fields(option.value, "type").get("hostfwd", "")
            values = [f"hostfwd={each}" for each in re.findall(r'"str":\s*"([^"]*)"', found)]
        elif fields(option.value, "type").get("type") != "user":
            continue
        for value in values:
            for kind, host, port in _FORWARD.findall(value):
                if 0 < int(port) < 1 << 16:
                    yield kind or "tcp", host, int(port)


def _port_fault(kind: str, host: str, port: int) -> str:
    """Return why a port cannot be opened; empty if it can, or that is unknown."""
    try:
        address = str(ipaddress.IPv4Address(host)) if host else ""
    except ValueError:
        return ""  # a name: looking it up may take long
    stream = kind == "tcp"
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM if stream else socket.SOCK_DGRAM) as sock:
        if stream:
            # As QEMU does it. The port is never listened on here.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((address, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return "another program uses it; choose another one"
            if error.errno == errno.EACCES:
                return "ports below 1024 belong to root; choose a higher one"
            return str(error.strerror).lower()
    return ""


#: Returns the output of a QEMU for some arguments.
Ask = Callable[[str, tuple[str, ...]], str]


def check_devices(options: Sequence[QemuOption], program: str, ask: Ask) -> None:
    """Raise an error for a device, a property of one, or a processor that this QEMU has not.

    Args:
        options: The user's options.
        program: The QEMU.
        ask: Returns its output; the answers may be remembered.

    Raises:
        UsageError: QEMU has no such device, property or processor.
    """
    for option in options:
        if option.name == "device" and option.value:
            _check_device(fields(option.value, "driver"), program, ask)
        elif option.name == "cpu" and option.value:
            _check_cpu(option.value.split(",", 1)[0], program, ask)


def _check_device(given: dict[str, str], program: str, ask: Ask) -> None:
    driver = given.get("driver", "")
    named = _DEVICE_NAME.findall(ask(program, ("-device", "help")))
    known = {name for pair in named for name in pair if name}
    if not driver or not known:
        return
    if driver not in known:
        raise UsageError(
            f"-device {driver}: this QEMU has no such device{_close(driver, known)}; to list them:"
            f" {program} -device help"
        ).about("arguments")
    keys = {key for key in given if _PLAIN_KEY.fullmatch(key)} - _COMMON_KEYS
    properties = set[str]()
    if keys:
        properties.update(_PROPERTY.findall(ask(program, ("-device", f"{driver},help"))))
    for key in sorted(keys - properties) if properties else ():
        raise UsageError(
            f"-device {driver}: it has no property {key!r}{_close(key, properties)}; to list them:"
            f" {program} -device {driver},help"
        ).about("arguments")


def _check_cpu(model: str, program: str, ask: Ask) -> None:
    listed = ask(program, ("-cpu", "help")).partition("CPUID flags")[0]
    known = set(_CPU_NAME.findall(listed))
    if known and model not in known | _UNLISTED:
        raise UsageError(
            f"-cpu {model}: this QEMU has no such processor{_close(model, known)}; to list them:"
            f" {program} -cpu help"
        ).about("arguments")


def _close(name: str, known: set[str]) -> str:
    found = difflib.get_close_matches(name, sorted(known), 1, 0.75)
    return f" (do you mean {found[0]}?)" if found else ""


def ask_program(program: str, arguments: tuple[str, ...]) -> str:
    """Return the output of a QEMU for these arguments; empty if it does not run."""
    try:
        return output_of(program, *arguments)
    except KjuError:
        return ""


def check_memory(size: str) -> None:
    """Raise an error for a guest with more memory than this computer has, with its swap space.

    Linux refuses such a guest's memory, unless the administrator has allowed it.

    Raises:
        UsageError: It has more.
    """
    found = _SIZE.fullmatch(size.strip())
    if not found:
        return
    wanted = int(found[1]) << _UNITS[found[2].upper()]
    with contextlib.suppress(OSError, ValueError, KeyError):
        if read_proc("/proc/sys/vm/overcommit_memory").strip() != "0":
            return
        lines = dict(line.split(":", 1) for line in proc_lines("/proc/meminfo"))
        kinds = ("MemTotal", "SwapTotal")
        there = sum(int(lines[kind].split()[0]) for kind in kinds) << 10
        if wanted > there:
            raise UsageError(
                f"{size} of memory are more than this computer has: {there / (1 << 30):.1f} GiB,"
                " with its swap space"
            ).about("memory")
