"""Asks the page's FastAPI application for a payment, and whether its handler heard."""

import contextlib
import io


async def after(names):
    from docs_web import pay_asgi

    with contextlib.redirect_stdout(io.StringIO()) as said:
        await pay_asgi(names["app"], names["bridge"])
    assert "paid: order-1" in said.getvalue()
