"""The session store of an application."""

from types import SimpleNamespace

sessions = {"s-1": SimpleNamespace(id="ada", email="ada@example.com")}


async def after(names):
    from bridge_payments import Request

    request = Request(method="GET", path="/payments", headers={"cookie": "sid=s-1"}, body=b"")
    found = await names["auth"].identify(request)
    assert found.id == "ada", found
