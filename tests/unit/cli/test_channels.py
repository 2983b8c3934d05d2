"""The arguments of `kju qmp`."""

from __future__ import annotations

import pytest

from kju.cli.channels import parse_arguments
from kju.errors import UsageError


@pytest.mark.parametrize(
    ("words", "arguments"),
    [
        ([], {}),
        (
            ["id=cd0", "force=true", "n=3", "x=a=b"],
            {"id": "cd0", "force": True, "n": 3, "x": "a=b"},
        ),
        (['{"a": {"b": [1]}}'], {"a": {"b": [1]}}),
        (['a={"b": 1}'], {"a": {"b": 1}}),
    ],
)
def test_arguments_are_json_or_key_value_words(
    words: list[str], arguments: dict[str, object]
) -> None:
    assert parse_arguments(words) == arguments


@pytest.mark.parametrize("words", [["x"], ["=1"], ["{a"], ["a=1", "{}"]])
def test_other_words_are_rejected(words: list[str]) -> None:
    with pytest.raises(UsageError):
        parse_arguments(words)
