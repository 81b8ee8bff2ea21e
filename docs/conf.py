"""Configuration of the documentation site (`make docs`)."""

import sys
from pathlib import Path

from freegaze import __version__

sys.path.insert(0, str(Path(__file__).parent / "_extensions"))

project = "freegaze"
author = "The freegaze developers"
version = release = __version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
    "command_line",
    "mathml",
]
exclude_patterns = ["_build", "_extensions"]

# Pages are plain Markdown that GitHub shows as well: its anchors, its tables, its links.
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3

# Notebooks are Markdown files that are executed anew whenever their code has changed.
nb_execution_mode = "cache"
nb_execution_raise_on_error = True
nb_execution_timeout = 900
nb_merge_streams = True

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False

html_theme = "pydata_sphinx_theme"
html_title = f"freegaze {release}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_math_renderer = "mathml"  # no script and no network
html_show_sourcelink = False
html_copy_source = False
html_show_search_summary = False  # summaries are fetched, which files do not allow
html_theme_options = {
    "logo": {"text": f"freegaze {release}"},
    "show_prev_next": True,
    "navigation_with_keys": False,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
}
