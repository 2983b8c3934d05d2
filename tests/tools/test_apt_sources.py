"""tools/apt-sources, for every kind of source list: apt itself reads what it wrote."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from support.apt_root import APT_SOURCES, AptRoot, SigningKey


@dataclass
class Row:
    """Source lists, and what is made of them. {server}, {key} and {embedded} are filled in."""

    files: dict[str, str]
    mirrors: list[str]  # the backports' URIs, best first
    options: list[str] = field(default_factory=list)  # lines or words of the first entry made
    left_out: list[str] = field(default_factory=list)  # how the lines of `split` begin


DEB822 = (
    "Types: deb\nURIs: {server}/debian\nSuites: bookworm bookworm-updates\n"
    "Components: main\nSigned-By: {key}\n"
)
VENDOR = "Types: deb\nURIs: {server}/vendor\nSuites: bookworm\nComponents: main\nSigned-By: {key}\n"
ONE_LINE = "deb [signed-by={key}] {server}/debian bookworm main\n"
DEBIAN = ["{server}/debian/"]

ROWS = {
    "one-line only": Row({"sources.list": "# by the installer\n\n" + ONE_LINE}, DEBIAN),
    "one-line in the folder": Row({"debian.list": ONE_LINE}, DEBIAN),
    "deb822 only": Row(
        {
            "debian.sources": DEB822
            + "\nTypes: deb\nURIs: {server}/debian-security\nSuites: bookworm-security\n"
            "Components: main\nSigned-By: {key}\n"
        },
        DEBIAN,
        ["Signed-By: {key}"],
    ),
    "both kinds": Row(
        {
            "sources.list": "deb [signed-by={key}] {server}/copy/debian bookworm main\n",
            "debian.sources": DEB822,
        },
        ["{server}/copy/debian/", "{server}/debian/"],
    ),
    "none": Row({}, []),
    "only comments": Row({"sources.list": "# nothing\n\n", "a.sources": "# nothing\n\n#\n"}, []),
    "malformed vendor file": Row(
        {"vendor.sources": "Suites: bookworm\n", "debian.sources": DEB822},
        DEBIAN,
        left_out=["vendor.sources: Malformed ("],
    ),
    "malformed one-line vendor file": Row(
        {"vendor.list": "deb http://vendor.example\n", "debian.sources": DEB822},
        DEBIAN,
        left_out=["vendor.list: Malformed ("],
    ),
    "malformed line among good ones": Row(
        {"sources.list": "deb nonsense\n" + ONE_LINE + "rpm http://vendor.example x y\n"},
        DEBIAN,
        left_out=["sources.list: Malformed (", "sources.list: Type 'rpm' is not known"],
    ),
    "malformed stanza among good ones": Row(
        {"debian.sources": "Types: deb\nURIs: nonsense\nSuites: x\nComponents: y\n\n" + DEB822},
        DEBIAN,
        left_out=["debian.sources: Malformed ("],
    ),
    "entries that contradict each other": Row(
        {
            "debian.sources": DEB822,
            "vendor.list": "deb [signed-by=/other.asc] {server}/debian bookworm main\n",
        },
        DEBIAN,
        left_out=["vendor.list: Conflicting values set for option Signed-By"],
    ),
    "options in brackets": Row(
        {
            "sources.list": "deb [ arch=amd64  signed-by={key} check-date=no ]  {server}/debian"
            " bookworm main contrib # x\n"
        },
        DEBIAN,
        ["[ arch=amd64  signed-by={key} check-date=no ]", "bookworm-backports main"],
    ),
    "tabs": Row(
        {"sources.list": "\tdeb\t[signed-by={key}]\t{server}/debian\tbookworm\tmain\n"}, DEBIAN
    ),
    "a key in brackets is trusted without one": Row(
        {"sources.list": "deb [trusted=yes] {server}/debian bookworm main\n"},
        DEBIAN,
        ["[trusted=yes]"],
    ),
    "disabled stanza": Row(
        {
            "a.sources": "Enabled: no\n" + DEB822.replace("/debian", "/copy/debian"),
            "b.sources": DEB822,
        },
        DEBIAN,
    ),
    "disabled line": Row(
        {"sources.list": "# deb [trusted=yes] {server}/copy/debian bookworm main\n" + ONE_LINE},
        DEBIAN,
    ),
    "embedded key": Row(
        {"debian.sources": DEB822.replace("{key}", "{embedded}") + "Architectures: amd64\n"},
        DEBIAN,
        ["Signed-By: {embedded}", "Architectures: amd64"],
    ),
    "several mirrors in one stanza": Row(
        {
            "debian.sources": DEB822.replace(
                "URIs:", "URIs: http://127.0.0.2:1/debian {server}/copy/debian"
            )
        },
        ["{server}/copy/debian/", "{server}/debian/"],
    ),
    "a cache's address before the mirror's": Row(
        {"sources.list": "deb [signed-by={key}] {server}/mirror.example/debian bookworm main\n"},
        ["{server}/mirror.example/debian/"],
    ),
    "comments in stanzas and folded fields": Row(
        {
            "debian.sources": "# first\nTypes:\n deb\n# http://old.example/debian\nURIs:\n"
            "# another\n {server}/debian\nSuites: bookworm\n bookworm-updates\nComponents: main\n"
            "X-Repolib-Name: Debian\n and more\n#Enabled: no\nSigned-By:\n {key}\n"
        },
        DEBIAN,
        ["Signed-By:\n {key}"],
    ),
    "field names in any case": Row(
        {
            "debian.sources": DEB822.replace("Types", "types")
            .replace("URIs", "uris")
            .replace("Suites", "SUITES")
        },
        DEBIAN,
    ),
    "no newline at the end": Row({"debian.sources": DEB822.rstrip()}, DEBIAN),
    "deb822 with CRLF": Row(
        {"debian.sources": (DEB822 + "\n" + VENDOR).replace("\n", "\r\n")}, DEBIAN
    ),
    "one-line with CRLF": Row({"sources.list": ONE_LINE.replace("\n", "\r\n")}, DEBIAN),
    "suite by its other name": Row(
        {"sources.list": ONE_LINE.replace("bookworm", "stable")}, DEBIAN
    ),
    "vendor with the release's name": Row({"a.sources": VENDOR, "debian.sources": DEB822}, DEBIAN),
    "only a vendor": Row({"a.sources": VENDOR}, []),
    "sources only": Row({"debian.sources": DEB822.replace("Types: deb", "Types: deb-src")}, []),
    "packages and sources": Row(
        {"debian.sources": DEB822.replace("Types: deb", "Types: deb deb-src")}, DEBIAN
    ),
    "files that apt ignores": Row(
        {
            "a.list.disabled": "x\n",
            "b.sources.save": "x\n",
            "c d.list": "x\n",
            "debian.sources": DEB822,
        },
        DEBIAN,
    ),
    "no answer": Row(
        {"sources.list": "deb [trusted=yes] http://127.0.0.2:1/debian bookworm main\n"}, []
    ),
}


def filled(text: str, server: str, key: SigningKey) -> str:
    return (
        text.replace("{server}", server)
        .replace("{key}", str(key.path))
        .replace("{embedded}", key.embedded)
    )


@pytest.mark.parametrize("name", ROWS)
def test_backports_entry_keeps_options(
    name, apt_root: AptRoot, server: str, key: SigningKey, tmp_path
):
    row = ROWS[name]
    for file, text in row.files.items():
        apt_root.write(file, filled(text, server, key))
    split = tmp_path / "split entries"
    left_out = apt_root.run(APT_SOURCES, "split", split).splitlines()
    assert len(left_out) == len(row.left_out), left_out
    for line, start in zip(left_out, row.left_out, strict=True):
        assert (
            line.removeprefix(f"{apt_root.folder}/etc/apt/")
            .removeprefix("sources.list.d/")
            .startswith(start)
        )

    apt_root.update(split)
    made = tmp_path / "made"
    lines = apt_root.run(APT_SOURCES, "backports", "bookworm", made).splitlines()
    assert [line.split("\t")[1] for line in lines] == [
        filled(uri, server, key) for uri in row.mirrors
    ]
    files = [line.split("\t")[0] for line in lines]
    assert sorted(files) == sorted(map(str, made.iterdir()))
    if files:
        text = (made / files[0]).read_text()
        for option in row.options:
            assert filled(option, server, key).rstrip() in text

    # apt reads and verifies each of them.
    for position, file in enumerate(files):
        alone = tmp_path / f"alone-{position}"
        alone.mkdir()
        (alone / "kju-backports").with_suffix(made.joinpath(file).suffix).write_bytes(
            made.joinpath(file).read_bytes()
        )
        apt_root.update(alone)
        assert apt_root.codenames(alone) == {"bookworm-backports"}


def test_split_keeps_the_releases_of_apt(apt_root: AptRoot, server: str, key: SigningKey, tmp_path):
    """The split entries reach the same releases as the lists."""
    apt_root.write("sources.list", filled(ONE_LINE, server, key))
    apt_root.write(
        "debian.sources",
        filled(DEB822.replace("/debian", "/copy/debian") + "\n" + VENDOR, server, key),
    )
    apt_root.run("apt-get", "update")
    whole = apt_root.run("apt-get", "indextargets", "--format", "$(URI)")
    apt_root.run(APT_SOURCES, "split", tmp_path / "split")
    only = [
        "-o",
        "Dir::Etc::SourceList=/dev/null",
        "-o",
        f"Dir::Etc::SourceParts={tmp_path / 'split'}",
    ]
    assert whole
    assert apt_root.run("apt-get", *only, "indextargets", "--format", "$(URI)") == whole


def test_proxy_changes_nothing(tmp_path, server: str, key: SigningKey):
    apt_root = AptRoot(tmp_path / "root", [f'Acquire::http::Proxy "{server}";'])
    apt_root.write(
        "debian.sources", filled(DEB822.replace("{server}", "http://deb.example"), server, key)
    )
    apt_root.run("apt-get", "update")
    lines = apt_root.run(APT_SOURCES, "backports", "bookworm", tmp_path / "made").splitlines()
    assert [line.split("\t")[1] for line in lines] == ["http://deb.example/debian/"]
