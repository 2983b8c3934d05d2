"""A skipped test is no passed one: in `./check` a missing program or package is a failure.

`./check` sets `KJU_CHECK` to the name of the system. tools/setup installs everything that the tests
need on Debian, so that a test may be skipped there for another reason only, such as a user who is
not root.
"""

from __future__ import annotations

import os
import re

import pytest

_MISSING = re.compile(r"could not import|not installed|is missing|there is no \S+ here", re.I)
#: npm, which tools/setup does not install, installs it.
_NOT_FROM_SETUP = "npm ci"


def is_forbidden(reason: str) -> bool:
    """Return whether a test may not be skipped for this reason."""
    must_run = os.environ.get("KJU_CHECK") == "debian"
    return must_run and bool(_MISSING.search(reason)) and _NOT_FROM_SETUP not in reason


def fail_forbidden_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Change the outcome of a skip that may not be."""
    if report.skipped and isinstance(report.longrepr, tuple):
        path, line, reason = report.longrepr
        if is_forbidden(reason):
            report.outcome = "failed"
            report.longrepr = f"{path}:{line}: {reason} (tools/setup check must install it)"
