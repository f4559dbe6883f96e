"""Asks the page's application for a payment and takes it back."""


async def after(names):
    from docs_web import pay_asgi

    told = await pay_asgi(
        names["app"],
        names["bridge"],
        ["/orders/{id}/return"],
        look=["/orders/order-1", "/guests/ada@example.com/orders"],
    )
    assert told == [{"paid": 2000, "given back": 2000}, ["order-1"]]
