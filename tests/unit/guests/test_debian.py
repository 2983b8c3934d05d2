"""Debian packages for guests: where they are taken from."""

from __future__ import annotations

import pytest

from kju.guests import debian

DEB822 = """\
Types: deb
# http://snapshot.debian.org/archive/debian/20250520T000000Z
URIs: http://deb.debian.org/debian
Suites: trixie trixie-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://deb.debian.org/debian-security
Suites: trixie-security
Components: main
"""


@pytest.mark.parametrize(
    ("files", "found"),
    [
        ({}, [debian.ARCHIVE]),
        ({"sources.list.d/debian.sources": DEB822}, ["http://deb.debian.org/debian"]),
        (
            {"sources.list": "deb [arch=amd64] https://mirror.example/debian/ trixie main\n"},
            ["https://mirror.example/debian"],
        ),
        ({"sources.list": "# deb http://old.example/debian trixie main\n"}, [debian.ARCHIVE]),
        ({"sources.list.d/vendor.list": "deb https://x.example/apt stable y\n"}, [debian.ARCHIVE]),
        (
            {"sources.list.d/debian.sources": "URIs: mirror+file:/etc/apt/mirrors/debian.list\n"},
            [debian.ARCHIVE],
        ),
        ({"sources.list.d/debian.sources.bak": DEB822}, [debian.ARCHIVE]),
    ],
)
def test_the_archive_is_the_one_of_the_machines_sources(tmp_path, monkeypatch, files, found):
    monkeypatch.setattr(debian, "APT_SOURCES", tmp_path)
    (tmp_path / "sources.list.d").mkdir()
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert debian.mirrors() == found


def test_a_missing_program_is_named(tmp_path):
    with pytest.raises(debian.GuestError, match="kju-no-such-program is not installed"):
        debian.run("kju-no-such-program")
