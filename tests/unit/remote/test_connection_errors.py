"""Reasons of rejected connections, and the rate of log lines that peers trigger."""

from __future__ import annotations

import subprocess
import sys

import pytest

from kju.remote.connection_errors import MAX_NOTICES, NOTICE_INTERVAL, Notices, reason

LINE = "\x1b[33m WARN\x1b[0m acc-0 \x1b[2mzenoh_link_tls::unicast\x1b[0m\x1b[2m:\x1b[0m "
HINT = ". Hint: increase the system open file limit."


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("invalid peer certificate: UnknownIssuer", "its certificate is from another authority"),
        ("invalid peer certificate: certificate expired: verification time 1 (UNIX), but"
         " certificate is not valid after 0 (1 seconds ago)", "its certificate has expired"),
        ("received corrupt message of type InvalidContentType", "it is not encrypted, or not kju"),
        ("something new", "something new"),
    ],
)  # fmt: skip
def test_a_line_of_zenoh_gives_the_reason(said: str, meant: str) -> None:
    assert reason(LINE + said + HINT + "\n") == meant


@pytest.mark.parametrize("line", ["", "nonsense", "WARN zenoh::net: a link", "\x1b[0m"])
def test_other_lines_give_no_reason(line: str) -> None:
    assert reason(line) == ""


def test_standard_output_still_works_while_refusals_are_reported() -> None:
    pytest.importorskip("zenoh")
    program = """
import os, sys
from kju.remote.connection_errors import report_refusals
said = []
print("before")
with report_refusals(said.append):
    print("within")
    line = b"WARN zenoh_link_tls::unicast: UnknownIssuer. Hint: none\\n"
    os.write(1, line * 3 + b"something else\\n")
print("after", said)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "before\nwithin\nafter ['its certificate is from another authority']\n"
    assert done.stderr == "something else\n"


@pytest.mark.parametrize("end", [">&-", "| true"])
def test_closed_output_is_no_error(end: str) -> None:
    pytest.importorskip("zenoh")
    program = """
import os, sys
from kju.remote.connection_errors import report_refusals
with report_refusals():
    for _ in range(3):
        try:
            print("within")
        except BrokenPipeError:
            pass
print("done", file=sys.stderr)
sys.stdout = None
"""
    command = f'"$0" -c "$1" {end}'
    done = subprocess.run(
        ["bash", "-c", command, sys.executable, program], capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip
    assert done.stderr == "done\n"


def test_equal_lines_are_logged_once_in_an_interval() -> None:
    said: list[str] = []
    now = [0.0]
    notices = Notices(said.append, lambda: now[0])
    for _ in range(1000):
        notices.report("eve is not known")
        now[0] += NOTICE_INTERVAL / 500
    assert said == ["eve is not known"] * 2


def test_different_lines_are_limited() -> None:
    said: list[str] = []
    notices = Notices(said.append, lambda: 0.0)
    for number in range(1000):
        notices.report(f"{number} is not known")
    assert len(said) == MAX_NOTICES


def test_control_characters_are_escaped() -> None:
    said: list[str] = []
    Notices(said.append).report("\x1b]0;owned\x07\nERROR kju")
    assert said == [r"\x1b]0;owned\x07\nERROR kju"]
