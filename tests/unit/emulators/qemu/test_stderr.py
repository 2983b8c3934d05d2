"""QEMU's standard error: the last lines as one message, and trace events in pieces of any size."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kju.emulators.qemu.stderr import MAX_LINE, Traces, error_message

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
    ("output", "expected"),
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
        (
            [
                f'{PROGRAM}: -drive x: Failed to get "write" lock',
                "Is another process using the image [/a/b.img]?",
            ],
            '-drive x: Failed to get "write" lock; another process uses /a/b.img; if it is'
            " a machine of kju ls, stop or clone that",
        ),
        (["**", "ERROR:x.c:1:f: failed"], "ERROR:x.c:1:f: failed (QEMU also said: **)"),
        (PROBED, f"{PROBED[2]} (QEMU also said: {PROBED[0]} | {PROBED[1]})"),
    ],
)
def test_the_error_comes_first(output: list[str], expected: str) -> None:
    assert error_message(output, PROGRAM) == expected


WORDS = st.sampled_from(
    [b"event", b"even", b"event 1", b"other", b" ", b"\n", b"\r", b"\x0b", b"\t"]
)
TEXTS = st.lists(WORDS, max_size=12).map(b"".join)


def pass_through(parts: list[bytes]) -> tuple[bytes, list[bytes]]:
    lines: list[bytes] = []
    traces = Traces()
    traces.listen("event", lines.append)
    return b"".join(map(traces.receive_data, [*parts, b"\n"])), lines


def test_listener_receives_only_lines_of_its_event() -> None:
    output = b"QEMU says\nevent 1 2\neventually\n event\nevent\r\n"
    assert pass_through([output]) == (
        b"QEMU says\neventually\n event\n\n",
        [b"event 1 2\n", b"event\r\n"],
    )


@given(TEXTS, st.lists(st.integers(0, 40), max_size=4))
@example(b"event\rmore", [])
@example(b"\x0bevent\n", [1])
@example(b"event".ljust(MAX_LINE - 1) + b"\n", [9])
@example(b"event".ljust(MAX_LINE) + b"\n", [MAX_LINE])
def test_cutting_the_output_changes_nothing_and_loses_no_byte(
    text: bytes, places: list[int]
) -> None:
    ends = sorted(min(place, len(text)) for place in places)
    parts = [text[a:b] for a, b in zip([0, *ends], [*ends, len(text)], strict=True)]
    rest, lines = pass_through(parts)
    assert (rest, lines) == pass_through([text])
    assert len(rest) + sum(map(len, lines)) == len(text) + 1
