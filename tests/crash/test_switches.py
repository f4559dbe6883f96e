"""
Everything lives, and the gateway does whatever its fault switches can do, at all three gateways.

Each switch meets the first instruction of an operation. Or its webhooks come before our row knows of the
payment, and as a storm of copies. The judge is the crash proof's: each order has to end as it would have.
"""

from __future__ import annotations

import os
import signal

import pytest
from crashlab import lives
from crashlab.ledger import check, ledger_of
from crashlab.premises import Address
from crashlab.sites import DATABASES, YOURS, Site
from crashlab.stories import KINDS, STORIES, Client
from crashlab.zygote import Zygote

from bridge_payments.sandbox.faults import FaultKind

pytestmark = pytest.mark.slow

FULL = bool(os.environ.get("BRIDGE_FULL"))
"""Minutes instead of seconds: `nox -s crash -- --full` sets it."""
SWITCHES = [
    kind.value
    for kind in FaultKind
    if kind not in (FaultKind.SLOW, FaultKind.RATE_LIMITED, FaultKind.ERROR_STORED)
]
"""All but three: a late answer; a no; and Stripe's stored 500, which keeps a refund unknown for a day and is
waited for in ``acceptance/test_money_unanswered.py``."""
DEADLINE = 0.5
STORMS, COPIES = 2, 25


def told(*names: str) -> list[object]:
    """The stories of *names* at every gateway; on SQLite, with --full on every kind of database."""
    databases = [YOURS] if YOURS else DATABASES if FULL else DATABASES[:1]
    return [
        pytest.param(
            database,
            kind,
            name,
            id=f"{name}-{kind}-{database}",
            marks=[] if database == "sqlite" else [pytest.mark.needs(database)],
        )
        for database in databases
        for name in names
        for kind in KINDS
        if kind in STORIES[name].kinds
    ]


MONEY = ("confirm", "refund", "create+confirm", "off-session", "capture", "cancel", "refund-all")


@pytest.mark.parametrize(("database", "kind", "name"), told(*(MONEY if FULL else MONEY[:2])))
def test_whatever_a_gateway_does_nothing_is_lost_and_nothing_is_done_twice(
    site: Site, zygote: Zygote, database: str, kind: str, name: str
) -> None:
    story, shared = STORIES[name], site.address()
    clients, addresses = zygote.run(
        lives.begin, name, dict.fromkeys(SWITCHES, shared), {each: Client(name=each) for each in SWITCHES}
    )
    for each in SWITCHES:
        site.spoil(each)
        zygote.run(lives.live, addresses[each], name, clients[each], deadline=DEADLINE)
        assert site.gateway.faults.describe() == [], "nothing was instructed"
    site.gateway.faults.clear()
    ours = zygote.run(lives.recover, name, addresses, clients, told=frozenset(SWITCHES[::2]))
    endings = dict.fromkeys(SWITCHES, story.ending(kind))
    audit = check(ledger_of(site.gateway), ours.values(), endings, or_else=story.or_else.get(kind))
    assert audit.findings == []


@pytest.mark.parametrize(("database", "kind", "name"), told("confirm", "create+confirm"))
def test_a_storm_of_webhooks_before_our_row_knows_of_the_payment_changes_nothing(
    site: Site, zygote: Zygote, database: str, kind: str, name: str
) -> None:
    """The gateway has done it, its answer is not written down, and everything is told again and again."""
    story, order = STORIES[name], "stormed"
    clients, addresses = zygote.run(lives.begin, name, {order: site.address()}, {order: Client(name=order)})
    payer = zygote.fork(lives.live, addresses[order], name, clients[order], stop_at="receive")
    payer.hear()
    storms(zygote, addresses[order])
    payer.signal(signal.SIGCONT)
    payer.result()
    storms(zygote, addresses[order])
    ours = zygote.run(lives.recover, name, addresses, clients, told=frozenset({order}))
    assert check(ledger_of(site.gateway), ours.values(), {order: story.ending(kind)}).findings == []


def storms(zygote: Zygote, address: Address) -> None:
    """Bring everything that the gateway told to several processes at once, again and again."""
    blowing = [zygote.fork(lives.storm, address, copies=COPIES, seed=seed) for seed in range(STORMS)]
    assert all(each.result() >= COPIES for each in blowing)
