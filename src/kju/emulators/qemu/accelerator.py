"""SHELL: the choice of the accelerator, by a test run.

KVM may fail although ``/dev/kvm`` opens: inside some virtual machines the virtual processor hangs
in firmware, or is a thousand times slower. So a boot sector is run that exits through QEMU's debug
port within 2 s. A slow KVM is compared with TCG: on one such computer it took 1.6 s or more and
TCG 0.1 s, and larger guests hung. The result is kept until the computer boots again.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from ...errors import KjuError
from ...files import Folder
from ...store.paths import runtime_folder
from .. import spawn as process
from .program import Qemu

#: Twenty times what TCG takes (0.1 s); still short enough to wait for once a day.
TIME_LIMIT = 2.0
#: Seconds within which a working KVM runs the boot sector on a computer that is not busy.
QUICK = 0.3
#: Times TCG's time that a working KVM may take: it takes less, but both times vary.
SLOWER = 1.5
_PORT = 0x501
_VALUE = 0x10
#: isa-debug-exit ends QEMU with (value << 1) | 1.
_STATUS = (_VALUE << 1) | 1
#: cli; mov dx, 0x501; mov al, 0x10; out dx, al; hlt; jmp back to the hlt
_CODE = bytes([0xFA, 0xBA, *_PORT.to_bytes(2, "little"), 0xB0, _VALUE, 0xEE, 0xF4, 0xEB, 0xFD])
BOOT_SECTOR = _CODE.ljust(510, b"\0") + b"\x55\xaa"


class Accelerator(NamedTuple):
    """An accelerator.

    Attributes:
        name: ``kvm`` or ``tcg``.
        reason: Why.
        seconds: How long the test guest took; 0 if none was run.
    """

    name: str
    reason: str
    seconds: float = 0.0


def accelerator(qemu: Qemu) -> Accelerator:
    """Return the best accelerator that works, tried at most once per boot of the computer."""
    native = {"amd64": "x86_64", "arm64": "aarch64"}.get(platform.machine(), platform.machine())
    if qemu.architecture != native:
        return Accelerator("tcg", f"a {qemu.architecture} guest on a {native} processor needs TCG")
    if not Path("/dev/kvm").exists():
        return Accelerator("tcg", "there is no /dev/kvm, so guests run under TCG (slowly)")
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return Accelerator(
            "tcg",
            "/dev/kvm may not be opened, so guests run under TCG (slowly);"
            " join its group: usermod -aG kvm $USER",
        )
    if native != "x86_64":
        return Accelerator("kvm", "/dev/kvm opens (not tried: there is no test guest for it)")
    cache = _cache_path()
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
        kvm = _run(qemu, "kvm")
        if kvm.status is None:
            return Accelerator(
                "tcg",
                f"/dev/kvm opens, but a test guest did not finish within {TIME_LIMIT:g} s on it"
                " (KVM hangs or crawls here), so guests run under TCG",
                TIME_LIMIT,
            )
        if kvm.status != _STATUS:
            lines = kvm.output.strip().splitlines()
            why = lines[-1] if lines else f"QEMU {process.describe(kvm.status)}"
            return Accelerator("tcg", f"a test guest did not run on KVM: {why}", kvm.seconds)
        if kvm.seconds > QUICK:
            # A busy computer, or a KVM that crawls: TCG takes as long on the one.
            tcg = _run(qemu, "tcg")
            if tcg.status == _STATUS and kvm.seconds > SLOWER * tcg.seconds:
                return Accelerator(
                    "tcg",
                    f"a test guest took {kvm.seconds:.2f} s on KVM, {tcg.seconds:.2f} s under TCG"
                    " (KVM crawls here), so guests run under TCG",
                    kvm.seconds,
                )
    except OSError as error:
        return Accelerator("tcg", f"QEMU could not try KVM: {error.strerror}")
    return Accelerator("kvm", f"a test guest ran on KVM in {kvm.seconds:.2f} s", kvm.seconds)


def _run(qemu: Qemu, accelerator: str) -> _Run:
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
        os.write(descriptor, BOOT_SECTOR)
        yield descriptor
    finally:
        os.close(descriptor)


def boot_id() -> str:
    """Return an identifier of this boot of the computer."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def _cache_path() -> Path | None:
    with contextlib.suppress(KjuError):
        return runtime_folder() / ".accelerator.json"
    return None


def _key(qemu: Qemu) -> list[object]:
    found = Path(qemu.path).stat()
    return [boot_id(), qemu.path, found.st_mtime_ns, found.st_size, os.getuid()]


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
