"""The public names are typed for programs that import kju: mypy --strict outside the project."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import kju

USER = Path(__file__).with_name("user.py")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What mypy remembers of kju, for all checks of this file."""
    return tmp_path_factory.mktemp("cache")


def check(program: Path, folder: Path, cache: Path) -> tuple[int, str]:
    """Run mypy as a user of the package does, without the project's settings."""
    home = Path(kju.__file__).parent.parent
    environment = dict(os.environ)
    options = []
    if home.name != "site-packages":  # kju is imported from the tree
        environment["MYPYPATH"] = str(home)
        options = ["--follow-imports=silent"]  # an installed package is not reported on either
    done = subprocess.run(
        [
            *(sys.executable, "-m", "mypy", "--strict", "--config-file="),
            *(*options, "--cache-dir", str(cache), str(program)),
        ],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def test_users_program_type_checks(tmp_path: Path, cache: Path) -> None:
    assert check(USER, tmp_path, cache) == (0, "Success: no issues found in 1 source file\n")


def test_wrong_use_is_an_error(tmp_path: Path, cache: Path) -> None:
    wrong = tmp_path / "wrong.py"
    wrong.write_text("import kju\nkju.attach(3)\nkju.attach('a').keyboard.type(b'x')\n")
    status, said = check(wrong, tmp_path, cache)
    assert status == 1
    assert [line for line in (1, 2, 3) if f"wrong.py:{line}:" in said] == [2, 3], said
