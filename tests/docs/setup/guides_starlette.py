"""Asks the page's application for a payment."""


async def after(names):
    from docs_web import pay_asgi

    await pay_asgi(names["app"], names["bridge"])
