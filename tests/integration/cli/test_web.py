"""`kju web` and its subcommands, as users type them."""

from __future__ import annotations

import contextlib
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.ptys import InTerminal
from support.web_page import Page, has_secret

from kju.cli.app import run
from kju.cli.web import seconds
from kju.errors import UsageError
from kju.remote.trust import Trust
from kju.web.access import Access

pytestmark = pytest.mark.usefixtures("runtime_folder")
KJU = (sys.executable, "-m", "kju.cli")
LIMIT = 120


def kju(*words: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run([*KJU, *words], capture_output=True, text=True, timeout=LIMIT)


@contextlib.contextmanager
def running(*words: str) -> Iterator[tuple[str, str]]:
    """Start `kju web`; yield its address and the key of the first link."""
    with subprocess.Popen(
        [*KJU, "web", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            url = process.stdout.readline().removeprefix("serving at ").strip()
            link = process.stdout.readline()
            found = re.search(r"once, within ten minutes: (\S+)#(\S{43})$", link)
            assert found is not None, link + process.stderr.read()
            assert found[1] == url
            yield url, found[2]
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(LIMIT)
            process.stdout.close()
            process.stderr.close()


async def test_links_are_made_listed_and_revoked(state_folder: Path) -> None:
    with running("--listen", "127.0.0.1:0") as (url, key):
        async with Page(url) as page:
            assert await page.login(key) == 204
            assert await page.login(key) == 401
            made = kju("web", "link", "debian", "--role", "view", "--expires", "5m", "--uses", "2")
            link, revoke = made.stdout.strip(), re.search(r"kju web revoke (L\d+)", made.stderr)
            assert link.startswith(f"{url}#")
            assert revoke is not None
            listed = kju("web", "sessions").stdout
            assert re.search(rf"{revoke[1]} +view +debian +.* 2$", listed, re.MULTILINE)
            assert re.search(r"S\d+ +manage +all ", listed)
            for secret in (key, link.partition("#")[2]):
                assert secret not in listed
                assert not has_secret(secret, state_folder)
            assert kju("web", "revoke", revoke[1]).stdout == f"{revoke[1]} has ended\n"
            assert kju("web", "revoke", "--all").returncode == 0
            assert (await page.get("/api/session"))[0] == 401
    assert "start one with kju web" in kju("web", "link").stderr


def test_another_address_needs_a_certificate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KJU_TRUST", str(tmp_path / "trust"))
    assert "kju cert web HOST" in kju("web", "--listen", "0.0.0.0:0").stderr
    assert "kju cert web" in kju("web", "--https").stderr
    made = kju("cert", "web", "localhost", "127.0.0.1").stdout.splitlines()
    assert made[0] == str(tmp_path / "trust" / "web.pem")
    assert re.fullmatch(r"SHA-256 ([0-9A-F]{2}:){31}[0-9A-F]{2}", made[1])
    assert Trust(tmp_path / "trust").listed()[0][0] == "web"
    with running("--listen", "0.0.0.0:0") as (url, _):
        assert url.startswith("https://localhost:")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--listen", "x"], "invalid address 'x'"),
        (["--listen", "127.0.0.1:99999"], "invalid address"),
        (["--key", "x"], "both --certificate and --key"),
        (["--embed", "lab.example/x"], "not an origin"),
        (["--host", "https://lab.example"], "without scheme and port"),
        (["../x"], "../x"),
        (["host1/debian"], "host1/debian is on another computer: add --connect"),
        (["debian", "--connect", "host1:7447"], "none of the given machines"),
        (["link", "--role", "root"], "one of: view, control, manage"),
        (["link", "../x"], "../x"),
        (["revoke"], "or --all"),
        (["revoke", "L7"], "no link or session has the id L7"),
    ],
)
def test_a_wrong_word_is_an_error_with_the_next_step(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["web", *words]) != 0
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "found"), [("90s", 90), ("30m", 1800), ("1h", 3600), ("7d", 604800)]
)
def test_a_time_has_a_unit(text: str, found: float) -> None:
    assert seconds(text) == found


@pytest.mark.parametrize("text", ["", "1", "h", "1.5h", "-1h", "1w", "1h "])
def test_another_time_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="such as 1h"):
        seconds(text)


def test_users_are_added_listed_changed_and_removed(tmp_path: Path, state_folder: Path) -> None:
    password = tmp_path / "password"
    password.write_text("correct horse battery\n")
    made = kju("web", "user", "ann", "--role", "control", "--password-file", str(password))
    assert made.stdout == "ann: role control, all machines, a password\n"
    words = [*KJU, "web", "user", "bob", "debian", "--password-file", "-"]
    subprocess.run(words, input="another password\n", text=True, check=True, timeout=LIMIT)
    assert kju("web", "user", "pat", "--no-password").returncode == 0
    listed = kju("web", "users").stdout
    for row in (r"ann +control +all +password", r"bob +view +debian +password", r"pat .* proxy"):
        assert re.search(f"^{row}$", listed, re.MULTILINE), listed
    assert Access().log_in("bob", "another password")[0].machines == {"debian"}
    changed = kju("web", "user", "bob", "--role", "manage")
    assert changed.stdout == "bob: role manage, debian, a password\n"
    changed = kju("web", "user", "bob", "--all")
    assert changed.stdout == "bob: role manage, all machines, a password\n"
    password.write_text("short\n")
    refused = kju("web", "user", "bob", "--password-file", str(password))
    assert "12 to 256 characters" in refused.stderr
    assert kju("web", "user", "ann", "--remove").stdout == "ann was removed\n"
    assert "no user 'ann'" in kju("web", "user", "ann", "--remove").stderr
    for secret in ("correct horse battery", "another password"):
        assert not has_secret(secret, state_folder)


def test_a_password_is_asked_for_at_a_terminal_only() -> None:
    command = [*KJU, "web", "user", "ann"]
    found = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=LIMIT
    )
    assert "--password-file FILE" in found.stderr
    shell = InTerminal(command, 80, 24)

    def shown() -> str:
        return "\n".join(shell.screen.text())

    try:
        for question in ("Password of ann:", "The same again:"):
            shell.until(lambda q=question: q in shown(), question)  # type: ignore[misc]
            shell.type(b"correct horse battery\n")
        assert shell.ended() == 0
        assert "ann: role view, all machines, a password" in shown()
        assert "horse" not in shown()
    finally:
        shell.close()
    assert Access().log_in("ann", "correct horse battery")


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["web", "user", "S1"], "cannot be a user's name"),
        (["web", "user", "ann", "--role", "root"], "a role is one of: view, control, manage"),
        (["web", "user", "ann", "--remove", "--role", "view"], "--remove stands alone"),
        (["web", "user", "ann", "--password", "--no-password"], "choose one of"),
        (["web", "user", "ann", "debian", "--all"], "not both"),
    ],
)
def test_wrong_words_about_users_are_named(
    words: list[str], part: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(words) == 2
    assert part in capsys.readouterr().err
