"""Sphinx configuration: Markdown pages, the furo theme, nothing fetched from a network."""

from tunesmith import __version__

project = "tunesmith"
author = "The tunesmith authors"
copyright = "2026, The tunesmith authors"
release = __version__

extensions = ["myst_parser"]
myst_enable_extensions = ["deflist"]
myst_heading_anchors = 3
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build", "_captured"]

html_theme = "furo"
html_title = f"tunesmith {release}"
html_copy_source = False
