"""The set-up's steps, and its questions about this computer."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess

import pytest
from support.apt_root import functions

LIMIT = 60  # seconds without output of a program that writes each second


def test_long_answer_of_qemu_is_read_to_its_end(checkout, apt_root, tmp_path):
    """A reader that ends at its line would break the pipe, and the set-up would see no QEMU."""
    qemu = tmp_path / "qemu-system-x86_64"
    qemu.write_text(
        "#!/bin/sh\n"
        'case $* in --version) echo "QEMU emulator version 10.0.2 (Debian)";;'
        " *) echo dbus; seq 100000 || exit 1;; esac\n"
    )
    qemu.chmod(0o755)
    script = f'PATH="{tmp_path}:$PATH"; qemu_version; at_least "$(qemu_version)" 9.2'
    done = functions(checkout, apt_root, script)
    assert (done.returncode, done.stdout) == (0, "10.0.2\n"), done.stderr


@pytest.mark.parametrize(
    ("version", "wanted", "enough"),
    [("10.0.2", "9.2", 0), ("9.2", "9.2", 0), ("7.2.15", "9.2", 1), ("", "7.0", 1)],
)
def test_versions_are_compared_as_numbers(checkout, apt_root, version, wanted, enough):
    done = functions(checkout, apt_root, f"at_least '{version}' {wanted} || exit 1")
    assert done.returncode == enough


def test_failed_step_shows_its_output(checkout, apt_root):
    script = "failing() { seq 100; echo the reason >&2; return 3; }; step 'doing it' failing"
    done = functions(checkout, apt_root, script)
    assert done.returncode == 1
    lines = done.stderr.splitlines()
    assert lines[-2:] == ["the reason", "setup: failed: doing it (log: build/setup.log)"]
    assert len(lines) == 31


def test_progress_is_one_line_on_a_terminal(checkout, apt_root):
    """The line shows the seconds and the newest line of the output."""
    (checkout / "build").mkdir()
    script = (
        f"cd '{checkout}'; root=$PWD log=$PWD/build/setup.log; . tools/lib/report.bash;"
        "slow() { echo unpacking things; while ! [ -e build/seen ]; do sleep 0.1; done; };"
        "attempt 'doing it' slow"
    )
    seen = b""
    terminal, inner = pty.openpty()
    child = subprocess.Popen(["bash", "-euc", script], stdin=inner, stdout=inner, stderr=inner)
    os.close(inner)
    try:
        while b"unpacking things" not in seen:
            assert select.select([terminal], [], [], LIMIT)[0], seen
            seen += os.read(terminal, 4096)
        (checkout / "build/seen").touch()
        while part := read_terminal(terminal):
            seen += part
    finally:
        (checkout / "build/seen").touch()  # the step ends in every case
        os.close(terminal)
        child.wait()
    assert re.search(rb"\r\x1b\[Ksetup: doing it: \d+ s  unpacking things", seen)
    assert seen.endswith(b"\r\x1b[K") or b"done in" in seen


def read_terminal(terminal: int) -> bytes:
    try:
        return os.read(terminal, 4096)
    except OSError:  # the error of Linux for a terminal that is closed at the other end
        return b""
