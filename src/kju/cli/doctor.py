"""`kju doctor`: check this computer's setup."""

from __future__ import annotations

import contextlib
import json as json_format
import os
import resource
import shutil
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from ..client.targets import all_info, running_names
from ..emulators.qemu import program as qemu
from ..emulators.xvfb import emulator as xvfb
from ..errors import KjuError, WaitTimeoutError
from ..escaping import one_line
from ..extras import EXTRAS, install_command, missing_packages
from ..memory.sysv import limits
from ..store.forks import places
from ..store.paths import fallback_note, runtime_folder
from .command import Json
from .output import GREEN, RED, styled

_SHM = "/dev/shm"  # noqa: S108  where Linux keeps POSIX shared memory

#: Checks without which no machine runs.
_NEEDED = ("qemu", "runtime folder")


class Finding(NamedTuple):
    """The result of one check.

    Attributes:
        check: Its name; stable.
        passed: None for a fact that is neither good nor bad.
        details: The facts, and the remedy if it failed.
    """

    check: str
    passed: bool | None
    details: str


def doctor(json: Json = False) -> None:
    """Check this computer's setup and suggest fixes.

    It fails if machines cannot run here.
    """
    found = list(findings())
    if json:
        print(json_format.dumps([finding._asdict() for finding in found]))
    else:
        marks = {True: styled("ok", GREEN), False: styled("NO", RED), None: "--"}
        for check, passed, details in found:
            print(f"{marks[passed]}  {one_line(f'{check:18}  {details}')}")
    broken = [f.check for f in found if f.passed is False and f.check in _NEEDED]
    if broken:
        raise KjuError(f"machines cannot run here until this works: {', '.join(broken)}")


def findings() -> Iterator[Finding]:
    """Yield the result of each check."""
    yield from _qemu()
    yield _xvfb()
    yield _try("runtime folder", _runtime_folder)
    yield from _extras()
    yield from _machines()
    yield from _memory()


def _runtime_folder() -> str:
    note = fallback_note()
    return f"{runtime_folder()} ({note})" if note else str(runtime_folder())


def _qemu() -> Iterator[Finding]:
    try:
        found = qemu.require(qemu.inspect(qemu.locate()))
    except KjuError as error:
        yield Finding("qemu", False, str(error))
        return
    version = ".".join(map(str, found.version))
    yield Finding("qemu", True, f"{found.path}, version {version}, {found.architecture} guests")
    for name, why in found.sources.items():
        yield Finding(f"source {name}", None if why else True, why or "this QEMU can feed it")
    accelerator = qemu.best_accelerator(found)
    # Without it guests are slow but run, so it is not a fault.
    yield Finding("kvm", True if accelerator.name == "kvm" else None, accelerator.reason)
    why = found.no_forks
    yield Finding("forks", None, why) if why else _try("forks", places.largest_base)


def _xvfb() -> Finding:
    try:
        return Finding("xvfb", True, f"{xvfb.locate()}, for: kju run --xvfb")
    except KjuError as error:
        # QEMU's guests do not need it.
        return Finding("xvfb", None, str(error))


def _extras() -> Iterator[Finding]:
    for extra in EXTRAS.values():
        missing = missing_packages(extra.name)
        details = f"installed; enables {extra.enables}"
        if missing:
            details = (
                f"without {', '.join(missing)}; enables {extra.enables};"
                f" install with: {install_command(extra.name)}"
            )
        yield Finding(f"extra {extra.name}", None if missing else True, details)


def _machines() -> Iterator[Finding]:
    """Yield a finding for each running machine with a slower source than QEMU has.

    The version of QEMU does not show whether its host may read video memory; a machine does.
    """
    names = []
    with contextlib.suppress(KjuError):  # the folder for machines is missing; reported above
        names = running_names()
    for name, facts in zip(names, all_info(names), strict=True):
        if reasons := "; ".join(_without_vram(facts)):
            yield Finding(f"machine {name}", None, reasons)


def _without_vram(facts: dict[str, Any] | Exception) -> list[str]:
    """Return the consoles of a machine without a vram source, and the reasons."""
    if isinstance(facts, WaitTimeoutError):
        return ["its host does not respond"]
    if isinstance(facts, Exception):  # it has just ended
        return []
    consoles = facts["consoles"]
    return [
        f"console {console['index']} has no vram source: {console['no_vram']}"
        for console in consoles
        if console.get("no_vram")
    ]


def _memory() -> Iterator[Finding]:
    yield _try("sysv limits", lambda: ", ".join(f"{k} {v}" for k, v in limits().items()))
    yield _try("posix memory", lambda: f"{shutil.disk_usage(_SHM).free >> 20} MiB free in {_SHM}")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    more = f", may be raised to {hard} with: ulimit -n {hard}" if soft < hard else ""
    yield Finding("open files", None, f"{soft} in each process{more}")
    memory = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    yield Finding("memory", None, f"{memory >> 20} MiB free")


def _try(what: str, check: Callable[[], Any]) -> Finding:
    try:
        return Finding(what, True, str(check()))
    except (KjuError, OSError) as error:
        return Finding(what, False, str(error))
