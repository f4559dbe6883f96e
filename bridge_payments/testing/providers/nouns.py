"""Customers, stored methods, subscriptions, below the engine: one object each, whatever is lost."""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, ClassVar

import pytest

from ...errors import (
    ProviderDeclined,
    ProviderError,
    ProviderStateConflict,
    ProviderUnknown,
    UnsupportedOperation,
)
from ...models import Noun, PaymentMethodStatus, SubscriptionStatus, Verb
from ...providers.base import (
    DECLINE_CODES,
    Absent,
    CannotSay,
    Found,
    ProviderCustomer,
    ProviderMethod,
    ProviderSubscription,
    Step,
)
from .desk import Desk
from .gateway import Instruction, NotChecked
from .promises import Promises, on_a_desk
from .questions import CREATING, NOUN_OF, NOUN_VERBS, Question, Questions, Thing, any_request, method_request

__all__ = ["NounPromises"]

EVERY_NOUN_VERB = pytest.mark.parametrize("verb", NOUN_VERBS, ids=[verb.name.lower() for verb in NOUN_VERBS])
EVERY_CREATION = pytest.mark.parametrize("verb", CREATING, ids=[verb.name.lower() for verb in CREATING])


class Killed(BaseException):
    """The process ended here: nothing of it is caught."""


class NounPromises(Promises):
    subscribes_with_method: ClassVar[bool] = True
    """Whether a subscription names a stored method; elsewhere the payer agrees on the gateway's own page."""

    finds_set_ups: ClassVar[bool] = True
    """Whether a set-up whose begin was lost can be found; elsewhere nobody can agree to it: absent."""

    def _questions(self, desk: Desk) -> Questions:
        return Questions(desk, with_method=self.subscribes_with_method)

    async def _calls_on_the_way(self, desk: Desk, verb: Verb) -> int:
        """Return how many calls the verb makes, and stores, before the one that is its execution."""
        question = await self._questions(desk).about(verb)
        life = _Life(desk)
        await question.ask(life.step())
        return len(life.results)

    # --- abilities ---------------------------------------------------------------------------------

    @EVERY_NOUN_VERB
    @on_a_desk
    async def test_a_verb_of_a_noun_works_where_it_is_claimed_and_sends_nothing_elsewhere(
        self, desk: Desk, verb: Verb
    ) -> None:
        if not desk.can(verb):
            before = desk.told()
            with pytest.raises(UnsupportedOperation):
                await getattr(desk.provider, verb.value)(any_request(verb), step=desk.step())
            assert desk.told() == before, "something was sent"
            return
        question = await self._questions(desk).about(verb)
        before_it = desk.gateway.objects(NOUN_OF[verb])
        step = desk.step()
        answer = await question.ask(step)
        _check_answer(question, step, answer)
        _check_count(verb, before_it, desk.gateway.objects(NOUN_OF[verb]))

    # --- answers that are lost ---------------------------------------------------------------------

    @EVERY_NOUN_VERB
    @on_a_desk
    async def test_a_lost_call_is_unknown_and_its_repeat_makes_nothing_twice(
        self, desk: Desk, verb: Verb
    ) -> None:
        """Each call of the verb is lost in turn; the repeat carries the same keys and the same bodies."""
        lost_any = False
        calls = await self._calls_on_the_way(desk, verb)
        for number in range(calls + 1):
            question = await self._questions(desk).about(verb)
            before, heard = desk.gateway.objects(NOUN_OF[verb]), len(desk.gateway.requests())
            life = _Life(desk)
            try:
                await question.ask(life.step(lose=number))
            except ProviderUnknown:
                lost_any = True
            else:
                break
            made = len(desk.gateway.objects(NOUN_OF[verb])) != len(before)
            found = await desk.provider.find_operation(question.evidence(life.step()))
            if verb is Verb.CREATE_METHOD and not self.finds_set_ups:
                assert not isinstance(found, Found), f"{found} was read of what cannot be found"
            elif verb in CREATING:
                assert not (made and isinstance(found, Absent)), f"it was made, and {found} was read of it"
                assert made or not isinstance(found, Found), f"nothing was made, and {found} was read"
            elif not calls:
                assert not isinstance(found, Absent), f"it was executed, and {found} was read of it"
            with suppress(ProviderUnknown):  # who looks before it asks may find that there is nothing to ask
                await question.ask(life.step(repeat=True))
            _check_count(verb, before, desk.gateway.objects(NOUN_OF[verb]))
            _check_keys(desk.gateway.requests()[heard:])
        if not lost_any:
            raise NotChecked(f"the {verb} of {desk.kind} sent no instruction whose answer could be lost")

    @EVERY_NOUN_VERB
    @on_a_desk
    async def test_a_verb_that_is_killed_after_any_call_goes_on_and_makes_nothing_twice(
        self, desk: Desk, verb: Verb
    ) -> None:
        """After each call twice: before its result was stored, and after that."""
        calls = await self._calls_on_the_way(desk, verb)
        if not calls:
            raise NotChecked(f"the {verb} of {desk.kind} is one call")
        for number, stored in itertools.product(range(calls), (False, True)):
            question = await self._questions(desk).about(verb)
            before, heard = desk.gateway.objects(NOUN_OF[verb]), len(desk.gateway.requests())
            life = _Life(desk)
            with pytest.raises(Killed):
                await question.ask(life.step(kill=number, stored=stored))
            step = life.step()
            _check_answer(question, step, await question.ask(step))
            _check_count(verb, before, desk.gateway.objects(NOUN_OF[verb]))
            _check_keys(desk.gateway.requests()[heard:])

    @EVERY_NOUN_VERB
    @on_a_desk
    async def test_a_verb_of_a_noun_that_was_never_asked_is_not_found(self, desk: Desk, verb: Verb) -> None:
        question = await self._questions(desk).about(verb)
        if verb is Verb.CONFIRM_METHOD:
            raise NotChecked("a set-up that the payer agreed to may be finished without us")
        if verb in CREATING:
            await (await self._questions(desk).about(verb)).ask(
                desk.step()
            )  # another's is there, ours is not
        found = await desk.provider.find_operation(question.evidence(desk.step()))
        assert isinstance(found, Absent | CannotSay), f"found a {verb} that nobody asked for"
        assert found.proof if isinstance(found, Absent) else found.reason, "says it without a word of proof"

    @EVERY_NOUN_VERB
    @on_a_desk
    async def test_a_look_up_of_a_noun_that_cannot_be_made_proves_nothing(
        self, desk: Desk, verb: Verb
    ) -> None:
        question = await self._questions(desk).about(verb)
        desk.wire.cut()
        before = desk.wire.sent
        with suppress(ProviderError):
            found = await desk.provider.find_operation(question.evidence(desk.step()))
            assert isinstance(found, CannotSay) or desk.wire.sent == before, f"{found}, without an answer"

    @EVERY_CREATION
    @on_a_desk
    async def test_a_creation_that_is_never_answered_is_unknown_when_its_time_is_over(
        self, desk: Desk, verb: Verb
    ) -> None:
        question = await self._questions(desk).about(verb)
        desk.gateway.objects(NOUN_OF[verb])  # who cannot say them may not know these instructions either
        desk.gateway.hang_next()
        with pytest.raises(ProviderUnknown):
            await question.ask(desk.step(deadline=0.4))

    # --- what they are -----------------------------------------------------------------------------

    @pytest.mark.parametrize("verb", [Verb.DELETE_CUSTOMER, Verb.DELETE_METHOD, Verb.CANCEL_SUBSCRIPTION])
    @on_a_desk
    async def test_an_end_that_is_asked_twice_is_one_end_and_two_successes(
        self, desk: Desk, verb: Verb
    ) -> None:
        """Only of a subscription may the second one be told that it has ended: then the engine reads it."""
        question = await self._questions(desk).about(verb)
        step = desk.step()
        _check_answer(question, step, await question.ask(step))
        try:
            _check_answer(question, step, await question.ask(desk.step()))
        except ProviderStateConflict:
            assert verb is Verb.CANCEL_SUBSCRIPTION, "a deletion that is asked twice is a success"

    @on_a_desk
    async def test_a_method_that_is_refused_is_declined_and_not_stored(self, desk: Desk) -> None:
        desk.need(Verb.CREATE_METHOD)
        customer = await self._questions(desk).customer()
        token = desk.gateway.new_token(declined=True)
        if token is None:
            raise NotChecked(f"{desk.kind} stores no tokens: the payer agrees on the gateway's own page")
        before = desk.gateway.objects(Noun.PAYMENT_METHOD)
        step = desk.step()
        request = method_request(step, customer, token)
        with pytest.raises(ProviderDeclined) as refused:
            await desk.provider.create_payment_method(request, step=step)
        assert refused.value.decline_code in DECLINE_CODES
        assert desk.gateway.objects(Noun.PAYMENT_METHOD) == before

    @on_a_desk
    async def test_a_stored_method_is_nobodys_to_bring(self, desk: Desk) -> None:
        method = await self._questions(desk).method()
        assert not await desk.provider.owns_payment_method(method.reference), "a stranger's method was taken"
        token = desk.gateway.new_token()
        if token is None:
            raise NotChecked(f"{desk.kind} has no tokens that a payer could bring")
        assert await desk.provider.owns_payment_method(token), "a fresh token was refused"

    @on_a_desk
    async def test_each_renewal_is_a_charge_of_its_own(self, desk: Desk) -> None:
        begun = await self._questions(desk).subscription()
        first = begun.charges or ()
        desk.gateway.renew(begun.reference)
        seen = await desk.provider.sync_subscription(begun.reference)
        charges = seen.charges or ()
        assert len(charges) == len(first) + 1, "a renewal was made, and does not show"
        assert len({each.reference for each in charges}) == len(charges), "two charges have one reference"
        assert [each.reference for each in charges[1:]] == [each.reference for each in first]
        for each in charges:
            assert each.captured == desk.amount.minor_units
            assert each.subscription == begun.reference
        again = await desk.provider.sync_subscription(begun.reference)
        assert [each.reference for each in again.charges or ()] == [each.reference for each in charges]

    @EVERY_CREATION
    @on_a_desk
    async def test_a_webhook_of_a_noun_names_what_has_to_be_read_again(self, desk: Desk, verb: Verb) -> None:
        question = await self._questions(desk).about(verb)
        made = await question.ask(desk.step())
        names = {made.reference}
        if isinstance(made, ProviderMethod):
            done = await self._questions(desk).agreed(made)
            names |= {name for name in (made.setup, done.setup, done.reference) if name is not None}
        events = [await desk.provider.read_webhook(desk.delivery(body)) for body in desk.gateway.events()]
        told = [each for each in events if each.noun is NOUN_OF[verb]]
        if not told:
            raise NotChecked(f"{desk.kind} announces no {NOUN_OF[verb]}")
        assert any(each.reference in names for each in told), "no event names it"

    @on_a_desk
    async def test_no_secret_of_a_noun_is_in_a_repr(self, desk: Desk) -> None:
        said: list[str] = []
        secrets: list[str] = []
        for verb in CREATING:
            if desk.can(verb):
                answer = await (await self._questions(desk).about(verb)).ask(desk.step())
                said += [repr(answer), str(answer)]
                secrets += [secret for secret in (getattr(answer, "client_secret", None),) if secret]
        if not said:
            raise NotChecked(f"{desk.kind} keeps neither customers nor methods nor subscriptions")
        for text in said:
            assert not [secret for secret in (*secrets, *desk.gateway.secrets()) if secret in text]
            assert "ada@example.com" not in text, "a payer's address was shown"


class _Life:
    """An operation over several lives of its process: what is stored of it, and when it is cut off."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._first = desk.step()
        self.results: dict[str, Any] = {}

    def step(
        self, *, lose: int | None = None, kill: int | None = None, stored: bool = True, repeat: bool = False
    ) -> Step:
        """Return the step of one life. *lose*, *kill*: after so many finished calls."""
        if lose == len(self.results):
            self._desk.gateway.lose_next_answer()
        return replace(
            self._first,
            results=dict(self.results),
            keep=self._keeper(lose, kill, stored=stored),
            repeat=repeat,
        )

    def _keeper(
        self, lose: int | None, kill: int | None, *, stored: bool
    ) -> Callable[[str, Any], Awaitable[None]]:
        async def keep(name: str, result: Any) -> None:
            dies = kill == len(self.results)
            if stored or not dies:
                self.results[name] = result
            if dies:
                raise Killed
            if lose == len(self.results):
                self._desk.gateway.lose_next_answer()

        return keep


def _check_keys(heard: Sequence[Instruction]) -> None:
    """One key is one instruction, word for word; where there are keys, one instruction has one."""
    said: dict[str, tuple[str, str]] = {}
    for each in heard:
        if each.key is not None:
            first = said.setdefault(each.key, (each.what, each.body))
            assert first == (each.what, each.body), f"the key {each.key} came with two instructions"


def _check_count(verb: Verb, before: Sequence[str], after: Sequence[str]) -> None:
    change = {
        Verb.CREATE_CUSTOMER: 1, Verb.CREATE_METHOD: 1, Verb.CREATE_SUBSCRIPTION: 1,
        Verb.DELETE_CUSTOMER: -1, Verb.DELETE_METHOD: -1,
    }.get(verb, 0)  # fmt: skip
    assert len(after) - len(before) == change, f"{verb}: {len(before)} objects before, {len(after)} after"


def _check_answer(question: Question, step: Step, answer: Thing) -> None:
    """What one execution of a verb leaves, as the provider tells it."""
    if question.verb is not Verb.CONFIRM_METHOD and question.subject is not None:
        assert answer.reference == question.subject, "the answer is about another object"
    match answer:
        case ProviderCustomer():
            assert answer.deleted == (question.verb is Verb.DELETE_CUSTOMER)
            assert answer.customer_id in (None, "cus_ours")
        case ProviderMethod():
            deleted = answer.status is PaymentMethodStatus.DELETED
            assert deleted == (question.verb is Verb.DELETE_METHOD)
            assert answer.status is not PaymentMethodStatus.FAILED
            assert answer.payment_method_id in (None, "pm_ours")
        case ProviderSubscription():
            _check_subscription(question, answer)
            assert answer.subscription_id in (None, "sub_ours")
    if question.subject is None:
        assert answer.our_reference in (None, step.reference), "it carries another operation's reference"


def _check_subscription(question: Question, answer: ProviderSubscription) -> None:
    desk = question.desk
    match question.verb:
        case Verb.CREATE_SUBSCRIPTION:
            assert answer.status in (
                SubscriptionStatus.ACTIVE, SubscriptionStatus.INCOMPLETE, SubscriptionStatus.TRIALING
            )  # fmt: skip
            assert answer.amount in (None, desk.amount)
        case Verb.UPDATE_SUBSCRIPTION:
            assert answer.amount in (None, desk.updated)
        case Verb.CANCEL_SUBSCRIPTION:
            assert answer.status is SubscriptionStatus.CANCELED or answer.cancel_at_period_end
        case Verb.PAUSE_SUBSCRIPTION:
            assert answer.status is SubscriptionStatus.PAUSED
        case _:
            assert answer.status is SubscriptionStatus.ACTIVE
