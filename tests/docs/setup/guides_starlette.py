"""Asks the page's Starlette application for a payment."""


async def after(names):
    from docs_web import pay
    from starlette.testclient import TestClient

    with TestClient(names["app"]) as browser:
        await pay(names, lambda path, body: browser.post(path, json=body).json())
