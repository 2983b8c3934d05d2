"""The set-up's use of apt: sources that do not answer, and files it leaves."""

from __future__ import annotations

import pytest
from support.apt_root import REFUSING, AptRoot, SigningKey, functions


def source(uri: str, key: SigningKey) -> str:
    return (
        f"Types: deb\nURIs: {uri}\nSuites: bookworm\nComponents: main\nSigned-By:{key.embedded}\n"
    )


def own_sources(apt_root: AptRoot) -> list[str]:
    return sorted(path.name for path in apt_root.folder.glob("etc/apt/sources.list.d/kju*"))


def test_no_answer_from_any_package_source_ends_the_set_up(checkout, apt_root, key):
    apt_root.write("debian.sources", source("http://127.0.0.2:1/debian", key))
    done = functions(checkout, apt_root, "avoid_broken_sources; update; echo went on")
    assert done.returncode == 1
    assert "went on" not in done.stdout
    assert "no package source answered (http://127.0.0.2:1/debian bookworm" in done.stderr
    assert "Connection refused" in done.stderr


def test_proxy_that_rejects_ends_the_set_up(tmp_path, checkout, key):
    apt_root = AptRoot(tmp_path / "root", [f'Acquire::http::Proxy "{REFUSING}";'])
    apt_root.write("debian.sources", source("http://deb.example/debian", key))
    done = functions(checkout, apt_root, "avoid_broken_sources; update")
    assert done.returncode == 1
    assert "no package source answered" in done.stderr


def test_vendor_that_does_not_answer_is_named_and_skipped(checkout, apt_root, server, key):
    apt_root.write("debian.sources", source(f"{server}/debian", key))
    apt_root.write("vendor.sources", source("http://127.0.0.2:1/vendor", key))
    done = functions(checkout, apt_root, "avoid_broken_sources; update; echo went on")
    assert done.returncode == 0, done.stderr
    assert "did not answer, which may not matter: http://127.0.0.2:1/vendor bookworm" in done.stdout
    assert done.stdout.endswith("went on\n")


@pytest.mark.parametrize("vendor", ["", "Suites: bookworm\n"], ids=["good", "malformed vendor"])
def test_backports_are_added_when_they_answer(checkout, apt_root, server, key, vendor):
    apt_root.write("a.sources", source(f"{server}/without-backports", key))
    apt_root.write("debian.sources", source(f"{server}/debian", key))
    apt_root.write("vendor.sources", vendor)
    done = functions(
        checkout, apt_root, "avoid_broken_sources; update; add_backports; update; knows_backports"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert own_sources(apt_root) == ["kju-backports.sources"]
    text = (apt_root.folder / "etc/apt/sources.list.d/kju-backports.sources").read_text()
    assert f"URIs: {server}/debian/\n" in text
    assert f"Signed-By:{key.embedded}\n" in text
    assert ("left out" in done.stdout) == bool(vendor)


def test_backports_that_do_not_answer_leave_no_source(checkout, apt_root, server, key):
    apt_root.write("a.sources", source(f"{server}/without-backports", key))
    done = functions(checkout, apt_root, "avoid_broken_sources; update; add_backports")
    assert done.returncode == 1
    assert "no backports of Debian bookworm were found" in done.stderr
    assert own_sources(apt_root) == []


def test_interrupted_set_up_leaves_no_source(checkout, apt_root, server, key):
    apt_root.write("debian.sources", source(f"{server}/debian", key))
    script = """
        avoid_broken_sources; update
        apt() { ls "$own_source".*; kill -TERM $$; sleep 1; }  # the signal comes while apt runs
        add_backports"""
    done = functions(checkout, apt_root, script)
    assert done.returncode == 143
    assert "kju-backports.sources" in (checkout / "build/setup.log").read_text()
    assert own_sources(apt_root) == []
