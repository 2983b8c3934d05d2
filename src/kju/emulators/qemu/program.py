"""SHELL: a QEMU on this computer: the search for it, its version and features, its accelerator."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from ...errors import KjuError, QemuError
from ...extras import install_program
from ...files import Folder, read_proc
from ...store.paths import runtime_folder
from .. import spawn as process

_OLDEST = (7, 0)
#: Since this version QEMU shares its surfaces' memory (Listener.Unix.Map).
_MAPS_SINCE = (9, 2)
#: Since this version QEMU can keep a display's video memory in shared memory.
_SHARES_SINCE = (10, 0)
#: Since this version QEMU writes a guest's memory to fixed places of a file (mapped-ram).
_FORKS_SINCE = (9, 0)
#: Since this version QEMU has ``-audio none``.
_AUDIO_SINCE = (8, 2)
#: The path of a QEMU outside PATH (RHEL, CentOS).
_ELSEWHERE = "/usr/libexec/qemu-kvm"

_INSTALL = {
    "debian": "apt install qemu-system-x86 qemu-system-modules-opengl",
    "ubuntu": "apt install qemu-system-x86 qemu-system-modules-opengl",
    "fedora": "dnf install qemu-system-x86 qemu-ui-dbus",
    "rhel": "dnf install qemu-kvm qemu-kvm-ui-dbus",
    "arch": "pacman -S qemu-system-x86 qemu-ui-dbus",
    "suse": "zypper install qemu-x86 qemu-ui-dbus",
    "alpine": "apk add qemu-system-x86_64 qemu-ui-dbus",
}

#: Seconds for the boot sector: twenty times TCG's time (0.1 s), and short enough once per boot.
TIME_LIMIT = 2.0
#: Seconds within which a working KVM runs the boot sector on an idle computer.
QUICK = 0.3
#: Times TCG's time that a working KVM may take: usually it takes less, but both times vary.
_SLOWER = 1.5
#: Seconds to wait for another process's test, which takes two runs and the start of two QEMUs.
_TURN_SECONDS = 4 * TIME_LIMIT
_PORT = 0x501
_VALUE = 0x10
#: isa-debug-exit ends QEMU with (value << 1) | 1.
_STATUS = (_VALUE << 1) | 1
#: cli; mov dx, 0x501; mov al, 0x10; out dx, al; hlt; jmp back to the hlt
_CODE = bytes([0xFA, 0xBA, *_PORT.to_bytes(2, "little"), 0xB0, _VALUE, 0xEE, 0xF4, 0xEB, 0xFD])
_BOOT_SECTOR = _CODE.ljust(510, b"\0") + b"\x55\xaa"


class Qemu(NamedTuple):
    """A QEMU on this computer.

    Attributes:
        path: Its absolute path.
        version: For example ``(10, 0, 2)``.
        version_text: The first line of ``--version``.
        architecture: The guests' architecture, by the file name; else this computer's.
        displays: The names that ``-display help`` lists.
    """

    path: str
    version: tuple[int, ...]
    version_text: str
    architecture: str
    displays: tuple[str, ...]

    @property
    def shares_video_memory(self) -> bool:
        """True if it has ``-machine aux-ram-share``."""
        return self.version >= _SHARES_SINCE

    @property
    def no_forks(self) -> str:
        """The reason why its machines cannot be forked; empty if they can."""
        version = ".".join(map(str, self.version))
        return "" if self.version >= _FORKS_SINCE else f"needs QEMU 9.0, this is {version}"

    @property
    def no_sound(self) -> tuple[str, ...]:
        """Arguments with which sound devices start and play nothing."""
        if self.version >= _AUDIO_SINCE:
            return ("-audio", "none")
        return ("-audiodev", "none,id=kju-audio")

    @property
    def sources(self) -> dict[str, str]:
        """The reason why each source is unsupported; an empty text if it is supported."""
        dbus = "" if "dbus" in self.displays else "it has no dbus display (a module to install)"
        version = ".".join(map(str, self.version))
        maps = "" if self.version >= _MAPS_SINCE else f"needs QEMU 9.2, this is {version}"
        vram = "" if self.shares_video_memory else f"needs QEMU 10.0, this is {version}"
        return {"vram": vram, "display1-map": dbus or maps, "display1-copy": dbus}


def _install_line() -> str:
    """Return instructions to install QEMU, for the end of a message."""
    return install_program(
        _INSTALL, "install QEMU 9.2 or newer, with its dbus display module, from your distribution"
    )


def locate(asked: str = "") -> str:
    """Return the path of the QEMU to run.

    Args:
        asked: The caller's choice: a path or a name in PATH. The default is ``$KJU_QEMU``, then
            the QEMU for this computer's architecture, then any.

    Raises:
        QemuError: QEMU is missing.
    """
    source = "" if asked else " (from $KJU_QEMU)"
    if wanted := asked or os.environ.get("KJU_QEMU", ""):
        # Only a path with a tilde becomes a Path: a Path drops the "./" of "./qemu".
        if found := shutil.which(str(Path(wanted).expanduser()) if wanted[0] == "~" else wanted):
            return str(Path(found).absolute())
        raise QemuError(f"QEMU {wanted!r}{source} does not exist or is not executable")
    machine = {"amd64": "x86_64", "arm64": "aarch64"}.get(platform.machine(), platform.machine())
    for name in dict.fromkeys((machine, "x86_64", "aarch64")):
        if found := shutil.which(f"qemu-system-{name}"):
            return found
    if found := shutil.which(_ELSEWHERE):
        return found
    raise QemuError(f"QEMU is not installed; {_install_line()}")


def inspect(path: str) -> Qemu:
    """Run a QEMU to read its version and displays: two short runs, 40 ms together.

    Raises:
        QemuError: The program does not run, or is not a QEMU.
    """
    first = output_of(path, "--version").splitlines()[:1]
    match = re.search(r"version (\d+)\.(\d+)(?:\.(\d+))?", first[0] if first else "")
    if not match:
        raise QemuError(f"{path} is not a QEMU: its first line is {first[0] if first else ''!r}")
    version = tuple(int(part) for part in match.groups() if part is not None)
    displays = tuple(
        re.findall(r"^([a-z0-9-]+)$", output_of(path, "-display", "help"), re.MULTILINE)
    )
    name = re.fullmatch(r"qemu-system-(\w+)", Path(path).name)
    architecture = name[1] if name else platform.machine()
    return Qemu(path, version, first[0].strip(), architecture, displays)


def require(qemu: Qemu) -> Qemu:
    """Return *qemu* if kju can use it.

    Raises:
        QemuError: The QEMU is older than 7.0, or has no dbus display.
    """
    version = ".".join(map(str, qemu.version))
    if qemu.version < _OLDEST:
        raise QemuError(f"{qemu.path} is QEMU {version}; kju needs 7.0 or newer. {_install_line()}")
    if "dbus" not in qemu.displays:
        raise QemuError(
            f"{qemu.path} (QEMU {version}) has no dbus display, which kju needs."
            f" Its module may be missing; {_install_line()}"
        )
    return qemu


def output_of(path: str, *arguments: str) -> str:
    """Return the output of a QEMU, of both streams.

    Raises:
        QemuError: It does not run, or does not end within ten seconds.
    """
    try:
        result = subprocess.run(
            [path, *arguments], capture_output=True, stdin=subprocess.DEVNULL, timeout=10
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise QemuError(f"{path} cannot be run: {error}") from error
    return (result.stdout + result.stderr).decode("utf-8", "replace")


class Accelerator(NamedTuple):
    """An accelerator.

    Attributes:
        name: ``kvm`` or ``tcg``.
        reason: Why it was chosen.
        seconds: The run time of the test guest; 0 if none was run.
    """

    name: str
    reason: str
    seconds: float = 0.0


def best_accelerator(qemu: Qemu) -> Accelerator:
    """Return the best accelerator that works, tested at most once per boot of the computer.

    KVM may fail although ``/dev/kvm`` opens: inside some virtual machines the virtual processor
    hangs in firmware, or is a thousand times slower. So a boot sector is run that exits through
    QEMU's debug port within `TIME_LIMIT`. A slow KVM is compared with TCG: on one such computer it
    took 1.6 s or more and TCG 0.1 s, and larger guests hung.
    """
    native = {"amd64": "x86_64", "arm64": "aarch64"}.get(platform.machine(), platform.machine())
    if qemu.architecture != native:
        return Accelerator("tcg", f"a {qemu.architecture} guest on a {native} processor needs TCG")
    if not Path("/dev/kvm").exists():
        return Accelerator("tcg", "/dev/kvm is missing")
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return Accelerator(
            "tcg",
            "/dev/kvm may not be opened; join its group: usermod -aG kvm $USER",
        )
    if native != "x86_64":
        return Accelerator(
            "kvm", "/dev/kvm opens (not tested: kju has no test guest for this processor)"
        )
    return _tested_accelerator(qemu)


def _tested_accelerator(qemu: Qemu) -> Accelerator:
    """Return the result of the test, which is made at most once per boot of the computer."""
    cache = _cache_path()
    if found := _cached(cache, qemu):
        return found
    # Not at the same time as another host: 64 that start together would slow each other's test
    # guest, and a KVM that works would be remembered as one that does not.
    with _turn(cache):
        if found := _cached(cache, qemu):
            return found
        found = _try_kvm(qemu)
        _remember(cache, qemu, found)
        return found


class _Run(NamedTuple):
    """One run of the boot sector: QEMU's exit status, None after `TIME_LIMIT`, and its output."""

    status: int | None
    seconds: float
    output: str


def _try_kvm(qemu: Qemu) -> Accelerator:
    """Run the boot sector under KVM, and under TCG too unless KVM is clearly faster."""
    try:
        kvm = _run_boot_sector(qemu, "kvm")
        if kvm.status is None:
            return Accelerator(
                "tcg",
                "KVM does not work on this computer: a test guest did not finish in"
                f" {TIME_LIMIT:g} s",
                TIME_LIMIT,
            )
        if kvm.status != _STATUS:
            lines = kvm.output.strip().splitlines()
            why = lines[-1] if lines else f"QEMU {process.describe(kvm.status)}"
            return Accelerator("tcg", f"KVM does not work on this computer: {why}", kvm.seconds)
        if kvm.seconds > QUICK:
            # The computer is busy, or KVM crawls. On a busy computer TCG takes as long.
            tcg = _run_boot_sector(qemu, "tcg")
            if tcg.status == _STATUS and kvm.seconds > _SLOWER * tcg.seconds:
                return Accelerator(
                    "tcg",
                    "KVM is too slow on this computer: a test guest took"
                    f" {kvm.seconds:.2f} s, and {tcg.seconds:.2f} s under TCG",
                    kvm.seconds,
                )
    except OSError as error:
        return Accelerator("tcg", f"QEMU could not try KVM: {error.strerror}")
    return Accelerator("kvm", f"a test guest ran on KVM in {kvm.seconds:.2f} s", kvm.seconds)


def _run_boot_sector(qemu: Qemu, accelerator: str) -> _Run:
    """Run the boot sector.

    Raises:
        OSError: QEMU could not be started.
    """
    with os.fdopen(os.memfd_create("kju-probe-output"), "w+b") as output, _sector() as sector:
        drive = f"file=/proc/self/fd/{sector},format=raw,if=floppy,readonly=on"
        command = [qemu.path, "-nodefaults", "-no-user-config", "-display", "none", "-m", "16"]
        command += ["-accel", accelerator, "-drive", drive]
        command += ["-device", f"isa-debug-exit,iobase={_PORT:#x},iosize=1"]
        began = time.monotonic()
        child = process.spawn(command, output=output.fileno(), inherit=[sector])
        status = None
        try:
            status = child.wait(TIME_LIMIT)
        except subprocess.TimeoutExpired:
            pass
        finally:
            process.kill_group(child)
            child.wait()
        seconds = time.monotonic() - began
        output.seek(0)
        return _Run(status, seconds, output.read(400).decode("utf-8", "replace"))


@contextlib.contextmanager
def _sector() -> Iterator[int]:
    descriptor = os.memfd_create("kju-probe", os.MFD_CLOEXEC)
    try:
        os.write(descriptor, _BOOT_SECTOR)
        yield descriptor
    finally:
        os.close(descriptor)


def _boot_id() -> str:
    """Return an identifier of this boot of the computer."""
    try:
        return read_proc("/proc/sys/kernel/random/boot_id").strip()
    except OSError:
        return ""


def _cache_path() -> Path | None:
    with contextlib.suppress(KjuError):
        return runtime_folder() / ".accelerator.json"
    return None


def _key(qemu: Qemu) -> list[object]:
    found = Path(qemu.path).stat()
    return [_boot_id(), qemu.path, found.st_mtime_ns, found.st_size, os.getuid()]


@contextlib.contextmanager
def _turn(cache: Path | None) -> Iterator[None]:
    """Wait for the tests of other processes; not for one that hangs, nor where no lock works."""
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(KjuError):
            if cache is not None:
                folder = stack.enter_context(Folder.open(cache.parent))
                stack.enter_context(folder.lock(".accelerator.lock", timeout=_TURN_SECONDS))
        yield


def _cached(cache: Path | None, qemu: Qemu) -> Accelerator | None:
    with contextlib.suppress(KjuError, OSError, ValueError, KeyError, TypeError):
        if cache is not None:
            with Folder.open(cache.parent) as folder:
                found = json.loads(folder.read(cache.name))
            if found["key"] == _key(qemu) and found["name"] in ("kvm", "tcg"):
                return Accelerator(found["name"], str(found["reason"]), float(found["seconds"]))
    return None


def _remember(cache: Path | None, qemu: Qemu, found: Accelerator) -> None:
    if cache is not None:
        text = json.dumps({"key": _key(qemu), **found._asdict()})
        with contextlib.suppress(KjuError), Folder.open(cache.parent) as folder:
            folder.write(cache.name, text.encode(), durable=False)
