"""The package's metadata: the licences of its fonts, and its versions of Python."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from support.documentation import ROOT

FONTS = sorted((ROOT / "src/kju/vision/fonts").glob("*.txt"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
#: How the headers of the fonts name a licence, its name in SPDX and the first words of its text.
LICENCES = {
    "SIL Open Font License 1.1": ("OFL-1.1-RFN", "SIL OPEN FONT LICENSE Version 1.1"),
    "BSD-2-Clause-Patent": ("BSD-2-Clause-Patent", "a perpetual, worldwide"),
}
#: The sources in the public domain: tools/gen_fonts.py.
PUBLIC_DOMAIN = re.compile(r", (vgabios-stdvga\.bin|(Fixed|Goha|VGA)\d+)$")


@pytest.mark.parametrize("font", FONTS, ids=lambda font: font.name)
def test_the_licences_of_the_fonts_are_shipped(font: Path) -> None:
    header = [line for line in font.read_text().splitlines() if line.startswith("#   ")]
    assert header, "each source of its glyphs has a line"
    files = [path for pattern in PROJECT["license-files"] for path in ROOT.glob(pattern)]
    texts = [" ".join(path.read_text().split()) for path in files]
    for line in header:
        found = re.search(r"\((.*), (.*)\)$", line)
        if not found:
            assert PUBLIC_DOMAIN.search(line), f"no licence: {line}"
            continue
        licence, holder = found.groups()
        name, words = LICENCES[licence]
        assert name in PROJECT["license"].split(" AND ")
        last = holder.split()[-1]
        assert any(words in text and last in text for text in texts), licence


def test_every_python_that_wheels_are_tried_with_is_a_classifier() -> None:
    tried = re.search(r"pythons=\((python.*)\)", (ROOT / "tools/wheels").read_text())
    assert tried
    for python in tried[1].split():
        version = python.removeprefix("python")
        assert f"Programming Language :: Python :: {version}" in PROJECT["classifiers"]
