"""How Sphinx builds the site (`make docs`), from the pages that are read on GitHub as well."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "docs" / "_ext"), str(ROOT / "src")]

import napari_subangstrom_cdi  # noqa: E402 - from here on it can be found

project = html_title = "napari-subangstrom-cdi"
author = copyright = "the napari-subangstrom-cdi developers"
release = version = napari_subangstrom_cdi.__version__

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.viewcode",
    "pages",  # _ext/pages.py: navigation, the reference, the examples
]

# Sphinx reads the pages where they lie in the repository, so that a link leads to the same file here and on GitHub.
root_doc = "docs/README"
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
_SOURCES = {"docs", "README.md", "CHANGELOG.md", "CONTRIBUTING.md"}
exclude_patterns = ["docs/_*", *(entry.name for entry in ROOT.iterdir() if entry.name not in _SOURCES)]

# Every name that a docstring refers to must be found. Private ones have no page, and those of other packages would have
# to be looked up in the net, which a build without it could not do; "io" is a package of ours, too.
nitpicky = True
_OTHERS = set(sys.stdlib_module_names) - {"io"}
_OTHERS |= {
    "ase",
    "fabio",
    "gemmi",
    "h5py",
    "matplotlib",
    "numpy",
    "pydantic",
    "pydantic_core",
    "scipy",
    "skimage",
    "tifffile",
}
nitpick_ignore_regex = [
    (r"py:.*", rf"({'|'.join(sorted(_OTHERS))})(\..*)?"),
    (r"py:.*", r"(.*\.)?_\w+"),
]

myst_enable_extensions = ["html_image"]  # pictures side by side are HTML; they too must exist
myst_heading_anchors = 3

add_module_names = False
autodoc_default_options = {"member-order": "bysource"}
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
autosummary_generate = False  # numpydoc brings autosummary along; nothing here uses it
numpydoc_show_class_members = False
default_role = "code"

html_theme = "pydata_sphinx_theme"
html_show_sourcelink = False
html_theme_options = {
    "collapse_navigation": True,
    "header_links_before_dropdown": 6,
    "navigation_with_keys": False,
    "secondary_sidebar_items": ["page-toc"],
}
