"""Sphinx: warnings are errors (see ./check)."""

import kju

project = "kju"
author = "The kju authors"
copyright = "2026, the kju authors"
release = version = kju.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.doctest",
    "sphinx.ext.napoleon",
]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
exclude_patterns = ["_build", "reference/surface-fields.md"]  # included by surface-format
html_theme = "furo"
html_title = "kju"
html_static_path: list[str] = []
autodoc_typehints = "signature"
autodoc_member_order = "bysource"
napoleon_custom_sections = [("Source", "notes_style")]
default_role = "code"
suppress_warnings = ["ref.python"]
