"""The table of QEMU's options equals QEMU's own."""

from __future__ import annotations

import re
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from support import guests
from support.wait import HANG

from kju.emulators.qemu.arguments.user_options import FLAGS

pytestmark = pytest.mark.qemu

NAME = re.compile(r"-{1,2}([\w-]+)")


def names(qemu: Path) -> set[str]:
    """Return every option in QEMU's help."""
    said = subprocess.run([qemu, "-h"], capture_output=True, text=True, timeout=HANG).stdout
    # "-h or -help", "-fda/-fdb file", "-initrd file"
    heads = (re.match(r"-\S+( or -\S+)?", line) for line in said.splitlines())
    return {name for head in heads if head for name in NAME.findall(head[0].replace("/", " "))}


def stands_alone(qemu: Path, name: str) -> bool:
    """Return whether QEMU takes an option without a value: it parses all options before it acts."""
    command = [qemu, "-version", f"-{name}"]
    done = subprocess.run(
        command, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=HANG
    )
    if "requires an argument" in done.stderr:
        return False
    assert done.returncode == 0, (name, done.stderr)
    return True


@pytest.mark.parametrize("old", [False, True], ids=["installed", "7.2"])
def test_options_without_a_value_are_those_of_qemu(old: bool) -> None:
    qemu = guests.qemu72() if old else guests.qemu()
    known = names(qemu)
    assert {"m", "hda", "hdb", "fdb", "no-fd-bootchk", "S", "help"} <= known
    with ThreadPoolExecutor(2) as pool:
        alone = list(pool.map(lambda name: stands_alone(qemu, name), sorted(known)))
    found = {name for name, is_alone in zip(sorted(known), alone, strict=True) if is_alone}
    assert found - FLAGS == set()
    assert FLAGS & known - found == set()
