"""Find the line of a key in a TOML text."""

from __future__ import annotations

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kju.store.definition_lines import dotted, line_of, places, twice

TEXT = '''# name = "no"
cpus = 2
args = [
  "a", # comment, with a comma
  """b
  c""",
]
"memory" = "key = 1"
disks.first = 1

[serial]
cpus = 3
'''


@pytest.mark.parametrize(
    ("key", "item", "line"),
    [
        ("cpus", None, 2),
        ("args", None, 3),
        ("args", 0, 4),
        ("args", 1, 5),
        ("args", 2, 3),  # no such item: the line of the key
        ("memory", None, 8),
        ("disks", None, 9),
        ("serial", None, 11),
        ("name", None, None),
        ("key", None, None),
    ],
)
def test_the_line_of_a_key_or_an_item(key: str, item: int | None, line: int | None) -> None:
    assert line_of(TEXT, key, item) == line


def test_keys_of_a_table_are_not_keys_of_the_text() -> None:
    assert [place.key for place in places(TEXT)] == ["cpus", "args", "memory", "disks", "serial"]


def test_the_second_of_two_keys_is_found() -> None:
    found = twice("a = 1\nb = 2\n'a' = 3\n")
    assert found is not None and (found.key, found.line) == ("a", 3)
    assert twice(TEXT) is None


def test_dots_are_counted_in_each_line_outside_of_strings_and_comments() -> None:
    assert dotted("a.b = 1\nc.d.e = 2\n", 1) == 2
    assert dotted("a = '....' # ....\nb.c = 1\n", 1) is None


@given(st.text(alphabet="ab.=[]{}\"'#\\,\n 1", max_size=60))
def test_any_text_has_places_in_order_and_all_keys_of_valid_toml(text: str) -> None:
    found = places(text)
    lines = [place.line for place in found]
    assert lines == sorted(lines)
    assert all(1 <= line <= text.count("\n") + 1 for line in lines)
    try:
        valid = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return
    assert {place.key for place in found} >= set(valid)
