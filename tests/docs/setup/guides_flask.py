"""Asks the page's application for a payment and takes it back."""


async def after(names):
    from docs_web import pay_flask

    await pay_flask(names["app"], names["bridge"], ["/orders/{id}/return"])
