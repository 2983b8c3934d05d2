"""A real guest served on the network and mirrored: pixels, input, loss and return of the sender."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from support import typed_guest, xservers
from support.background_server import serving
from support.link_scene import free_port
from support.wait import HANG, until

import kju
from kju.acting import Type
from kju.errors import KjuError, RoleError, UnavailableError, UsageError
from kju.serving.server import Server

pytest.importorskip("zenoh")
pytestmark = [pytest.mark.qemu, pytest.mark.usefixtures("runtime_folder")]
KJU = (sys.executable, "-m", "kju.cli")


@contextmanager
def served(*names: str, prefix: str = "lab") -> Iterator[subprocess.Popen[str]]:
    """Start `kju serve` and wait until it serves."""
    command = [*KJU, "serve", *(names or ["--all"]), "--prefix", prefix]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert "serving" in process.stdout.readline()
        try:
            yield process
        finally:
            process.terminate()


def equal(one: kju.Machine, other: kju.Machine) -> bool:
    """Return whether both show the same picture now."""
    try:
        mine, theirs = one.screen.frame(pixels="bgrx"), other.screen.frame(pixels="bgrx")
    except UnavailableError:
        return False
    return mine.shape == theirs.shape and np.array_equal(mine[..., :3], theirs[..., :3])


def is_stale(mirror: kju.Machine) -> bool:
    """Return whether the mirror reports its picture as stale."""
    try:
        mirror.screen.frame()
    except UnavailableError as error:
        return "stale since" in str(error)
    return False


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*KJU, *words], capture_output=True, text=True, timeout=HANG, check=False)


def test_guest_is_driven_through_a_mirror(tmp_path: Path) -> None:
    with typed_guest.shell(tmp_path) as guest, served(guest.machine.name):
        name = f"zenoh:lab/{guest.machine.name}"
        assert run("ls", "--remote").stdout == f"{name}\n"
        with kju.attach(name) as mirror:
            until(lambda: equal(mirror, guest.machine), "the mirror shows the guest")
            guest.keyboard = mirror.keyboard
            mark = guest.keyboard.type("true\n")
            assert mirror.screen.after(mark, timeout=HANG).rects
            answer = mirror.act(Type("echo $((6*7))\n"), first=HANG, limit=HANG)
            assert answer.changed and answer.settled
            kju.expect(mirror.screen.text("42")).to_be_visible()
            text = typed_guest.sample(300)
            guest.begin()
            guest.keyboard.type(text)
            assert guest.arrived() == text
            mirror.screen.wait_text("kju", timeout=HANG)
            until(lambda: equal(mirror, guest.machine), "the mirror shows the guest")
            with pytest.raises(KjuError, match="pixel"):
                mirror.pointer.click(5000, 5000)
            with pytest.raises(UsageError, match="mirror"):
                mirror.powerdown()
            held = guest.machine.info()["consoles"][0]
            mirror.keyboard.press("shift", "a")
            until(lambda: guest.machine.info()["consoles"][0]["keys_held"], "keys are held")
        # A client's keys are released on disconnect, through a mirror too.
        until(lambda: guest.machine.info()["consoles"][0]["keys_held"] == held["keys_held"],
              "nothing is held")  # fmt: skip


def test_view_mirror_cannot_send_input(tmp_path: Path) -> None:
    with typed_guest.shell(tmp_path) as guest, served():
        with kju.attach(f"zenoh:lab/{guest.machine.name}", role="view") as mirror:
            until(lambda: equal(mirror, guest.machine), "the mirror shows the guest")
            with pytest.raises(RoleError):
                mirror.keyboard.type("x")
        # Its clients may control the mirror; the mirror may not control the guest.
        mirror = kju.mirror(f"zenoh:lab/{guest.machine.name}", role="view")
        with mirror, pytest.raises(RoleError, match="role view"):
            mirror.keyboard.type("x")


def test_mirror_is_stale_without_its_sender_and_reconnects_to_the_next(
    tmp_path: Path,
) -> None:
    with typed_guest.shell(tmp_path) as guest:
        name, events = guest.machine.name, []
        with served(name):
            mirror = kju.attach(f"zenoh:lab/{name}")
            until(lambda: equal(mirror, guest.machine), "the mirror shows the guest")
        with mirror:
            thread = threading.Thread(
                target=lambda: events.extend(mirror.events(since=0)), daemon=True
            )
            thread.start()
            until(lambda: is_stale(mirror), "the mirror is stale")
            assert mirror.info()["mirror"]["up"] is False
            guest.keyboard.type("# another line\n")
            with served(name):
                until(lambda: equal(mirror, guest.machine), "the mirror is back")
                assert mirror.info()["mirror"]["up"] is True
        thread.join(10)
        links = [event.data["up"] for event in events if event.name == "link"]
        assert links[:3] == [True, False, True]


async def test_asyncio_serves_and_mirrors_a_machine_until_its_end(tmp_path: Path) -> None:
    machine = await kju.aio.launch(xvfb=True, name="x")
    async with serving(Server(["x"], prefix="lab")) as server:
        assert server.served["x"].names == ["lab/x"]
        mirror = await kju.aio.attach("zenoh:lab/x")
        info = await mirror.info()
        assert (info["kind"], info["mirror"]["of"]) == ("mirror", "zenoh:lab/x")
        display = (await machine.info())["xvfb"]["display"]
        command = ["xsetroot", "-display", display, "-solid", "#123456"]
        await asyncio.to_thread(subprocess.run, command, check=True)
        async with asyncio.timeout(HANG):
            async for _ in mirror.screen.changes():
                if mirror.screen.view()[5, 5, :3].tolist() == [0x56, 0x34, 0x12]:
                    break
        await machine.close()
        with pytest.raises(UnavailableError, match=r"stale|ended"):
            async with asyncio.timeout(HANG):
                while True:
                    await mirror.screen.frame()
                    await asyncio.sleep(0.05)
        await mirror.close()


def shown_photograph(folder: Path) -> tuple[Path, np.ndarray]:
    """Return a file for xwud and its picture: soft shapes with a camera's grain."""
    y, x = np.mgrid[:240, :320]
    rng = np.random.default_rng(1)
    picture = np.zeros((240, 320, 4), np.uint8)
    for channel in range(3):
        shape = 110 + 60 * np.sin(x / (20 + 5 * channel)) * np.cos(y / 17 + channel)
        picture[..., channel] = shape + rng.normal(0, 4, y.shape)
    head = struct.pack(
        ">25I", 101, 7, 2, 24, 320, 240, 0, 0, 32, 0, 32, 32, 1280, 4, 0xFF0000, 0xFF00, 0xFF,
        8, 256, 0, 320, 240, 0, 0, 0,
    )  # fmt: skip
    file = folder / "photograph.xwd"
    file.write_bytes(head + b"\0" + picture.tobytes())
    return file, picture


def test_lossy_mirror_shows_a_photograph_exactly_once_it_rests(tmp_path: Path) -> None:
    xservers.need("xwud")
    pytest.importorskip("simplejpeg")
    pytest.importorskip("lz4")
    file, picture = shown_photograph(tmp_path)
    with kju.launch(xvfb=True, name="x") as machine, served("x"):
        display = machine.info()["xvfb"]["display"]
        with (
            kju.mirror("zenoh:lab/x", lossy=True) as mirror,
            kju.mirror("zenoh:lab/x", name="plain", codec="lz4") as plain,
        ):
            facts = mirror.info()["mirror"]
            assert (facts["lossy"], facts["exact"], facts["codec"]) == (True, True, "zstd")
            facts = plain.info()["mirror"]
            assert (facts["lossy"], facts["exact"], facts["codec"]) == (False, True, "lz4")
            before = facts["received"]
            with xservers.program(display, "xwud", "-in", str(file)):
                until(lambda: received(plain) > before + 90_000, "the photograph is sent")
                until(lambda: equal(mirror, machine), "the photograph is shown exactly")
                until(lambda: mirror.info()["mirror"]["exact"], "it says so")
                pixels = mirror.screen.frame(pixels="bgrx").reshape(-1, 4)
                assert len(np.unique(pixels, axis=0)) > 0.5 * len(
                    np.unique(picture.reshape(-1, 4), axis=0)
                )
    said = run("mirror", "zenoh:lab/x", "--codec", "gif")
    assert "unknown codec 'gif'" in said.stderr
    said = run("mirror", "zenoh:lab/x", "--lossy", "--audience")
    assert "audience cannot be combined" in said.stderr


def received(mirror: kju.Machine) -> int:
    """Bytes."""
    return int(mirror.info()["mirror"]["received"])


def test_errors_for_unreachable_senders_name_the_cause(tmp_path: Path) -> None:
    said = run("mirror", "zenoh:lab/x")
    assert "nothing is served on this computer" in said.stderr
    said = run("mirror", "zenoh:lab/x", "--connect", "192.0.2.1:7447")
    assert "needs your user name" in said.stderr
    said = run("mirror", "zenoh:lab/x", "--connect", "192.0.2.1:7447", "--user", "ann")
    assert "is missing" in said.stderr and "kju cert" in said.stderr
    said = run("serve", "--all", "--listen", "tcp/0.0.0.0:7447")
    assert "--insecure" in said.stderr
    with kju.launch(xvfb=True, name="x"), served("x"):
        said = run("mirror", "zenoh:lab/y")
        assert "no sender answers for lab/y" in said.stderr
        assert json.loads(run("ls", "--remote", "--json").stdout) == [{"address": "zenoh:lab/x"}]


def test_certificates_give_users_their_roles(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab, home, place = tmp_path / "lab", tmp_path / "home", f"tls/127.0.0.1:{free_port()}"

    def at(folder: Path, *words: str) -> str:
        monkeypatch.setenv("KJU_TRUST", str(folder))
        done = run(*words)
        return done.stdout + done.stderr

    at(lab, "cert", "authority")
    at(lab, "cert", "host", "127.0.0.1")
    for user, role in (("ann", "control"), ("vic", "view"), ("eve", "")):
        at(lab, "cert", "user", user, "-o", str(tmp_path / user))
        if role:
            at(lab, "trust", user, "--role", role)
        assert user in at(home, "cert", "take", str(tmp_path / user))
    assert at(lab, "trust") == "ann  control\nvic  view\n"
    assert "user-eve" in at(lab, "cert", "show")
    monkeypatch.setenv("KJU_TRUST", str(lab))
    with kju.launch(xvfb=True, name="x"):
        command = [*KJU, "serve", "x", "--prefix", "lab", "--listen", place]
        said = tmp_path / "said"
        with (
            said.open("w") as errors,
            subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True) as sender,
        ):
            try:
                assert sender.stdout and place in sender.stdout.readline()
                for user, role in (("ann", "control"), ("vic", "view")):
                    mirror = kju.mirror("zenoh:lab/x", connect=[place], user=user, trust=home)
                    with mirror:
                        assert mirror.info()["mirror"]["role"] == role
                        assert mirror.info()["mirror"]["sealed"]
                        assert mirror.info()["mirror"]["sender"] == socket.gethostname()
                assert "does not know user 'eve'" in at(
                    home, "mirror", "zenoh:lab/x", "--connect", place, "--user", "eve"
                )
                other = tmp_path / "other"
                at(other, "cert", "authority")
                at(other, "cert", "user", "ann", "-o", str(tmp_path / "ann2"))
                at(other, "cert", "take", str(tmp_path / "ann2"))
                assert "its certificate is not accepted" in at(
                    other, "mirror", "zenoh:lab/x", "--connect", place, "--user", "ann"
                )
                (other / "authority.pem").write_bytes((lab / "authority.pem").read_bytes())
                assert "rejects this user's certificate" in at(
                    other, "mirror", "zenoh:lab/x", "--connect", place, "--user", "ann"
                )
                assert "received no answer: try TLS" in at(
                    home, "mirror", "zenoh:lab/x", "--connect", place.removeprefix("tls/")
                )
                wanted = (
                    "does not know user 'eve'",
                    "refused a connection: its certificate is from another",
                )
                until(lambda: all(each in said.read_text() for each in wanted), "it is said there")
            finally:
                sender.terminate()
