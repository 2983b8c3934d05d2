"""The list of keys that `kju key --list` prints."""

from __future__ import annotations

import pytest

from kju import keys
from kju.apps.press import list_keys


def test_every_key_is_listed_with_names_that_lead_to_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    list_keys()
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(keys.NAMES)
    for line in lines:
        name, *others = line.replace(",", "").split()
        number = keys.number(name)
        differ = [other for other in others if keys.number(other) != number]
        assert set(differ) <= {"Meta_L", "Meta_R"}, line  # X11 has them on Alt as well
    assert any(line.split()[:2] == ["ret", "enter,"] for line in lines)
