"""The certificate of the web server."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
from support.wait import until_async
from support.web_page import Page, new_key, web_server

from kju.errors import UsageError
from kju.remote.trust import Trust
from kju.web import messages as web
from kju.web import server as server_module
from kju.web.server import WebOptions
from kju.web.tls import ServerCertificate

pytestmark = pytest.mark.usefixtures("runtime_folder")


def make(folder: Path, *names: str) -> ServerCertificate:
    file = Trust(folder).make_web(names or ["localhost", "127.0.0.1", "lab.example"])
    return ServerCertificate(file, file.with_suffix(".key"))


def trusting(folder: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(folder / "web.pem"))


async def test_a_browser_that_trusts_the_certificate_connects(tmp_path: Path) -> None:
    made = make(tmp_path)
    assert made.names == {"localhost", "127.0.0.1", "lab.example"}
    options = WebOptions(certificate=made)
    async with (
        web_server(options=options) as server,
        Page(server.url, ssl=trusting(tmp_path)) as page,
    ):
        assert server.url == f"https://127.0.0.1:{server.port}/"
        status, _, _ = await page.get("/api/session")
        assert status == 401
        async with page.http.post(
            f"{server.url}api/login", json={"key": new_key(server)}, headers=page.headers(),
            ssl=trusting(tmp_path),
        ) as answer:  # fmt: skip
            cookie = answer.headers["Set-Cookie"]
        assert cookie.startswith(f"__Host-kju-{server.port}=")
        assert "Secure" in cookie
        await page.connect()
        await page.wait_for(web.MachineList)


async def test_a_renewed_certificate_is_used_without_a_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_module, "TICK", 0.01)
    made = make(tmp_path)
    async with web_server(options=WebOptions(certificate=made)) as server:
        make(tmp_path, "127.0.0.1", "new.example")
        await until_async(lambda: "new.example" in made.names)
        async with Page(server.url, ssl=trusting(tmp_path)) as page:
            assert (await page.get("/api/session"))[0] == 401
            assert (await page.get("/", Host=f"new.example:{server.port}"))[0] != 403
            assert (await page.get("/", Host=f"lab.example:{server.port}"))[0] == 403


def test_an_invalid_new_certificate_leaves_the_old_one_in_use(tmp_path: Path) -> None:
    made = make(tmp_path)
    (tmp_path / "web.pem").write_text("half")
    assert not made.update()
    assert "lab.example" in made.names
    make(tmp_path, "new.example")
    assert made.update()
    assert made.names == {"new.example"}
    assert not made.update()


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"none\.pem is missing"):
        ServerCertificate(tmp_path / "none.pem", tmp_path / "none.key")


def test_a_certificate_with_another_key_is_refused(tmp_path: Path) -> None:
    make(tmp_path / "a")
    make(tmp_path / "b")
    with pytest.raises(UsageError, match="belong together"):
        ServerCertificate(tmp_path / "a" / "web.pem", tmp_path / "b" / "web.key")


def test_a_key_with_a_passphrase_is_refused_without_a_question(tmp_path: Path) -> None:
    from cryptography.hazmat.primitives import serialization as form

    make(tmp_path)
    key = form.load_pem_private_key((tmp_path / "web.key").read_bytes(), None)
    locked = form.BestAvailableEncryption(b"secret")
    data = key.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, locked)
    (tmp_path / "web.key").write_bytes(data)
    with pytest.raises(UsageError, match="passphrase"):
        ServerCertificate(tmp_path / "web.pem", tmp_path / "web.key")
