"""QEMU's last lines as one message."""

from __future__ import annotations

import pytest

from kju.emulators.qemu.errors import message

PROGRAM = "/usr/bin/qemu-system-x86_64"
PROBED = [
    "WARNING: Image format was not specified for 'x, and y.img' and probing guessed raw.",
    "         Automatically detecting the format is dangerous for raw images, write operations on"
    " block 0 will be restricted.",
    "         Specify the 'raw' format explicitly to remove the restrictions.",
]
AUDIO = [
    "qemu-system-x86_64: -device hda-duplex: no default audio driver available",
    "Perhaps you wanted to use -audio or set audiodev=a?",
]


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ([f"{PROGRAM}: -m x: bad"], "-m x: bad"),
        (["qemu-system-x86_64: -m x: bad"], "-m x: bad"),
        (
            ['qemu-system-x86_64: unsupported machine type: "x"', "Use -machine help to list them"],
            f'unsupported machine type: "x"; to list them: {PROGRAM} -machine help',
        ),
        (AUDIO, f"{AUDIO[0].partition(': ')[2]}; {AUDIO[1]}"),
        ([*PROBED, f"{PROGRAM}: -m x: bad"], "-m x: bad"),
        (
            ["qemu-system-x86_64: warning: old", "qemu-system-x86_64: bad", "Try -nographic."],
            "bad (QEMU also said: warning: old)",
        ),
        (["qemu-system-x86_64: bad", "Or use -display gtk"], "bad"),
        (
            ["Could not access KVM: no", f"{PROGRAM}: failed to initialize kvm"],
            "failed to initialize kvm (QEMU also said: Could not access KVM: no)",
        ),
        (
            ["qemu-system-x86_64: bad", "qemu-system-x86_64: warning: and old"],
            "bad (QEMU also said: warning: and old)",
        ),
        (
            ["qemu: fatal: Lockup: no", "", "R00=0 R01=0", "FPSCR: 00000000"],
            "fatal: Lockup: no",
        ),
        (["**", "ERROR:x.c:1:f: failed"], "ERROR:x.c:1:f: failed (QEMU also said: **)"),
        (PROBED, f"{PROBED[2]} (QEMU also said: {PROBED[0]} | {PROBED[1]})"),
    ],
)
def test_the_error_comes_first(said: list[str], expected: str) -> None:
    assert message(said, PROGRAM) == expected
