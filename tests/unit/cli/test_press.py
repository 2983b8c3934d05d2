"""`kju key` and the list of keys that `kju key --list` prints."""

from __future__ import annotations

import pytest

from kju import keys
from kju.cli.press import key, list_keys
from kju.errors import UsageError


def test_every_key_is_listed_with_names_that_lead_to_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    list_keys()
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


def test_a_misspelt_chord_is_said_whether_there_is_such_a_machine_or_not() -> None:
    with pytest.raises(UsageError, match="no key is named 'entr'"):
        key("no-such-machine", ["ctrl-a", "entr"], 0)
