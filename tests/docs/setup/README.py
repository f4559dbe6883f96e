"""Asks the page's FastAPI application for a payment."""


async def after(names):
    from docs_web import pay
    from fastapi.testclient import TestClient

    with TestClient(names["app"]) as browser:
        then = ["/orders/{id}/return"] if "take_back" in names else []
        await pay(names, lambda path, body: browser.post(path, json=body).json(), then=then)
