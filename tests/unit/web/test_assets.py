"""The files of the page."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

from kju.web.assets import Assets


def test_a_file_is_found_by_its_path_with_its_type(tmp_path: Path) -> None:
    (tmp_path / "js").mkdir()
    (tmp_path / "js" / "app.js").write_text("let a = 1;" * 100)
    found = Assets(tmp_path).find("js/app.js")
    assert found is not None
    assert found.type == "text/javascript; charset=utf-8"
    assert gzip.decompress(found.compressed) == found.data


def test_a_file_outside_or_of_another_kind_is_not_found(tmp_path: Path) -> None:
    (tmp_path / "secret.js").write_text("x")
    folder = tmp_path / "static"
    folder.mkdir()
    (folder / "app.ts").write_text("x")
    assets = Assets(folder)
    assert [assets.find(name) for name in ("../secret.js", "app.ts", "")] == [None, None, None]


def test_a_missing_folder_has_no_files(tmp_path: Path) -> None:
    assets = Assets(tmp_path / "none")
    assert assets.find("index.html") is None
    assert assets.build


def test_the_version_follows_the_files(tmp_path: Path) -> None:
    file = tmp_path / "index.html"
    file.write_text("old")
    assets = Assets(tmp_path)
    before = assets.build
    file.write_text("new")
    os.utime(file, ns=(1, 1))
    assert assets.build != before
    found = assets.find("index.html")
    assert found is not None
    assert found.data == b"new"


def test_the_first_file_names_the_others_with_their_versions(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text('<html data-build=""><script src="/app.js"></script>')
    (tmp_path / "app.js").write_text("old")
    assets = Assets(tmp_path)
    first, script = assets.find("index.html"), assets.find("app.js")
    assert first is not None
    assert script is not None
    names = f'src="/app.js?v={script.version}"'
    assert first.data.decode() == f'<html data-build="{assets.build}"><script {names}></script>'
    (tmp_path / "app.js").write_text("newer")
    second = assets.find("index.html")
    assert second is not None
    assert second.tag != first.tag
