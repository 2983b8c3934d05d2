"""A program's connection to a Ray cluster: what is no cluster is refused at once."""

import socket
import subprocess
import sys
import tempfile
import threading
import time

import pytest

pytest.importorskip("ray")

from support.wait import HANG

from kju.errors import UnavailableError, UsageError
from kju.fleet import connecting
from kju.fleet.connecting import connect
from kju.fleet.local import recorded_address


@pytest.fixture
def server():
    """Serve bytes on loopback; return a function that takes them and returns the address."""
    servers = []

    def serve(answer):
        made = socket.create_server(("127.0.0.1", 0))
        servers.append(made)

        def run():
            while True:
                try:
                    link, _ = made.accept()
                except OSError:
                    return
                with link:
                    link.recv(100)
                    if answer is None:
                        time.sleep(5)
                    else:
                        link.sendall(answer)

        threading.Thread(target=run, daemon=True).start()
        return "127.0.0.1:{1}".format(*made.getsockname())

    yield serve
    for each in servers:
        each.close()


@pytest.fixture(autouse=True)
def no_cluster(monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    # Sockets need short paths.
    with tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp", ignore_cleanup_errors=True) as made:
        monkeypatch.setenv("RAY_TMPDIR", made)
        yield


@pytest.mark.parametrize("answer", [b"HTTP/1.0 400 Bad request\r\n\r\n", b"", b"\0" * 9])
def test_another_service_is_no_cluster(server, answer):
    with pytest.raises(UnavailableError, match="another service answers there"):
        connect(server(answer))


def test_a_service_that_says_nothing_is_no_cluster(server, monkeypatch):
    monkeypatch.setattr(connecting, "CONNECT_TIMEOUT", 0.2)
    with pytest.raises(UnavailableError, match=r"no Ray cluster at .*timed out"):
        connect(server(None))


def test_a_closed_port_is_no_cluster():
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    for host in ("127.0.0.1", "localhost"):
        with pytest.raises(UnavailableError, match=f"no Ray cluster at {host}:{port}"):
            connect(f"{host}:{port}")


@pytest.mark.parametrize("address", ["127.0.0.1:99999", "nohost.invalid:6379", "[::1]:1"])
def test_an_address_of_nothing_is_no_cluster(address):
    with pytest.raises(UnavailableError, match="no Ray cluster"):
        connect(address)


@pytest.mark.parametrize("address", ["", 3, b"x", "nonsense", "127.0.0.1", "ray://127.0.0.1:x"])
def test_what_is_no_address_is_refused(address):
    with pytest.raises(UsageError, match="address"):
        connect(address)


def test_a_recorded_cluster_that_has_ended_is_noticed_at_once():
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    recorded_address().parent.mkdir()
    recorded_address().write_text(f"127.0.0.1:{port}\n")
    begin = time.monotonic()
    with pytest.raises(UnavailableError, match=f"no Ray cluster is on this computer.*{port}"):
        connect("auto")
    assert time.monotonic() - begin < 5
    assert connecting._found_address() == f"127.0.0.1:{port}"
    # By default a new one is started then, which other computers do not reach by its address.
    program = "import kju.fleet.connecting as c; c.connect(None); print(c.ray.is_initialized())"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=HANG
    )
    assert done.stdout == "True\n", done.stderr
