"""The setting is there."""

from bridge_payments import Settings  # noqa: F401 - for the page


def after(names):
    assert names["settings"].admin_ui_enabled
