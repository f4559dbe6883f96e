"""
One customer's day, told by the generated Python client: `tour.ts` tells the same one.

Run as a program with a JSON object of addresses and sessions; says what it saw as JSON. Checked by mypy
--strict against the generated package, which is made anew for every run and is not here.
"""

from __future__ import annotations

import json
import sys
from typing import Any, TypeVar

from generated import AuthenticatedClient, Client
from generated.api.addresses import create_address, delete_address, list_addresses, update_address
from generated.api.admin import admin_list_payments, admin_overview, admin_stats, cache_stats, delete_cache
from generated.api.customers import create_customer, get_customer, list_customers, update_customer
from generated.api.guests import convert_guest, my_guest_data
from generated.api.health import health
from generated.api.payment_methods import (
    create_payment_method,
    delete_payment_method,
    list_payment_methods,
    set_default_payment_method,
    update_payment_method,
)
from generated.api.payments import (
    cancel_payment,
    confirm_payment,
    create_payment_intent,
    get_payment,
    list_payments,
    update_payment_intent,
)
from generated.api.providers import list_providers
from generated.api.refunds import refund_payment
from generated.api.subscriptions import (
    cancel_subscription,
    create_subscription,
    get_subscription,
    list_subscriptions,
)
from generated.models.admin_list_payments_order_by import AdminListPaymentsOrderBy
from generated.models.cancel_payment import CancelPayment
from generated.models.cancel_subscription import CancelSubscription
from generated.models.confirm_payment import ConfirmPayment
from generated.models.convert_guest import ConvertGuest
from generated.models.create_address import CreateAddress
from generated.models.create_customer import CreateCustomer
from generated.models.create_payment import CreatePayment
from generated.models.create_payment_method import CreatePaymentMethod
from generated.models.create_subscription import CreateSubscription
from generated.models.guest_data_in import GuestDataIn
from generated.models.list_payments_order_by import ListPaymentsOrderBy
from generated.models.list_payments_order_dir import ListPaymentsOrderDir
from generated.models.problem import Problem
from generated.models.refund_payment import RefundPayment
from generated.models.update_address import UpdateAddress
from generated.models.update_customer import UpdateCustomer
from generated.models.update_payment import UpdatePayment
from generated.models.update_payment_method import UpdatePaymentMethod
from generated.types import Response

T = TypeVar("T")


def good(answer: Response[T | Problem]) -> T:
    """Return what was asked for; anything else ends the tour."""
    assert answer.parsed is not None
    assert not isinstance(answer.parsed, Problem), answer.content
    return answer.parsed


def bad(answer: Response[T | Problem]) -> list[Any]:
    """Return a refusal as the client reads it."""
    assert isinstance(answer.parsed, Problem), answer.content
    return [int(answer.status_code), answer.parsed.status, answer.parsed.error]


def tour(base: str, who: dict[str, str]) -> list[list[Any]]:  # noqa: PLR0915 - one day, told in its order
    def by(header: str, value: str) -> AuthenticatedClient:
        return AuthenticatedClient(base_url=base, token=value, auth_header_name=header, prefix="")

    # The generator knows no operation that may be asked with a credential and without: any header will do.
    nobody = by("X-Asked-By", "nobody")
    open_door = Client(base_url=base)
    late = by("X-Session-ID", "session-of-yesterday")
    guest = by("X-Guest-Token", who["guest"])
    ada = by("X-Session-ID", who["ada"])
    eve = by("X-Session-ID", who["eve"])
    root = AuthenticatedClient(base_url=base, token=who["root"])
    seen: list[list[Any]] = []

    def see(step: str, *values: Any) -> None:
        seen.append([step, *values])

    # --- a guest pays
    order = CreatePayment(
        currency="USD",
        total_cents=5500,
        description="A present",
        guest_data=GuestDataIn(email="ada@example.com", name="Ada"),
    )
    begun = good(create_payment_intent.sync_detailed(client=nobody, body=order)).data
    see("begun", begun.status.value, begun.amount_cents, begun.pricing.total_cents, bool(begun.client_secret))
    first = begun.id
    confirm = confirm_payment.sync_detailed
    see(
        "declined",
        *bad(confirm(first, client=nobody, body=ConfirmPayment(payment_method_id="dummy_declined"))),
    )
    paid = good(confirm(first, client=nobody, body=ConfirmPayment(payment_method_id="dummy_ok"))).data
    see("paid", paid.status.value, paid.requires_action, paid.outcome)
    see("too late to read", *bad(get_payment.sync_detailed(first, client=late)))
    see("the guest reads", good(get_payment.sync_detailed(first, client=guest)).data.guest_email)
    see("a stranger reads", *bad(get_payment.sync_detailed(first, client=eve)))

    # --- and becomes a user
    see("to convert", good(my_guest_data.sync_detailed(client=ada)).data.summary.total_payments)
    mine = ConvertGuest(guest_email="ada@example.com")
    see("a stranger converts", *bad(convert_guest.sync_detailed(client=eve, body=mine)))
    converted = good(convert_guest.sync_detailed(client=ada, body=mine)).data
    see("converted", converted.success, converted.payments_count, converted.total_converted)
    read = good(get_payment.sync_detailed(first, client=ada)).data
    see("the user reads", read.user_id, read.is_guest_payment, read.completed_at is not None)

    # --- a user pays
    second = good(
        create_payment_intent.sync_detailed(
            client=ada, body=CreatePayment(currency="eur", amount_cents=2000), idempotency_key="order-2"
        )
    ).data
    again = good(
        create_payment_intent.sync_detailed(
            client=ada, body=CreatePayment(currency="eur", amount_cents=2000), idempotency_key="order-2"
        )
    ).data
    see("begun once", again.id == second.id, second.currency)
    changed = good(
        update_payment_intent.sync_detailed(second.id, client=ada, body=UpdatePayment(total_cents=2500))
    ).data
    see("changed", changed.total_cents, changed.setup_future_usage_updated)
    canceled = good(cancel_payment.sync_detailed(second.id, client=ada, body=CancelPayment())).data
    see("canceled", canceled.status.value, canceled.message)
    page = good(
        list_payments.sync_detailed(
            client=ada, limit=1, order_by=ListPaymentsOrderBy.AMOUNT_CENTS, order_dir=ListPaymentsOrderDir.ASC
        )
    )
    see("listed", [one.total_cents for one in page.data], page.meta.total, page.meta.has_more)
    see("too late to list", *bad(list_payments.sync_detailed(client=late)))

    # --- money goes back
    refund = RefundPayment(amount_cents=1500, reason="requested_by_customer")
    see(
        "the payer refunds",
        *bad(refund_payment.sync_detailed(first, client=ada, body=refund, idempotency_key="r1")),
    )
    back = good(refund_payment.sync_detailed(first, client=root, body=refund, idempotency_key="r1")).data
    see("refunded", back.amount_cents, back.currency, back.status.value)
    see("partly", good(get_payment.sync_detailed(first, client=ada)).data.status.value)

    # --- what is kept
    known = CreateCustomer(email="ada@example.com", name="Ada Lovelace")
    customer = good(create_customer.sync_detailed(client=ada, body=known)).data
    see("customer", customer.existed, customer.first_name, customer.last_name)
    see("existed", good(create_customer.sync_detailed(client=ada, body=known)).data.existed)
    phoned = update_customer.sync_detailed(customer.id, client=ada, body=UpdateCustomer(phone="+34 600"))
    see(
        "phone", good(phoned).data.phone, good(get_customer.sync_detailed(customer.id, client=ada)).data.phone
    )
    see("customers", good(list_customers.sync_detailed(client=ada)).meta.total)
    card = good(
        create_payment_method.sync_detailed(
            client=ada, body=CreatePaymentMethod(payment_method_token="dummy_ok", alias="card")
        )
    ).data
    see(
        "method", card.status.value, card.type_, card.last4 == card.last_four, card.customer_id == customer.id
    )
    renamed = update_payment_method.sync_detailed(card.id, client=ada, body=UpdatePaymentMethod(alias="work"))
    see("renamed", good(renamed).data.alias)
    see("default", good(set_default_payment_method.sync_detailed(card.id, client=ada)).data.is_default)
    methods = good(list_payment_methods.sync_detailed(client=ada, payment_type="card"))
    see("methods", [method.alias for method in methods.data], methods.meta.total)
    home = CreateAddress(line1="Calle Mayor 1", city="Madrid", postal_code="28013", country="es")
    address = good(create_address.sync_detailed(client=ada, body=home)).data
    see("address", address.address_type.value, address.country)
    moved = update_address.sync_detailed(address.id, client=ada, body=UpdateAddress(city="Bilbao"))
    see("moved", good(moved).data.city, len(good(list_addresses.sync_detailed(client=ada)).data))

    # --- again and again
    subscription = good(
        create_subscription.sync_detailed(
            client=ada,
            body=CreateSubscription(
                customer_id=customer.id,
                payment_method_id=card.id,
                billing_address_id=address.id,
                total_cents=900,
                currency="USD",
            ),
        )
    ).data
    see(
        "subscribed", subscription.status.value, subscription.billing_interval.value, subscription.price_cents
    )
    read_again = good(get_subscription.sync_detailed(subscription.id, client=ada)).data
    see("subscription", read_again.customer_id == customer.id, read_again.billing_status.value)
    ended = cancel_subscription.sync_detailed(subscription.id, client=ada, body=CancelSubscription())
    see("ended", good(ended).data.cancel_at_period_end, good(ended).data.message)
    see("subscriptions", good(list_subscriptions.sync_detailed(client=ada)).meta.pagination.total)
    see("removed", good(delete_address.sync_detailed(address.id, client=ada)).data.message)
    see("detached", good(delete_payment_method.sync_detailed(card.id, client=ada)).data.message)

    # --- the merchant looks
    every = good(
        admin_list_payments.sync_detailed(
            client=root, order_by=AdminListPaymentsOrderBy.CREATED_AT, search="present"
        )
    ).data
    see("admin", every.pagination.total, every.filters["search"])
    see("admin refused", *bad(admin_stats.sync_detailed(client=ada)))
    stats = good(admin_stats.sync_detailed(client=root)).data
    see("figures", stats.payments.failed, [one.currency for one in stats.revenue], stats.unknown_outcomes)
    see("overview", good(admin_overview.sync_detailed(client=root)).data.providers)
    caches = good(cache_stats.sync_detailed(client=root)).data.cache_stats
    see("caches", caches["sessions"].hits > 0, good(delete_cache.sync_detailed(client=root)).success)
    see("accounts", [one.id for one in good(list_providers.sync_detailed(client=open_door)).data])
    see("health", health.sync_detailed(client=open_door).status_code == 200)
    return seen


if __name__ == "__main__":
    given = json.loads(sys.argv[1])
    json.dump(tour(given["base"], given["who"]), sys.stdout)
