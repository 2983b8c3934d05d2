"""Text from elsewhere, at every place that shows it."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kju.cli import doctor, exits, manage, network, power
from kju.client.life import Event
from kju.emulators.events import Events, from_remote
from kju.errors import QemuError
from kju.escaping import lines, one_line
from kju.remote import address
from kju.remote.endpoints import Options, endpoint
from kju.remote.notices import Notices
from kju.remote.transport import Engine
from kju.report.page import Failure, page
from kju.store import logs
from kju.surface import Mode, State
from kju.viewers.terminal.status import SurfaceStatus

#: What a terminal obeys, what reorders or hides, and what breaks a line in two.
HOSTILE = {
    "escape": "\x1b]0;owned\x07",
    "colour": "\x1b[31m",
    "C1 control": "\x9b31m",
    "C1 string": "\x90q\x9c",
    "line": "\nkju: all is well",
    "return": "\rkju: all is well",
    "next line": "\x85kju:",
    "separators": "\u2028\u2029",
    "backspace": "\x08\x7f",
    "zero": "\0",
    "override": "\u202eexe.txt",
    "isolate": "\u2066\u2069",
    "embedding": "\u202a\u202b\u202c\u200e\u200f",
    "no width": "\u200b\u2060\ufeff",
    "tags": "\U000e0041",
    "surrogate": "\ud800",
}
hostile = pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)


@hostile
def test_one_line_is_visible_characters_only(text: str) -> None:
    shown = one_line(f"a{text}b")
    assert shown.isprintable()
    assert shown[0] + shown[-1] == "ab"
    assert len(shown) > 2


@given(st.text(st.characters(codec=None)))
def test_any_text_becomes_one_line_and_stays_as_it_was_where_it_is_plain(text: str) -> None:
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
    return power._line(Event(1, 0.0, f"started{text}", {f"key{text}": f"value{text}"}), False)


def status_line(text: str) -> str:
    mode = Mode(640, 480, 2560, 0, 1)
    status = SurfaceStatus(f"n{text}", mode, 1, 0.0, f"s{text}", State.GONE, f"r{text}")
    return " ".join(status.parts)


def info_lines(text: str) -> str:
    found: dict[str, Any] = {f"k{text}": {f"k{text}": f"v{text}", "list": [f"w{text}"]}}
    return "".join(manage._lines(found))


def told_of_refusals(text: str) -> str:
    said: list[str] = []
    Notices(said.append).report(f"eve{text} is not known")
    return said[0]


SHOWN: dict[str, Callable[[str], str]] = {
    "an event": event_line,
    "an error": lambda text: exits.line_of(QemuError(f"QEMU refused: {text}")),
    "a file's error": lambda text: exits.line_of(FileNotFoundError(2, "missing", f"/tmp/{text}")),
    "a status": status_line,
    "info": info_lines,
    "a refusal": told_of_refusals,
}


@pytest.mark.parametrize("shown", SHOWN.values(), ids=SHOWN)
@hostile
def test_a_line_for_a_terminal_holds_nothing_to_obey(
    shown: Callable[[str], str], text: str
) -> None:
    assert shown(text).isprintable()


@hostile
def test_logs_are_printed_without_what_a_terminal_obeys(tmp_path: Path, text: str) -> None:
    path = tmp_path / "qemu.log"
    path.write_bytes(f"qemu: {text} failed\n".encode("utf-8", "surrogatepass"))
    assert logs.tail(path)
    assert all(line.isprintable() for line in logs.tail(path))


@hostile
def test_one_log_record_is_one_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "host.log"
    log = logs.BoundedLog(path)
    handler = logs.LogHandler(log)
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
    doctor.doctor(as_json=False)
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == len(found)
    assert all(line.isprintable() for line in printed)


def test_remote_screens_are_listed_in_plain_lines(capsys: pytest.CaptureFixture[str]) -> None:
    """Anybody on the network chooses the name that a screen is served by."""
    pytest.importorskip("zenoh")
    from support.link_scene import free_port

    place = f"tcp/127.0.0.1:{free_port()}"
    names = [f"lab/x{text}" for name, text in HOSTILE.items() if name != "surrogate"]
    served, over = threading.Event(), threading.Event()

    async def serve() -> None:
        engine = await Engine.open(Options(listen=[endpoint(place)], datagrams=False))
        for name in names:
            if not set(name) & set("#?$*\0"):  # what zenoh takes in a key
                engine.declare_token(address.presence(name))
        served.set()
        await asyncio.to_thread(over.wait, 60)
        await engine.close()

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    try:
        assert served.wait(30)
        network.ls([place], "", True, False)
    finally:
        over.set()
        thread.join(30)
    printed = capsys.readouterr().out
    assert all(line.isprintable() for line in printed.split("\n"))


# ---- events of a sender


@pytest.mark.parametrize("name", ["ending", "client-came", "started", "panicked", "mode"])
def test_a_senders_event_is_marked_as_remote(name: str) -> None:
    """A program that waits for an event of its machine is not misled."""
    told = from_remote(name, b'{"reason": "because"}')
    assert told is not None
    assert told[0] == f"remote-{name}"
    again = from_remote(told[0], b"{}")  # of a mirror that is served again
    assert again is not None
    assert again[0] == f"remote-{name}"


def test_only_known_events_with_their_known_keys_are_taken() -> None:
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
def test_an_event_that_is_no_object_is_left_out(data: bytes) -> None:
    assert from_remote("mode", data) is None


def test_numbers_that_cannot_be_told_on_are_left_out() -> None:
    data = json.dumps({"width": 1 << 70, "height": -(1 << 70), "epoch": 1}).encode()
    told = from_remote("mode", data)
    assert told == ("remote-mode", {"epoch": 1})
    events = Events()
    events.happen(*told)


# ---- a page


@hostile
def test_a_page_shows_texts_and_obeys_none(text: str) -> None:
    words = f"<img src=x onerror=alert(1)>&amp;'\"{text}"
    made = page([], title=words, failure=Failure(words, b""))
    assert "<img src=x" not in made
    body = made[made.index("<h1>") : made.index("<script>")]
    assert all(line.isprintable() for line in body.split("\n"))
    assert "&lt;img src=x" in body


def test_the_table_is_complete() -> None:
    """Nobody else decides what a terminal may be shown."""
    source = Path(exits.__file__).parent.parent
    users = {
        str(path.relative_to(source))
        for path in source.rglob("*.py")
        if ".isprintable()" in path.read_text()
    }
    # Letters of a code, TOML's own escapes, keys that are letters, and characters of a paste.
    assert users == {
        "escaping.py",
        "surface/formats.py",
        "store/definition.py",
        "report/inputs.py",
        "viewers/terminal/input.py",
    }
