"""A small shop whose rows fit together, and what can be wrong with it: each damage, and what finds it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Final

import sqlalchemy as sa

from bridge_payments.models import (
    DeliveryState,
    InboxState,
    OperationState,
    PaymentStatus,
    RefundStatus,
    Verb,
)
from bridge_payments.stores.base import IdempotencyRecord, Unit
from bridge_payments.stores.sql.tables import metadata
from bridge_payments.testing.stores.records import a_customer, a_dispute, a_method, a_subscription
from bridge_payments.testing.stores.samples import (
    NOW,
    a_delivery,
    a_payment,
    a_refund,
    an_entry,
    an_event,
    an_operation,
)

__all__ = ["DAMAGES", "DIFFERENCES", "broken_by", "keep_a_shop"]

Row = tuple[str, str]
"""A table, and what is said of one of its rows."""


def _id(prefix: str, number: int = 1) -> str:
    return f"{prefix}_01900000-0000-7000-8000-{number:012d}"


PAY, OPEN, CUST, PM, SUB = _id("pay"), _id("pay", 2), _id("cust"), _id("pm"), _id("sub")
CAPTURE, REFUND, CONFIRM, REF, EVENT = _id("op"), _id("op", 2), _id("op", 3), _id("ref"), _id("evt")
NOBODY = "01900000-0000-7000-8000-00000000dead"


def keep_a_shop(unit: Unit) -> None:
    """Keep a payment that was captured, refunded and disputed, one that is being confirmed, and theirs."""
    unit.customers.add(a_customer(id=CUST, provider_customer_id="cus_1", user_id="u1"))
    unit.payment_methods.add(a_method(id=PM, customer_id=CUST, provider_payment_method_id="pm_1"))
    unit.subscriptions.add(a_subscription(id=SUB, customer_id=CUST, payment_method_id=PM))
    payment = a_payment(
        id=PAY,
        status=PaymentStatus.PARTIALLY_REFUNDED,
        provider_intent_id="pi_1",
        authorized_cents=2000,
        captured_cents=2000,
        refunded_cents=500,
        refund_reserved_cents=500,
        disputed_cents=300,
        paid_at=NOW,
        customer_id=CUST,
        payment_method_id=PM,
        subscription_id=SUB,
    )
    unit.payments.add(payment)
    unit.payments.add(a_payment(id=OPEN, provider_intent_id="pi_2", payment_method_id="pm_OfStripe"))
    done = (
        an_operation(PAY, id=CAPTURE, verb=Verb.CAPTURE),
        an_operation(PAY, id=REFUND, verb=Verb.REFUND, refund_id=REF),
    )
    for operation in done:
        assert unit.operations.reserve(operation, lease_seconds=60) is None
        assert unit.operations.save(replace(operation, state=OperationState.SUCCEEDED), token="mine")
    assert unit.operations.reserve(an_operation(OPEN, id=CONFIRM), lease_seconds=60) is None
    refund = a_refund(PAY, id=REF, operation_id=REFUND, status=RefundStatus.SUCCEEDED)
    unit.refunds.add(replace(refund, provider_refund_id="re_1"))
    unit.disputes.add(a_dispute(payment_id=PAY, amount_cents=300))
    key = IdempotencyRecord(
        scope=f"refund_payment:{PAY}:system",
        key="k1",
        body_hash="h",
        operation_id=REFUND,
        subject_id=PAY,
        refund_id=REF,
        created_at=NOW,
    )
    unit.idempotency.put(key)
    unit.payments.take_merchant_reference("dummy", "R-1", PAY)
    unit.events.add(an_event(payment, id=EVENT))
    unit.deliveries.add(a_delivery(EVENT))
    unit.deliveries.add(a_delivery(EVENT, endpoint="other", state=DeliveryState.DEAD))
    unit.inbox.add(an_entry(payment_id=PAY))


DAMAGES: Final[dict[str, set[Row]]] = {
    # --- references
    f"UPDATE refunds SET payment_id = 'pay_{NOBODY}'": {
        ("refunds", "its payment_id names no row of provider_payments")
    },
    f"UPDATE disputes SET payment_id = 'pay_{NOBODY}'": {
        ("disputes", "its payment_id names no row of provider_payments")
    },
    f"UPDATE payment_references SET payment_id = 'pay_{NOBODY}' WHERE kind = 'merchant'": {
        ("payment_references", "its payment_id names no row of provider_payments")
    },
    "UPDATE webhook_deliveries SET event_id = 'evt_gone'": {
        ("webhook_deliveries", "its event_id names no row of outbox")
    },
    "DELETE FROM outbox": {("webhook_deliveries", "its event_id names no row of outbox")},
    f"UPDATE outbox SET subject_id = 'pay_{NOBODY}'": {("outbox", "its subject_id names no row")},
    f"UPDATE outbox SET subject_id = 'sub_{NOBODY}'": {("outbox", "its subject_id names no row")},
    f"UPDATE operations SET subject_id = 'cust_{NOBODY}' WHERE id = '{CAPTURE}'": {
        ("operations", "its subject_id names no row")
    },
    f"UPDATE operations SET refund_id = 'ref_gone' WHERE id = '{CAPTURE}'": {
        ("operations", "its refund_id names no row of refunds")
    },
    "UPDATE refunds SET operation_id = 'op_gone'": {
        ("refunds", "its operation_id names no row of operations")
    },
    "UPDATE idempotency_keys SET operation_id = 'op_gone'": {
        ("idempotency_keys", "its operation_id names no row of operations")
    },
    "UPDATE idempotency_keys SET refund_id = 'ref_gone'": {
        ("idempotency_keys", "its refund_id names no row of refunds")
    },
    f"UPDATE idempotency_keys SET subject_id = 'pay_{NOBODY}', operation_id = NULL": {
        ("idempotency_keys", "its subject_id names no row")
    },
    f"UPDATE idempotency_keys SET subject_id = '{OPEN}'": {
        ("idempotency_keys", "its operation is about something else")
    },
    f"UPDATE provider_payments SET customer_id = 'cust_{NOBODY}'": {
        ("provider_payments", "its customer_id names no row of provider_customers")
    },
    f"UPDATE provider_payments SET payment_method_id = 'pm_{NOBODY}'": {
        ("provider_payments", "its payment_method_id names no row of provider_payment_methods")
    },
    f"UPDATE provider_payments SET subscription_id = 'sub_{NOBODY}'": {
        ("provider_payments", "its subscription_id names no row of provider_subscriptions")
    },
    f"UPDATE provider_payment_methods SET customer_id = 'cust_{NOBODY}'": {
        ("provider_payment_methods", "its customer_id names no row of provider_customers")
    },
    f"UPDATE provider_subscriptions SET payment_method_id = 'pm_{NOBODY}'": {
        ("provider_subscriptions", "its payment_method_id names no row of provider_payment_methods")
    },
    # --- accounts and currencies
    "UPDATE refunds SET provider_id = 'stripe_eu'": {
        ("refunds", "its payment_id belongs to another account"),
        ("refunds", "its operation_id belongs to another account"),
        ("operations", "its refund_id belongs to another account"),
    },
    "UPDATE disputes SET provider_id = 'stripe_eu'": {
        ("disputes", "its payment_id belongs to another account")
    },
    "UPDATE provider_customers SET provider_id = 'stripe_eu'": {
        (table, "its customer_id belongs to another account")
        for table in ("provider_payments", "provider_payment_methods", "provider_subscriptions")
    },
    "UPDATE provider_payment_methods SET provider_id = 'stripe_eu'": {
        ("provider_payment_methods", "its customer_id belongs to another account"),
        ("provider_payments", "its payment_method_id belongs to another account"),
        ("provider_subscriptions", "its payment_method_id belongs to another account"),
    },
    "UPDATE provider_subscriptions SET provider_id = 'stripe_eu'": {
        ("provider_payments", "its subscription_id belongs to another account"),
        ("provider_subscriptions", "its customer_id belongs to another account"),
        ("provider_subscriptions", "its payment_method_id belongs to another account"),
    },
    f"UPDATE operations SET provider_id = 'stripe_eu' WHERE id = '{CAPTURE}'": {
        ("operations", "its subject_id belongs to another account")
    },
    "UPDATE refunds SET currency = 'EUR'": {("refunds", "it is in another currency than its payment")},
    "UPDATE disputes SET currency = 'EUR'": {("disputes", "it is in another currency than its payment")},
    # --- what is unique
    "DELETE FROM payment_references WHERE reference = 'pi_1'": {
        ("provider_payments", "another payment holds its provider's reference, or nobody does")
    },
    f"UPDATE payment_references SET payment_id = '{PAY}' WHERE reference = 'pi_2'": {
        ("provider_payments", "another payment holds its provider's reference, or nobody does")
    },
    "UPDATE provider_customers SET living_reference = NULL": {
        ("provider_customers", "its provider's reference is not kept for it")
    },
    "UPDATE provider_payment_methods SET living_reference = 'pm_2'": {
        ("provider_payment_methods", "its provider's reference is not kept for it")
    },
    # --- operations and slots
    "DELETE FROM operation_slots": {("operations", "an open operation without a slot")},
    f"INSERT INTO operation_slots (subject_id, operation_id) VALUES ('{PAY}', 'op_gone')": {
        ("operation_slots", "a slot of an operation that is not open")
    },
    f"INSERT INTO operation_slots (subject_id, operation_id) VALUES ('{PAY}', '{REFUND}')": {
        ("operation_slots", "a slot of an operation that is not open")
    },
    f"UPDATE operation_slots SET subject_id = '{PAY}'": {
        ("operation_slots", "a slot of an operation on something else"),
        ("operations", "an open operation without a slot"),
    },
    f"UPDATE operation_slots SET subject_id = 'pay_{NOBODY}'": {
        ("operation_slots", "its subject_id names no row"),
        ("operation_slots", "a slot of an operation on something else"),
        ("operations", "an open operation without a slot"),
    },
    f"UPDATE operations SET due_at = NULL WHERE id = '{CONFIRM}'": {
        ("operations", "an open operation that is never due: nobody finds out what came of it")
    },
    f"UPDATE operations SET due_at = created_at WHERE id = '{CAPTURE}'": {
        ("operations", "an operation that ended, and is due")
    },
    # --- money
    f"UPDATE provider_payments SET total_cents = 1999 WHERE id = '{OPEN}'": {
        ("provider_payments", "its price does not add up")
    },
    "UPDATE provider_subscriptions SET total_cents = 1": {
        ("provider_subscriptions", "its price does not add up")
    },
    f"UPDATE provider_payments SET refund_reserved_cents = 2100 WHERE id = '{PAY}'": {
        ("provider_payments", "it promises more to refunds than it has"),
        ("provider_payments", "it promises more to refunds than they ask for"),
    },
    f"UPDATE provider_payments SET refund_reserved_cents = 700 WHERE id = '{PAY}'": {
        ("provider_payments", "it promises more to refunds than they ask for")
    },
    f"UPDATE provider_payments SET refund_reserved_cents = 400 WHERE id = '{PAY}'": {
        ("provider_payments", "it promises less to refunds than was given back")
    },
    f"UPDATE provider_payments SET refunded_cents = 400, refund_reserved_cents = 400 WHERE id = '{PAY}'": {
        ("provider_payments", "its refunds gave back more than it says")
    },
    f"UPDATE provider_payments SET disputed_cents = 0 WHERE id = '{PAY}'": {
        ("provider_payments", "its disputes took more than it says")
    },
    f"UPDATE provider_payments SET authorized_cents = 100 WHERE id = '{PAY}'": {
        ("provider_payments", "more was captured than was ever authorized")
    },
    f"UPDATE provider_payments SET captured_cents = 0 WHERE id = '{PAY}'": {
        ("operations", "it captured, and its payment says that nothing was captured"),
        ("provider_payments", "it is paid, and nothing was captured"),
        ("provider_payments", "its status does not say what was refunded"),
    },
    f"UPDATE provider_payments SET status = 'succeeded' WHERE id = '{OPEN}'": {
        ("provider_payments", "it is paid, and nothing was captured")
    },
    f"UPDATE provider_payments SET paid_at = NULL WHERE id = '{PAY}'": {
        ("provider_payments", "money was captured, and nobody says when")
    },
    f"UPDATE provider_payments SET status = 'succeeded' WHERE id = '{PAY}'": {
        ("provider_payments", "its status does not say what was refunded")
    },
    "UPDATE refunds SET status = 'pending', provider_refund_id = NULL": {
        ("refunds", "it waits for the answer of an operation that has ended")
    },
    # --- queues
    "UPDATE webhook_deliveries SET available_at = NULL": {
        ("webhook_deliveries", "a delivery that waits, and is never due")
    },
    "UPDATE webhook_deliveries SET available_at = created_at": {
        ("webhook_deliveries", "a delivery that ended, and is due")
    },
    "UPDATE provider_webhooks SET available_at = NULL": {
        ("provider_webhooks", "a webhook that waits, and is never due")
    },
    f"UPDATE provider_webhooks SET state = '{InboxState.DEAD.value}'": {
        ("provider_webhooks", "a webhook that ended, and is due")
    },
    f"UPDATE provider_webhooks SET state = '{InboxState.PROCESSED.value}', available_at = NULL": {
        ("provider_webhooks", "its state and its `processed` say different things")
    },
}
"""What is done to the shop, and what is said of it then: of all of this a good one is silent."""


DIFFERENCES: Final[dict[str, tuple[str, str]]] = {
    "DROP INDEX ix_provider_payments_user_id_id": (
        "everywhere",
        "provider_payments: the index ix_provider_payments_user_id_id is missing",
    ),
    "CREATE INDEX mine ON refunds (reason)": ("everywhere", "refunds: the index mine is not ours"),
    "ALTER TABLE provider_customers DROP COLUMN phone": (
        "everywhere",
        "provider_customers: the column phone is missing",
    ),
    "ALTER TABLE refunds ADD COLUMN mine INTEGER": ("everywhere", "refunds: the column mine is not ours"),
    "DROP TABLE webhook_endpoint_health": ("everywhere", "webhook_endpoint_health: it is missing"),
    "INSERT INTO bridge_payments_version (version_num) VALUES ('bp_0001')": (
        "everywhere",
        "bridge_payments_version: it says bp_0001 and HEAD instead of HEAD",
    ),
    "ALTER TABLE operations DROP CONSTRAINT uq_operations_reference": (
        "servers",
        "operations: the unique key uq_operations_reference is missing",
    ),
    "ALTER TABLE provider_payments DROP CONSTRAINT ck_provider_payments_promises": (
        "servers",
        "provider_payments: the check ck_provider_payments_promises is missing",
    ),
    "ALTER TABLE payment_references DROP CONSTRAINT pk_payment_references": (
        "postgresql",
        "payment_references: its primary key is [] instead of ['provider_id', 'kind', 'reference']",
    ),
    'ALTER TABLE refunds ALTER COLUMN provider_refund_id TYPE varchar(255) COLLATE "default"': (
        "postgresql",
        "refunds: the column provider_refund_id is compared by None instead of C",
    ),
    "ALTER TABLE provider_payments MODIFY reference VARCHAR(64) COLLATE utf8mb4_bin": (
        "mariadb",
        "provider_payments: the column reference is compared by utf8mb4_bin instead of utf8mb4_nopad_bin",
    ),
}
"""What is done to the schema, one after the other, where, and what is said of it then."""


@contextmanager
def broken_by(engine: sa.Engine) -> Iterator[Any]:
    """Yield a function that damages the database as it is now, and forgets the damage that it did before."""
    with engine.connect() as connection:
        _without_checks(connection)
        whole = {
            table: [dict(row) for row in connection.execute(table.select()).mappings()]
            for table in metadata.sorted_tables
        }

        def damage(*statements: str) -> None:
            for table, rows in whole.items():
                connection.execute(table.delete())
                if rows:
                    connection.execute(table.insert(), rows)
            for statement in statements:
                connection.exec_driver_sql(statement)
            connection.commit()

        yield damage


def _without_checks(connection: sa.Connection) -> None:
    """Let through what the database's own CHECKs would refuse: a restored dump may have none."""
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("PRAGMA ignore_check_constraints = ON")
        return
    for table in metadata.sorted_tables:
        for check in sa.inspect(connection).get_check_constraints(table.name):
            connection.exec_driver_sql(f"ALTER TABLE {table.name} DROP CONSTRAINT {check['name']}")
    connection.commit()
