"""The contents of the package: header, metadata and long description."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

from support.apt_root import REPOSITORY

import kju

PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]


def test_header_is_the_specification_itself():
    installed = Path(kju.get_include()) / "kju/surface.h"
    assert installed.read_bytes() == (REPOSITORY / "include/kju/surface.h").read_bytes()


def test_header_compiles_with_the_folder_of_get_include(tmp_path):
    source = tmp_path / "a.c"
    source.write_text("#include <kju/surface.h>\nint size = sizeof(struct kju_header);\n")
    command = ["cc", "-std=gnu11", "-Wall", "-Werror", "-I", kju.get_include(), "-c", str(source)]
    subprocess.run([*command, "-o", str(tmp_path / "a.o")], check=True)


def test_desktops_find_the_application_and_its_icon():
    installed = [Path(str(each.locate())).resolve() for each in metadata.files("kju") or ()]
    share = Path(sys.prefix).resolve() / "share"
    entry, icon = share / "applications/kju.desktop", share / "icons/hicolor/scalable/apps/kju.svg"
    assert {entry, icon} <= set(installed)
    assert f"Icon={icon.stem}" in entry.read_text().splitlines()
    assert icon.read_bytes() == (REPOSITORY / "src/kju/viewers/qt/kju.svg").read_bytes()


def test_long_description_has_no_link_into_a_checkout():
    text = (REPOSITORY / PROJECT["readme"]).read_text()
    targets = re.findall(r"\]\(([^)]*)\)|^\[[^]]*\]: *(\S+)|(?:src|href)=\"([^\"]*)", text, re.M)
    assert all(re.match("https?://", next(filter(None, found))) for found in targets)


def test_long_description_names_every_extra_that_users_need():
    text = (REPOSITORY / PROJECT["readme"]).read_text()
    developers = {"test", "check", "bench", "docs", "fuzz", "release"}
    listed = set(re.findall(r"^\| `([a-z]+)` \|", text, re.MULTILINE))
    assert listed == set(PROJECT["optional-dependencies"]) - developers


def test_version_is_the_same_everywhere():
    meson = (REPOSITORY / "meson.build").read_text()
    assert re.search(r"version: '(.*?)',", meson)[1] == kju.__version__
