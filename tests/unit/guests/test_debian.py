"""Find the archive that packages for guests come from."""

from __future__ import annotations

import pytest

from kju.guests import debian

DEB822 = """\
Types: deb
# a remark
URIs: http://mirror.example/debian
Suites: trixie trixie-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://mirror.example/debian-security
Suites: trixie-security
Components: main
"""


@pytest.mark.parametrize(
    ("files", "found"),
    [
        ({"sources.list.d/debian.sources": DEB822}, ["http://mirror.example/debian"]),
        (
            {"sources.list": "deb [arch=amd64] https://mirror.example/debian/ trixie main\n"},
            ["https://mirror.example/debian"],
        ),
        (
            {"sources.list.d/debian.sources": "URIs: mirror+file:/etc/apt/mirrors/debian.list\n"},
            ["mirror+file:/etc/apt/mirrors/debian.list"],
        ),
    ],
)
def test_the_archive_is_the_one_of_the_machines_sources(tmp_path, monkeypatch, files, found):
    monkeypatch.setattr(debian, "APT_SOURCES", tmp_path)
    (tmp_path / "sources.list.d").mkdir()
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert debian.mirrors() == found


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"sources.list": "# deb http://old.example/debian trixie main\n"},
        {"sources.list.d/vendor.list": "deb https://x.example/apt stable y\n"},
        {"sources.list.d/debian.sources.bak": DEB822},
    ],
)
def test_without_an_archive_the_error_names_the_option(tmp_path, monkeypatch, files):
    monkeypatch.setattr(debian, "APT_SOURCES", tmp_path)
    monkeypatch.delenv(debian.ARCHIVE, raising=False)
    (tmp_path / "sources.list.d").mkdir()
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(debian.GuestError, match=f"set {debian.ARCHIVE} to the address of one"):
        debian.mirrors()
    monkeypatch.setenv(debian.ARCHIVE, "http://named.example/debian")
    assert debian.mirrors() == ["http://named.example/debian"]


def test_a_missing_program_is_named(tmp_path):
    with pytest.raises(debian.GuestError, match="kju-no-such-program is not installed"):
        debian.run("kju-no-such-program")
