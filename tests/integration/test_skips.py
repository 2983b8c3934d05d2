"""The rule of skipped tests: none is skipped in `./check` for a missing program or package."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

CONFTEST = (Path(__file__).parents[1] / "conftest.py").read_text()
FILES = {
    "test_import": "import pytest\npytest.importorskip('kju_nothing')\n",
    "test_program": (
        "import pytest\n@pytest.mark.skipif(True, reason='qemu-img is not installed')\n"
        "def test_a(): pass\n"
    ),
    "test_user": "import pytest\ndef test_b():\n    pytest.skip('only root can mount')\n",
    "test_page": "import pytest\ndef test_c():\n    pytest.skip('axe is not installed: npm ci')\n",
}


@pytest.mark.parametrize(
    ("system", "outcomes"),
    [("debian", {"errors": 2, "skipped": 2}), ("fedora", {"skipped": 4})],
)
def test_missing_programs_and_packages_fail_the_run_on_debian_only(
    pytester: pytest.Pytester,
    monkeypatch: pytest.MonkeyPatch,
    system: str,
    outcomes: dict[str, int],
) -> None:
    monkeypatch.setenv("KJU_CHECK", system)
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(**FILES)
    options = ["-p", "no:cacheprovider", "-o", "asyncio_default_fixture_loop_scope=function"]
    result = pytester.runpytest_inprocess("--continue-on-collection-errors", *options)
    assert result.parseoutcomes() == outcomes
    if system == "debian":
        result.stdout.fnmatch_lines(["*could not import 'kju_nothing'*tools/setup check*"])
        result.stdout.fnmatch_lines(["*qemu-img is not installed (tools/setup check*"])
