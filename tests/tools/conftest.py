"""The archives of the tests' own apt, for the whole run."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.apt_root import REPOSITORY, AptRoot, SigningKey, archive


@pytest.fixture(scope="session")
def key(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SigningKey]:
    if not shutil.which("apt-get"):
        pytest.skip("apt-get decides what a source list means, and this system has none")
    made = SigningKey.make(tmp_path_factory.mktemp("key"))
    yield made
    made.end()


@pytest.fixture(scope="session")
def server(key: SigningKey) -> Iterator[str]:
    with archive(key) as address:
        yield address


@pytest.fixture
def apt_root(tmp_path) -> AptRoot:
    return AptRoot(tmp_path / "a root")


@pytest.fixture
def checkout(tmp_path) -> Path:
    """Copy the files that the set-up reads into a folder with a space in its name."""
    copy = tmp_path / "a checkout"
    copy.mkdir()
    for name in (
        "demo",
        "check",
        "pyproject.toml",
        "meson.build",
        "meson_options.txt",
    ):
        shutil.copy(REPOSITORY / name, copy / name)
    ignored = shutil.ignore_patterns("__pycache__", "*.so")
    (copy / "docs").mkdir()
    shutil.copy(REPOSITORY / "docs/package.md", copy / "docs")
    for name in ("tools", "include", "csrc", "src"):
        shutil.copytree(REPOSITORY / name, copy / name, ignore=ignored)
    return copy
