"""How the pages become a site: `nox -s docs`. Every warning is an error there."""

from __future__ import annotations

import re
import sys
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
import derived

project = "bridge_payments"
author = "the authors of bridge_payments"
version = release = installed("bridge-payments")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinxcontrib.mermaid"]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
master_doc = "index"
exclude_patterns = ["_build"]

myst_heading_anchors = 4  # the anchors that links of these pages use, as code hosts make them
myst_fence_as_directive = ["mermaid"]

# Docstrings: one backquote is a name of ours where there is one, and code in any case.
default_role = "py:obj"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_member_order = "bysource"
autodoc_class_signature = "mixed"
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True

html_theme = "furo"
html_title = f"bridge_payments {release}"
html_copy_source = False
html_show_sourcelink = False
html_show_copyright = False

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
OUTSIDE = ("README", "CHANGELOG", "CONTRIBUTING", "SECURITY")
"""Pages beside the code that belong into the site, too: copied into `_pages`, their links turned round."""


def bring_in() -> None:
    target = DOCS / "_pages"
    target.mkdir(exist_ok=True)
    for name in OUTSIDE:
        text = (ROOT / f"{name}.md").read_text(encoding="utf-8")
        text = re.sub(r"\]\((?!https?:|mailto:|#)([^)]+)\)", _from_root, text)
        page = target / f"{name.lower()}.md"
        if not page.exists() or page.read_text(encoding="utf-8") != text:
            page.write_text(text, encoding="utf-8")


def _from_root(link: re.Match[str]) -> str:
    path = link[1]
    name = path.removesuffix(".md")
    if name in OUTSIDE:
        return f"]({name.lower()}.md)"
    if path.startswith("docs/"):
        return f"](../{path.removeprefix('docs/')})"
    return f"](../../{path})"  # a file of the repository: offered as it is


def turn_outside_links(app: Any, page: str, source: list[str]) -> None:
    """Let links of our pages to those pages end at their copies."""
    up = "../" * page.count("/")
    outside = rf"\]\({re.escape(up)}\.\./({'|'.join(OUTSIDE)})\.md(#[\w-]+)?\)"
    source[0] = re.sub(outside, lambda link: f"]({up}_pages/{link[1].lower()}.md{link[2] or ''})", source[0])


def as_it_is(app: Any, what: str, name: str, thing: object, options: Any, lines: list[str]) -> None:
    """A module's docstring is a sketch: it keeps its lines."""
    if what == "module" and lines:
        lines[:] = ["::", "", *(f"    {line}" for line in lines), ""]


def setup(app: Any) -> None:
    bring_in()
    derived.write_pages(DOCS / "reference")
    app.connect("source-read", turn_outside_links)
    app.connect("autodoc-process-docstring", as_it_is)
