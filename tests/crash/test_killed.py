"""
A process is killed at every place at which it could be, in every operation, at three gateways.

The places are not listed here: a first run is recorded, and each of its passes of the seam (`seam.py`)
becomes a place to die. Three more lie between the first byte of each request and its answer. Whoever comes
next, another worker and the client in one of its three ways, must bring the order to its end: charged once,
nothing lost, nothing twice, nothing open. The judge is the gateway's own books.
"""

from __future__ import annotations

import signal
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from crashlab import jobs, lives, proof
from crashlab.flows import FLOWS
from crashlab.ledger import check, ledger_of
from crashlab.plugin import Premises
from crashlab.premises import Row, until
from crashlab.proof import Death, Place, Proof
from crashlab.sites import DATABASES, YOURS, Site
from crashlab.stories import STORIES, Client, Story
from crashlab.zygote import ChildFailed, Zygote

from bridge_payments.models import OperationState
from bridge_payments.sandbox.authorize_net import FakeAuthorizeNet

AT_ONCE = 12
"""How many shops with databases of their own are open at the same time."""
TOGETHER = 60
"""How many orders of one shop are prepared, killed and recovered together: the rest comes afterwards."""


def told() -> list[object]:
    """Every story at every gateway on every database; of a sample, every other, or every tenth on servers."""
    pairs = [(name, kind) for name, story in STORIES.items() for kind in story.kinds]
    return [
        pytest.param(
            database,
            kind,
            name,
            id=f"{name}-{kind}-{database}",
            marks=[] if database == "sqlite" else [pytest.mark.needs(database)],
        )
        for turn, database in enumerate([YOURS] if YOURS else DATABASES)
        for number, (name, kind) in enumerate(pairs)
        if proof.MODE != "sample" or number % (2 if database == "sqlite" else 10) == turn % 2
    ]


@pytest.mark.parametrize(("database", "kind", "name"), told())
def test_whoever_dies_wherever_nothing_is_lost_and_nothing_is_done_twice(
    site: Site, zygote: Zygote, account: Proof, database: str, kind: str, name: str
) -> None:
    story, where = STORIES[name], f"{name} at {kind} on {database}"
    point = where if proof.told_apart(account.mode) else f"{name} at {kind}"
    passes = record(site, zygote, story)
    found = proof.places(passes)
    every = proof.deaths(story, found, salt=f"{name} {kind}")
    account.possible += len(every)
    tried = proof.chosen(account.mode, story, database, every, salt=f"{name} {kind}")
    # A server has places that SQLite has not: of a share of them, the share is what there is to cover.
    to_cover = {each.place for each in tried} if proof.only_a_share(account.mode, database) else set(found)
    account.points |= {f"{point}: {place}" for place in to_cover}

    findings: list[str] = []
    size = AT_ONCE if story.alone else TOGETHER
    for some in (tried[first : first + size] for first in range(0, len(tried), size)):
        site.clear()
        try:
            died, ours = die_and_recover(site, zygote, story, some, passes)
        except (ChildFailed, AssertionError) as error:
            account.broken.append(f"{where}: {str(error).strip().splitlines()[-1]}")
            raise
        account.covered |= {f"{point}: {place}" for place in died}
        to_cover.difference_update(died)
        endings = {str(each): story.ending(kind) for each in some}
        audit = check(ledger_of(site.gateway), ours, endings, or_else=story.or_else.get(kind))
        account.count(where, database, len(some), audit)
        findings += audit.findings
    assert not findings, explained(findings, passes)
    if account.mode != "sample":
        assert not to_cover, "a place that nobody died at is a hole in the proof"


@pytest.mark.parametrize(("database", "kind"), [("sqlite", "authorize_net")])
def test_where_the_lists_are_switched_off_an_unknown_charge_stays_unknown_and_is_found_when_they_are_back(
    site: Site, zygote: Zygote, database: str, kind: str
) -> None:
    """The one case in which nobody can say: Authorize.net without its lists. It has an age and an exit."""
    story, name = STORIES["confirm"], "unseen"
    passes = record(site, zygote, story)
    site.clear()
    gateway = site.gateway
    assert isinstance(gateway, FakeAuthorizeNet)
    for lists in ("getUnsettledTransactionListRequest", "getSettledBatchListRequest"):
        gateway.spoil("error_before", lists, times=1_000_000)
    clients, addresses = zygote.run(
        lives.begin, story.name, {name: site.address()}, {name: Client(name=name)}
    )
    charged = [point for point, _ in passes].index("receive") + 1
    child = zygote.fork(lives.live, addresses[name], story.name, clients[name], die_at=charged)
    child.hear()
    assert child.ending() is None

    ours = zygote.run(lives.recover, story.name, addresses, clients, answered=False)
    endings = {name: story.ending(kind)}
    audit = check(ledger_of(gateway), ours.values(), endings, may_be_open=True)
    assert (audit.lost, audit.doubled, audit.wrong) == ([], [], [])
    assert len(audit.unknown) == 1
    [operation] = next(iter(ours.values())).open
    assert operation.resolution, "it says why"
    assert operation.created_at < gateway.clock(), "it has an age"
    assert len(gateway.charges()) == 1, "the client asked again, and nobody was charged again"

    gateway.faults.clear()
    now = {
        name: replace(address, offset=gateway.clock.offset.total_seconds())
        for name, address in addresses.items()
    }
    ours = zygote.run(lives.recover, story.name, now, clients, impatient=frozenset({name}))
    assert check(ledger_of(gateway), ours.values(), endings).findings == []


@pytest.mark.parametrize("name", ["confirm", "create+confirm"])
def test_what_was_reserved_half_an_hour_ago_and_never_sent_is_not_charged_late(
    premises: Premises, zygote: Zygote, name: str
) -> None:
    """The payer has left: whoever finds the operation gives it up, and only the payer begins anew."""
    flow, order = FLOWS[name], "late"
    recorded, where = zygote.run(jobs.prepare, flow.name, {"recorded": premises.address()})
    passes = zygote.run(jobs.act, where["recorded"], flow.name, "recorded", recorded["recorded"])
    premises.gateway.reset()
    premises.gateway.webhooks.off = True
    points = [point for point, _ in passes]
    ids, addresses = zygote.run(jobs.prepare, name, {order: premises.address()})
    address = addresses[order]
    child = zygote.fork(jobs.act, address, name, order, ids[order], die_at=points.index("send") + 1)
    assert child.ending() is None

    rows: list[Row] = zygote.run(jobs.look_later, address, seconds=1800)
    operation = rows[0].operations[-1]
    assert operation.state is OperationState.ABANDONED
    assert operation.resolution is not None
    assert operation.resolution.startswith("never executed")
    assert operation.id not in {request.key for request in premises.gateway.requests()}
    assert premises.gateway.charges() == []

    rows = zygote.run(jobs.recover, name, {order: premises.now(address)}, ids)
    assert premises.audit(rows).findings == []
    assert len(premises.gateway.charges(paid=True)) == 1


def record(site: Site, zygote: Zygote, story: Story) -> Sequence[lives.Pass]:
    """Live through it once, see that it ends as it should, and return every pass of the seam."""
    name = "recorded"
    clients, addresses = zygote.run(
        lives.begin, story.name, {name: site.address()}, {name: Client(name=name, way=story.asked[0])}
    )
    passes: Sequence[lives.Pass] = zygote.run(lives.live, addresses[name], story.name, clients[name])
    ours = zygote.run(lives.recover, story.name, addresses, clients)
    findings = check(ledger_of(site.gateway), ours.values(), {name: story.ending(site.kind)}).findings
    assert not findings, explained(findings, passes)
    return passes


def die_and_recover(
    site: Site, zygote: Zygote, story: Story, some: Sequence[Death], passes: Sequence[lives.Pass]
) -> tuple[list[Place], list[lives.Ours]]:
    """Let every one of *some* die where it has to; return where they did, and what there is afterwards."""
    shared = None if story.alone else site.address()
    clients, addresses = zygote.run(
        lives.begin,
        story.name,
        {str(each): shared or site.address() for each in some},
        {str(each): Client(name=str(each), way=each.way) for each in some},
    )

    def kill(each: Death) -> Place:
        name, number = str(each), each.place.number
        child = zygote.fork(lives.live, addresses[name], story.name, clients[name], die_at=number)
        point, what = child.hear()
        assert child.ending() is None, f"{name} lived on"
        assert point == passes[number - 1][0], (
            f"{name} died at {point} {what}, which was {passes[number - 1]} in the recorded run"
        )
        return each.place

    def kill_under_way(each: Death) -> Place:
        """Kill the sender when its request is at the gateway and the answer is not."""
        name, gateway, before = str(each), site.gateway, site.arrived()
        gateway.faults.add(
            each.place.meanwhile, path="*", method="*", caller="any", skip=each.place.number - 1, seconds=60
        )
        child = zygote.fork(lives.live, addresses[name], story.name, clients[name])
        for _ in until(f"{name} reached the gateway"):
            if not gateway.faults.describe():
                break
        if each.place.meanwhile == "slow":
            for _ in until(f"what {name} asked before was answered"):
                if site.arrived() >= before + each.place.number - 1:
                    break
        child.signal(signal.SIGKILL)
        assert child.ending() is None
        # The gateway may hear that its client is gone, and carries the request out all the same.
        for _ in until("the gateway was done"):
            if site.arrived() >= before + each.place.number:
                break
        gateway.faults.clear()
        return each.place

    with ThreadPoolExecutor(3) as pool:
        died = list(pool.map(kill, [each for each in some if not each.place.meanwhile]))
    died += [kill_under_way(each) for each in some if each.place.meanwhile]
    ours = zygote.run(
        lives.recover,
        story.name,
        addresses,
        clients,
        impatient=frozenset(str(each) for each in some if each.impatient),
        told=frozenset(str(each) for each in some if each.told),
    )
    return died, list(ours.values())


def explained(findings: Sequence[str], passes: Sequence[lives.Pass]) -> str:
    places = [f"{number}: {point} {what}" for number, (point, what) in enumerate(passes, 1)]
    return "\n".join([*findings, "the passes were", *places])
