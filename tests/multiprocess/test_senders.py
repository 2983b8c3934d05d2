"""Certificates of senders and users, made and used by the commands that users type."""

from __future__ import annotations

import contextlib
import re
import shlex
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import xservers
from support.wait import until

import kju

pytest.importorskip("zenoh")
pytest.importorskip("cryptography")
KJU = (sys.executable, "-m", "kju.cli")
LIMIT = 60


class Home:
    """The trust folder of a user or a computer."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self._monkeypatch = folder, monkeypatch

    def enter(self) -> None:
        self._monkeypatch.setenv("KJU_TRUST", str(self.folder))

    def run(self, *words: str) -> str:
        """Run a command with this folder and return its output."""
        self.enter()
        done = subprocess.run([*KJU, *words], capture_output=True, text=True, timeout=LIMIT)
        return done.stdout + done.stderr

    @contextlib.contextmanager
    def running(self, *words: str) -> Iterator[subprocess.Popen[str]]:
        """Start a command and wait for its first line."""
        self.enter()
        with subprocess.Popen([*KJU, *words], stdout=subprocess.PIPE, text=True) as process:
            try:
                assert process.stdout is not None
                assert process.stdout.readline()
                yield process
            finally:
                process.kill()


def link(mirror: kju.Machine) -> dict[str, object]:
    found: dict[str, object] = mirror.info()["mirror"]
    return found


def test_user_reaches_a_sender_through_a_router_until_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    xservers.need()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    with socket.create_server(("127.0.0.1", 0)) as free:
        place = f"tls/127.0.0.1:{free.getsockname()[1]}"
    names = ("authority", "one", "two", "router", "ann")
    authority, one, two, router, ann = (Home(tmp_path / each, monkeypatch) for each in names)
    authority.run("cert", "authority")
    for name, home in (("host1", one), ("host2", two)):
        authority.run("cert", "host", name, "-o", f"{tmp_path}/{name}.key")
        said = home.run("cert", "take", f"{tmp_path}/{name}.key")
        assert f"this computer is {name}: kju serve" in said
        home.run("trust", "ann", "--role", "control")
    authority.run("cert", "router", "127.0.0.1", "-o", f"{tmp_path}/router.key")
    assert "kju router" in router.run("cert", "take", f"{tmp_path}/router.key")
    assert "kju cert router" in one.run("router", "--listen", place)
    authority.run("cert", "user", "ann", "-o", f"{tmp_path}/ann.key")
    ann.run("cert", "take", f"{tmp_path}/ann.key")
    serving = ("serve", "x", "--prefix", "lab", "--connect", place)
    how = {"connect": [place], "user": "ann", "trust": ann.folder}
    with contextlib.ExitStack() as stack:
        one.enter()
        stack.enter_context(kju.launch(xvfb=True, name="x"))
        stack.enter_context(router.running("router", "--listen", place))
        with one.running(*serving):
            mirroring = ("mirror", "zenoh:lab/x", "--connect", place, "--user", "ann")
            assert "--sender requires 'host2'" in ann.run(*mirroring, "--sender", "host2")
            mirror = stack.enter_context(kju.mirror("zenoh:lab/x", sender="host1", **how))  # type: ignore[arg-type]
            assert (link(mirror)["sender"], link(mirror)["up"]) == ("host1", True)
        with two.running(*serving):
            until(lambda: "requires 'host1'" in str(link(mirror)["reason"]), "refused")
            said = ann.run(*mirroring, "again")
            accept = re.search(r"kju (cert sender \S+ host2 SHA256:\S+)", said)
            assert accept is not None, said
            assert not ann.run(*shlex.split(accept[1]))
            assert "host2" in ann.run("cert", "sender")
            other = stack.enter_context(kju.mirror("zenoh:lab/x", name="other", **how))  # type: ignore[arg-type]
            assert (link(other)["sender"], link(other)["up"]) == ("host2", True)
            two.run("trust", "ann", "--remove")
            until(lambda: "does not know" in str(link(other)["reason"]), "the session ends")
            two.run("trust", "ann", "--role", "control")
            until(lambda: "was denied" in str(link(other)["reason"]), "the key is still denied")
