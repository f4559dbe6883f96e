"""Asks the page's Flask application for a payment."""


async def after(names):
    from docs_web import pay

    browser = names["app"].test_client()
    try:
        await pay(names, lambda path, body: browser.post(path, json=body).json, then=["/orders/{id}/return"])
    finally:
        names["bridge"].close()
