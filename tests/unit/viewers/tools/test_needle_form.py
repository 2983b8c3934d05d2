"""Fields of a needle."""

from __future__ import annotations

import shlex
from pathlib import PurePath

import pytest

from kju.surface.geometry import Rect
from kju.viewers.tools.needle_form import NeedleForm

FORM = NeedleForm("web", Rect(10, 20, 30, 40), (640, 480), PurePath("/n"), "login", 0.95)


def test_command_waits_for_the_file_in_its_neighbourhood():
    assert FORM.command == "kju wait web --image /n/login.png --region 0,0,60,80"
    assert FORM._replace(margin=-1).command == "kju wait web --image /n/login.png"


def test_region_stays_on_the_screen():
    edge = FORM._replace(rect=Rect(600, 440, 40, 40), margin=100)
    assert edge.region == Rect(500, 340, 140, 140)


def test_path_is_quoted_in_the_command():
    odd = FORM._replace(name="it's here.PNG")
    assert shlex.split(odd.command)[4] == "/n/it's here.PNG"


@pytest.mark.parametrize("name", ["", "  ", "a/b", "..", "\0", "x" * 201])
def test_name_is_checked(name: str):
    assert FORM._replace(name=name).problem


def test_good_name_has_no_problem():
    assert not FORM.problem
