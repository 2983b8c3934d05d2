"""`kju key` and the list of keys that `kju key --list` prints."""

from __future__ import annotations

import pytest

from kju import keys
from kju.cli import app
from kju.cli.input import key
from kju.errors import UsageError


def test_every_key_is_listed_with_its_names(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert app.run(["key", "--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    characters = dict.fromkeys(keys.CHARACTERS.values())
    assert len(lines) == len(keys.NAMES) + len(characters)
    assert [line[0] for line in lines[len(keys.NAMES) :]] == list(characters)
    assert any(line.split() == ["~", "asciitilde,", "tilde"] for line in lines)
    for line in lines[: len(keys.NAMES)]:
        name, *others = line.replace(",", "").split()
        number = keys.number(name)
        differ = [other for other in others if keys.number(other) != number]
        assert set(differ) <= {"Meta_L", "Meta_R"}, line  # X11 has them on Alt as well
    assert any(line.split()[:2] == ["ret", "enter,"] for line in lines)


def test_a_misspelt_chord_is_reported_even_without_the_machine() -> None:
    with pytest.raises(UsageError, match="no key is named 'entr'"):
        key("no-such-machine", ["ctrl-a", "entr"], 0)
