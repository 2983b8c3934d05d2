"""Sphinx: warnings are errors (see ./check)."""

import os
import subprocess
import sys
from pathlib import Path

import kju
from kju.cli.app import ENTRIES

project = "kju"
author = "The kju developers"
copyright = "2026, the kju developers"
release = version = kju.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.doctest",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
# package.md is what a package index shows; surface-format includes surface-fields.
exclude_patterns = ["_build", "package.md", "reference/surface-fields.md"]
html_theme = "furo"
html_title = "kju"
html_static_path = ["_static"]
html_css_files = ["kju.css"]
# Expected output and drawings are not commands.
copybutton_selector = "div:not(.highlight-text) > div.highlight > pre"
autodoc_typehints = "signature"
autodoc_member_order = "bysource"
napoleon_custom_sections = [("Source", "notes_style")]
default_role = "code"
suppress_warnings = ["ref.python"]


def _help(*words: str) -> str:
    command = [sys.executable, "-m", "kju.cli", *words, "--help"]
    plain = os.environ | {"COLUMNS": "88", "TERM": "dumb", "NO_COLOR": "1"}
    return subprocess.run(command, capture_output=True, text=True, check=True, env=plain).stdout


def _write_commands(path: Path) -> None:
    """The commands' own help, as a part of the page on the command."""
    parts = [f"```text\n{_help()}```\n"]
    parts += [f"# kju {name}\n\n```text\n{_help(name)}```\n" for name in ENTRIES]
    path.write_text("\n".join(parts))


_write_commands(Path(__file__).parent / "reference" / "_commands.md")
