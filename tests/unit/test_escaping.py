"""Untrusted text is escaped wherever it is shown."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.hostile_text import HOSTILE

from kju.cli import doctor, output
from kju.cli.machines import status
from kju.client.requests import Event
from kju.emulators.events import MachineEvents, from_remote
from kju.errors import QemuError
from kju.escaping import lines, one_line, without_folders
from kju.remote.connection_errors import Notices
from kju.report.page import Failure, page
from kju.store import log_files
from kju.surface import Mode, State
from kju.viewers.terminal.status_line import SurfaceStatus

hostile = pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)


@hostile
def test_one_line_is_visible_characters_only(text: str) -> None:
    shown = one_line(f"a{text}b")
    assert shown.isprintable()
    assert shown[0] + shown[-1] == "ab"
    assert len(shown) > 2


@given(st.text(st.characters(codec=None)))
def test_any_text_becomes_one_line_and_plain_text_is_unchanged(text: str) -> None:
    shown = one_line(text)
    assert shown.isprintable()
    assert (shown == text) == text.isprintable()
    assert lines(text).replace("\n", "").isprintable()
    assert one_line(text, 3) == one_line(text[:3])


def test_escapes_are_spelled_so_that_a_reader_sees_them() -> None:
    assert one_line("a\x1b[0m\x9b\u202e\t\nb é") == r"a\x1b[0m\x9b\u202e    \nb é"
    assert lines("a\r\nb\rc\n") == "a\nb\\rc\n"


# ---- the terminal


def event_line(text: str) -> str:
    return status._event_line(
        Event(1, 0.0, f"started{text}", {f"key{text}": f"value{text}"}), False
    )


def status_line(text: str) -> str:
    mode = Mode(640, 480, 2560, 0, 1)
    status = SurfaceStatus(f"n{text}", mode, 1, 0.0, f"s{text}", State.GONE, f"r{text}")
    return " ".join(status.parts)


def info_lines(text: str) -> str:
    found: dict[str, Any] = {f"k{text}": {f"k{text}": f"v{text}", "list": [f"w{text}"]}}
    return "".join(status._data_lines(found))


def told_of_refusals(text: str) -> str:
    said: list[str] = []
    Notices(said.append).report(f"eve{text} is not known")
    return said[0]


SHOWN: dict[str, Callable[[str], str]] = {
    "an event": event_line,
    "an error": lambda text: output.line_of(QemuError(f"QEMU refused: {text}")),
    "a file's error": lambda text: output.line_of(FileNotFoundError(2, "missing", f"/tmp/{text}")),
    "a status": status_line,
    "info": info_lines,
    "a refusal": told_of_refusals,
}


@pytest.mark.parametrize("shown", SHOWN.values(), ids=SHOWN)
@hostile
def test_a_line_for_a_terminal_has_no_control_characters(
    shown: Callable[[str], str], text: str
) -> None:
    assert shown(text).isprintable()


@hostile
def test_logs_are_printed_without_control_characters(tmp_path: Path, text: str) -> None:
    path = tmp_path / "qemu.log"
    path.write_bytes(f"qemu: {text} failed\n".encode("utf-8", "surrogatepass"))
    assert log_files.tail(path)
    assert all(line.isprintable() for line in log_files.tail(path))


@hostile
def test_one_log_record_is_one_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "host.log"
    log = log_files.BoundedLog(path)
    handler = log_files.LogHandler(log)
    handler.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
    record = logging.LogRecord("kju", logging.INFO, "", 1, "%s came", (f"eve{text}",), None)
    handler.emit(record)
    log.close()
    written = path.read_bytes().decode()
    assert written.endswith("came\n")
    assert written[:-1].isprintable()
    assert record.args == (f"eve{text}",)  # other handlers get what was logged


def test_doctor_prints_plain_lines(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = [doctor.Finding(f"w{text}", True, f"s{text}") for text in HOSTILE.values()]
    monkeypatch.setattr(doctor, "findings", lambda: iter(found))
    doctor.doctor(json=False)
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == len(found)
    assert all(line.isprintable() for line in printed)


# ---- events of a sender


@pytest.mark.parametrize("name", ["ending", "client-connected", "started", "panicked", "mode"])
def test_a_senders_event_is_marked_as_remote(name: str) -> None:
    """A program that waits for an event of its machine is not misled."""
    told = from_remote(name, b'{"reason": "because"}')
    assert told is not None
    assert told[0] == f"remote-{name}"
    again = from_remote(told[0], b"{}")  # of a mirror that is served again
    assert again is not None
    assert again[0] == f"remote-{name}"


def test_unknown_events_and_keys_are_dropped() -> None:
    assert from_remote("mode", b'{"width": 640, "x\\u001b[31m": 1, "height": 480}') == (
        "remote-mode",
        {"width": 640, "height": 480},
    )
    assert from_remote("reset", b'{"reason": ["deep"], "guest": true}') == (
        "remote-reset",
        {"guest": True},
    )
    for name in ("", "\x1b[31m", "remote-", "remote-remote-mode", "Mode", "qmp"):
        assert from_remote(name, b"{}") is None


@pytest.mark.parametrize(
    "data",
    [b"", b"[]", b"nonsense", b"[" * 16_000, b'{"a":' * 3000, b"1" * 16_000, b"\xff", b"null"],
)
def test_an_event_that_is_not_an_object_is_dropped(data: bytes) -> None:
    assert from_remote("mode", data) is None


def test_numbers_that_cannot_be_encoded_are_dropped() -> None:
    data = json.dumps({"width": 1 << 70, "height": -(1 << 70), "epoch": 1}).encode()
    told = from_remote("mode", data)
    assert told == ("remote-mode", {"epoch": 1})
    events = MachineEvents()
    events.happen(*told)


# ---- another computer


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("the disk /home/jo doe/My VMs/x.qcow2: unreadable", "the disk x.qcow2: unreadable"),
        ("file=/a/b/c.img,format=raw", "file=c.img,format=raw"),
        ("'/a/b c/d.img' (raw), ~/e/f.img and ../../g/h.img", "'d.img' (raw), f.img and h.img"),
        ("it is in /root/.local/share/kju/forks/ab-12. Restore it", "it is in ab-12. Restore it"),
        ("//share/x", "x"),
        ("https://a.example/b/c, zenoh:lab/host/x, 127.0.0.1:7447/y, 1/1500 s and/or /", ""),
    ],
)
def test_another_computer_is_shown_no_folders(text: str, shown: str) -> None:
    assert without_folders(text) == (shown or text)


# ---- a page


@hostile
def test_a_page_shows_markup_as_text(text: str) -> None:
    words = f"<img src=x onerror=alert(1)>&amp;'\"{text}"
    made = page([], title=words, failure=Failure(words, b""))
    assert "<img src=x" not in made
    body = made[made.index("<h1>") : made.index("<script>")]
    assert all(line.isprintable() for line in body.split("\n"))
    assert "&lt;img src=x" in body


def test_the_table_names_every_use() -> None:
    """Nobody else decides what a terminal may be shown."""
    source = Path(output.__file__).parent.parent
    users = {
        str(path.relative_to(source))
        for path in source.rglob("*.py")
        if ".isprintable()" in path.read_text()
    }
    # Letters of a code, TOML's own escapes, keys that are letters, and characters of a paste.
    assert users == {
        "acting/logged.py",
        "escaping.py",
        "surface/formats.py",
        "store/machine_toml.py",
        "viewers/tools/paste.py",
        "viewers/terminal/parser.py",
    }
