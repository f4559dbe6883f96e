"""What the pages are made of: everything escaped, nothing from elsewhere, everything packaged."""

from __future__ import annotations

import re
from importlib.resources import files

import pytest

from bridge_payments.sandbox import pages
from bridge_payments.sandbox.pages import Markup, markup, page

ASSETS = sorted(
    path
    for folder in (
        files("bridge_payments.sandbox") / "static",
        files("bridge_payments.sandbox.stripe") / "static",
    )
    for path in folder.iterdir()  # the wheel takes every file of the package
    if path.name.rpartition(".")[2] in ("html", "css", "js", "svg")
)


def test_values_are_escaped_and_markup_is_not() -> None:
    assert markup("<p>$a $b</p>", a="<script>", b=Markup("<b>")) == "<p>&lt;script&gt; <b></p>"


def test_data_for_a_script_cannot_close_it() -> None:
    answer = page("live", title="x", data={"a": "</script><script>alert(1)"})
    assert b"</script><script>alert" not in answer.body
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]


@pytest.mark.parametrize("asset", ASSETS, ids=lambda asset: asset.name)
def test_no_page_loads_anything_from_elsewhere_or_runs_inline(asset: object) -> None:
    text = asset.read_text(encoding="utf-8")  # type: ignore[attr-defined]
    addresses = set(re.findall(r"https?://[^\s\"'`)]+", text)) - {"http://www.w3.org/2000/svg"}
    assert addresses == set()
    assert not re.search(r"\son(click|load|error)=|<style|\sstyle=|innerHTML|insertAdjacentHTML|eval\(", text)
    for script in re.findall(r"<script([^>]*)>", text):
        assert "src=" in script or "application/json" in script


def test_pages_are_files_of_the_package() -> None:
    assert {"base.html", "checkout.html", "live.html", "shop.css"} <= {
        path.name for path in pages.STATIC.iterdir()
    }
