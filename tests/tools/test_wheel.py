"""The wheel, made and installed on a PATH without node: it serves the page."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from support.apt_root import REPOSITORY

PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check")


@pytest.fixture
def without_node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A PATH with all programs but those of node."""
    programs = tmp_path / "bin"
    programs.mkdir()
    tools = str(Path(sys.executable).parent)  # meson and ninja
    for folder in [tools, *os.environ["PATH"].split(os.pathsep)]:
        for path in Path(folder).iterdir() if Path(folder).is_dir() else ():
            if path.name not in ("node", "nodejs", "npm", "npx", "corepack"):
                (programs / path.name).unlink(missing_ok=True)
                (programs / path.name).symlink_to(path)
    monkeypatch.setenv("PATH", str(programs))


@pytest.mark.usefixtures("without_node", "runtime_folder")
def test_the_page_is_in_a_wheel_that_is_built_and_installed_without_node(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheels, site = tmp_path / "wheels", tmp_path / "site"
    build = ["wheel", "--no-deps", "--no-build-isolation", "--no-index", "--quiet"]
    where = ["--wheel-dir", str(wheels), f"--config-settings=build-dir={tmp_path / 'build'}"]
    subprocess.run([*PIP, *build, *where, str(REPOSITORY)], check=True, timeout=600)
    (wheel,) = wheels.glob("*.whl")
    install = ["install", "--no-deps", "--no-index", "--quiet", "--target", str(site), str(wheel)]
    subprocess.run([*PIP, *install], check=True, timeout=600)
    monkeypatch.setenv("PYTHONPATH", str(site))
    words = ["-m", "kju.cli", "web", "--listen", "127.0.0.1:0"]
    with subprocess.Popen(
        [sys.executable, *words], stdout=subprocess.PIPE, text=True, cwd=tmp_path
    ) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().removeprefix("serving at ").strip()
            maps = Path(f"/proc/{process.pid}/maps").read_text()
            assert f"{site}/kju/surface/_core" in maps  # and not that of the checkout
            page = read(url)
            files = re.findall(rb'(?:src|href)="/([^"]+)"', page)
            assert len(files) >= 4
            for name in files:
                assert read(url + name.decode())
        finally:
            process.terminate()


def read(url: str) -> bytes:
    with urllib.request.urlopen(url) as answer:
        assert answer.status == 200
        return bytes(answer.read())
