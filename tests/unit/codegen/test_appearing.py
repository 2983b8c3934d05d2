"""Texts that a script waits for."""

from __future__ import annotations

from support.console_text import console

from kju.codegen.appearing import Appeared, appeared, asks_for_password
from kju.codegen.reading import ReadFrame


def shown(*lines: str) -> ReadFrame:
    return ReadFrame(console(lines))


def test_the_lowest_new_text_is_used_without_digits() -> None:
    before = shown("kju login:")
    after = shown("kju login: root", "Linux 6.1.0 booted", "Last login at 12:30", "root@kju:~#")
    assert appeared(before, after, "root\n") == Appeared("root@kju:~#")
    assert appeared(before, shown("kju login:", "Tue 12:30 booted 5.1"), "x") == Appeared("booted")


def test_a_text_that_is_there_again_is_counted() -> None:
    before = shown("root@kju:~#")
    after = shown("root@kju:~# true", "root@kju:~#")
    assert appeared(before, after, "true\n") == Appeared("root@kju:~#", 2)


def test_the_typed_text_is_not_waited_for() -> None:
    before, after = shown("root@kju:~#"), shown("root@kju:~# hello")
    assert appeared(before, after, "hello") is None
    assert appeared(before, before) is None
    lit = console([""])
    lit[:] = 255
    assert appeared(before, ReadFrame(lit)) == Appeared(None)


def test_a_part_of_the_typed_text_is_counted() -> None:
    before = shown("root@kju:~#")
    after = shown("root@kju:~# read -p Password: secret", "Password:")
    assert appeared(before, after, "read -p Password: secret\n") == Appeared("Password:", 2)
    only = shown("root@kju:~# read -p Password: secret")
    assert appeared(before, only, "read -p Password: secret\n") in (None, Appeared(None))


def test_the_begin_of_a_typed_line_is_not_waited_for() -> None:
    before = shown("root@kju:~#")
    for typed in (
        "echo once >> /tmp/f; read -p Password: secret\n",  # the gap in ">>" cuts the text
        "sleep 5; read -p Password: secret\n",  # the number does
        "read -r -s -t 60 -p Password: secret of the day\n",  # its length does
    ):
        after = shown(f"root@kju:~# {typed.strip()}", "Password:")
        assert appeared(before, after, typed) == Appeared("Password:", 2), typed
    row = "cat /etc/a-long-name-that-goes-on-into-the-next-row/of-the-screen-that-is-80-wide"
    wrapped = f"root@kju:~# {row}"
    after = shown(wrapped[:80], wrapped[80:], "no such file")
    assert appeared(before, after, f"{row}\n") == Appeared("no such file")
    after = shown(wrapped[:80], wrapped[80:])
    assert appeared(before, after, f"{row}\n") in (None, Appeared(None))


def test_statements() -> None:
    assert Appeared("a").code(1) == 'kju.expect(screen.text("a")).to_be_visible()'
    assert Appeared("a", 2).code(1) == 'kju.expect(screen.text("a")).to_have_count(2)'
    slow = 'kju.expect(screen.text("a")).to_be_visible(timeout=70)'
    assert Appeared("a").code(21) == slow
    assert Appeared(None).code(1) == "screen.wait_stable(0.5)"
    assert Appeared(None).code(11) == "screen.wait_stable(0.5, timeout=40)"


def test_a_password_is_asked_for_and_not_shown() -> None:
    asks = shown("kju login: root", "Password:")
    hidden = shown("kju login: root", "Password:", "", "Login incorrect")
    assert asks_for_password(asks, hidden, "secret\n")
    assert not asks_for_password(asks, shown("Password: secret"), "secret\n")
    assert not asks_for_password(asks, hidden, "\n")
    typed = shown("kju login: root", "Password:root@kju:~#")
    assert not asks_for_password(typed, hidden, "clear\n"), "nothing is asked for any more"
    later = shown("Password:", "root@kju:~#")
    assert not asks_for_password(later, shown("root@kju:~#"), "clear\n"), "the prompt is older"
