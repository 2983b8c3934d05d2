"""Plan of a paste."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kju.errors import LimitError, UsageError
from kju.keys.keyboards import LAYOUTS
from kju.viewers.tools.paste import (
    MAX_CHARACTERS,
    MAX_LISTED,
    MAX_NAMED,
    PIECE,
    PREVIEW_ABOVE,
    GroupPlan,
    PastePlan,
    layout_choices,
    preferred_layout,
)


def test_line_ends_become_one_newline_each():
    assert PastePlan.make("a\r\nb\rc\nd\0", "us").text == "a\nb\nc\nd"


def test_every_missing_character_is_named_with_its_first_place():
    plan = PastePlan.make("ab\nc\N{EURO SIGN}\N{EURO SIGN}\u0416", "us")
    euro, zhe = plan.missing
    assert (euro.character, euro.line, euro.column, euro.times) == ("\N{EURO SIGN}", 2, 2, 2)
    assert (zhe.line, zhe.column, zhe.times) == (2, 4, 1)
    assert "U+20AC" in plan.warning and "line 2, column 2, 2 times" in plan.warning
    assert "English (US)" in plan.warning
    assert plan.needs_question


def test_layout_with_the_character_has_nothing_missing():
    assert not PastePlan.make("\N{EURO SIGN}\u00e4", "de").missing
    assert PastePlan.make("e\u0301", "fr").text == "\u00e9"


def test_invisible_missing_character_is_named_by_its_code_point():
    plan = PastePlan.make("a\u202eb", "us")
    assert "\u202e" not in plan.warning
    assert "U+202E" in plan.warning


def test_long_list_of_missing_characters_is_cut_and_counted():
    plan = PastePlan.make("".join(map(chr, range(0x410, 0x410 + MAX_LISTED + 3))), "us")
    assert plan.warning.endswith("and 3 more")


def test_missing_characters_can_be_left_out():
    plan = PastePlan.make("1\N{EURO SIGN}2", "us").without_missing()
    assert (plan.text, plan.missing) == ("12", ())


@pytest.mark.parametrize(
    ("text", "asks"),
    [("x" * PREVIEW_ABOVE, False), ("x" * (PREVIEW_ABOVE + 1), True), ("ls\n", True)],
)
def test_long_texts_and_line_ends_are_asked_about(text: str, asks: bool):
    assert PastePlan.make(text, "us").needs_question is asks


def test_summary_has_length_enter_keys_and_duration():
    assert PastePlan.make("a", "us").summary == "1 character"
    assert PastePlan.make("ls\nid\n", "us").summary == "6 characters; Enter is pressed 2 times"
    summary = PastePlan.make("a" * 10_000, "us").summary
    assert "10,000 characters" in summary
    assert "about 15 s (USB keyboard: about 7 min)" in summary


def test_errors_of_a_plan():
    with pytest.raises(LimitError, match="1,000,001 characters"):
        PastePlan.make("x" * (MAX_CHARACTERS + 1), "us")
    with pytest.raises(UsageError, match="no keyboard layout"):
        PastePlan.make("x", "klingon")


@given(st.text(alphabet="ab\n\u00e9", max_size=400))
def test_pieces_are_the_text(text: str):
    plan = PastePlan.make(text, "fr")
    pieces = list(plan.pieces())
    assert "".join(pieces) == plan.text
    assert all(0 < len(piece) <= PIECE for piece in pieces)
    assert all("\n" not in piece[:-1] for piece in pieces)


@pytest.mark.parametrize(
    ("remembered", "locale", "layout"),
    [
        (["de"], "fr_FR", "de"),
        (["", "gone"], "de_DE", "de"),
        ([], "de_CH.UTF-8", "de-ch"),
        ([], "fr_CH", "fr-ch"),
        ([], "en_GB", "en-gb"),
        ([], "en_US", "en-us"),
        ([], "pt_BR", "pt-br"),
        ([], "nb_NO", "no"),
        ([], "sv_SE", "sv"),
        ([], "C", "en-us"),
        ([], "", "en-us"),
    ],
)
def test_layout_is_proposed_from_memory_or_locale(remembered: list[str], locale: str, layout: str):
    assert preferred_layout(remembered, locale) == layout


def test_every_layout_can_be_chosen():
    assert {name for name, _ in layout_choices()} == set(LAYOUTS)


def test_group_types_each_machine_with_its_own_layout():
    layouts = {"web": "en-us", "db": "en-us", "mail": "de"}
    plan = GroupPlan("zy", layouts)
    assert {name: each.layout for name, each in plan.plans.items()} == layouts
    assert plan.is_complete and not plan.needs_question and plan.warning == ""
    assert plan.layout_words == f"German: mail; {LAYOUTS['en-us']}: web, db"
    assert plan.summary == "2 characters; in each of 3 machines"


def test_group_names_what_a_layout_lacks_and_where():
    plan = GroupPlan("a\u00df\u2603", {"web": "en-us", "mail": "de"})
    first, second = plan.warning.splitlines()
    assert first == (
        "No key of the layout German types: \u2603 (U+2603) in line 1, column 3 (in mail)"
    )
    assert "\u00df (U+00DF)" in second and second.endswith("(in web)")
    assert plan.lacks and plan.needs_question and not plan.is_complete
    rest = plan.without_missing()
    assert {name: each.text for name, each in rest.plans.items()} == {"web": "a", "mail": "a\u00df"}
    assert rest.is_complete and rest.layouts == plan.layouts
    assert not GroupPlan("\u2603", {"web": "us"}).without_missing().is_complete
    one = GroupPlan("\u2603", {"web": "us"})
    assert one.warning == PastePlan.make("\u2603", "us").warning


def test_group_of_many_machines_names_the_first():
    plan = GroupPlan("\u2603", {f"m{number}": "us" for number in range(MAX_NAMED + 2)})
    assert plan.warning.endswith("(in m0, m1, m2, m3 and 2 more)")
