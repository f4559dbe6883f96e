"""What a provider says of itself is what it does: abilities, statuses, keys, names; and it keeps secrets."""

from __future__ import annotations

import logging
import re
import traceback
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

import pytest

from ...errors import ConfigurationError, UnsupportedOperation
from ...models import PaymentFlag, PaymentStatus, Verb
from ...providers import registry
from ...providers.base import UNRECOGNISED, Capability, ProviderPayment
from ...tripwire import find_card_numbers
from .desk import Desk, a_payment, reference_of
from .gateway import GatewayControl, NotChecked
from .promises import Promises, on_a_desk
from .survey import stubs_of
from .unknowns import EVERY_VERB, check_effect

__all__ = ["HonestyPromises"]

PAID_OR_NOT = frozenset(PaymentStatus) - {PaymentStatus.REFUNDED, PaymentStatus.PARTIALLY_REFUNDED}
"""What a provider may report; what became of refunds the engine derives from the sums."""
CARD = "4242424242424242"


class HonestyPromises(Promises):
    # --- abilities ---------------------------------------------------------------------------------

    @EVERY_VERB
    @on_a_desk
    async def test_a_verb_that_is_claimed_works_and_one_that_is_not_sends_nothing(
        self, desk: Desk, verb: Verb
    ) -> None:
        if desk.can(verb):
            payment, ask = await desk.prepare(verb)
            answer = await ask()
            row = await desk.row(payment.id if payment else answer.id)
            await check_effect(desk, verb, row)
            return
        before = desk.told()
        with pytest.raises(UnsupportedOperation):
            await desk.call_of(verb, a_payment())(desk.step())
        assert desk.told() == before, "something was sent"

    @on_a_desk
    async def test_money_is_held_only_where_that_is_declared(self, desk: Desk) -> None:
        before = desk.told()
        if desk.can(Capability.MANUAL_CAPTURE):
            payment = await desk.held()
            assert payment.status is PaymentStatus.REQUIRES_CAPTURE
            assert desk.can(Verb.CAPTURE), "money is held that nobody can collect"
            return
        with pytest.raises(UnsupportedOperation):
            await desk.paid(capture_method="manual")
        assert desk.told() == before

    @on_a_desk
    async def test_parts_are_given_back_only_where_that_is_declared(self, desk: Desk) -> None:
        desk.need(Verb.REFUND)
        payment = await desk.refundable()
        part = desk.amount.minor_units // 4
        if desk.can(Capability.PARTIAL_REFUND):
            refund = await desk.engine.refund_payment(payment.id, amount_cents=part)
            assert [moved.amount for moved in desk.gateway.refunds()] == [refund.amount]
            assert refund.amount_cents == part
            return
        before = desk.told()
        with pytest.raises(UnsupportedOperation):
            await desk.engine.refund_payment(payment.id, amount_cents=part)
        assert desk.told() == before

    @on_a_desk
    async def test_several_captures_are_asked_only_where_that_is_declared(self, desk: Desk) -> None:
        desk.need(Verb.CAPTURE)
        if desk.can(Capability.MULTI_CAPTURE):
            return  # tried among the sums
        payment = await desk.held()
        before = desk.told()
        with pytest.raises(UnsupportedOperation):
            await desk.engine.capture_payment(payment.id, amount_cents=1, final=False)
        assert desk.told() == before

    @on_a_desk
    async def test_a_client_secret_comes_exactly_where_it_is_declared(self, desk: Desk) -> None:
        request = desk.intent_request()
        begun = await desk.provider.create_payment_intent(request, step=desk.step())
        assert (begun.client_secret is not None) == desk.can(Capability.CLIENT_SECRET)

    # --- statuses ----------------------------------------------------------------------------------

    @on_a_desk
    async def test_a_status_that_nobody_knows_is_said_to_be_unrecognised(self, desk: Desk) -> None:
        payment = await desk.paid()
        desk.gateway.invent_status(reference_of(payment))
        assert (await desk.truth(payment)).status is UNRECOGNISED, "it was taken for a known one"
        row = await desk.engine.sync_payment(payment.id)
        assert row.flag is PaymentFlag.UNRECOGNISED
        assert row.status is PaymentStatus.SUCCEEDED, "an unknown status changed the payment"

    @on_a_desk
    async def test_every_recorded_answer_is_understood(self, desk: Desk) -> None:
        answers = self.recorded_answers()
        assert answers, "recorded_answers returned none"
        for name, read in answers.items():
            truth = read()
            assert truth.reference, name
            assert truth.status is UNRECOGNISED or truth.status in PAID_OR_NOT, name
            assert truth.status is not UNRECOGNISED, f"{name} has a status that the mapping does not know"
            assert 0 <= truth.refunded <= max(truth.captured, truth.refunded), name
            assert (truth.captured > 0) >= (truth.status is PaymentStatus.SUCCEEDED), name
            assert truth.amount.minor_units >= 0, name

    # --- keys --------------------------------------------------------------------------------------

    @on_a_desk
    async def test_keys_fit_the_rules_that_are_declared(self, desk: Desk) -> None:
        rules = desk.provider.keys
        payment = await desk.refundable()
        if desk.can(Verb.REFUND):
            await desk.engine.refund_payment(payment.id, amount_cents=desk.share.minor_units)
        keys = [each.key for each in desk.gateway.requests() if each.key is not None]
        if not rules.has_keys:
            assert keys == [], f"{desk.kind} declares no keys and sends some"
            return
        assert rules.window_hours > 0, "keys that protect nothing"
        assert keys, f"{desk.kind} declares keys and sends none"
        for key in keys:
            assert len(key) <= rules.max_length, f"{key} is longer than {rules.max_length}"
            assert re.fullmatch(f"(?:{rules.charset})+", key), f"{key} has letters outside {rules.charset}"

    # --- secrets -----------------------------------------------------------------------------------

    @on_a_desk
    async def test_no_secret_is_in_a_log_line_a_repr_or_an_error(self, desk: Desk) -> None:
        secrets = [*desk.gateway.secrets()]
        assert all(len(secret) > 5 for secret in secrets), "a secret that short is found everywhere"
        with _listening() as lines:
            payment = await desk.paid()
            truth = await desk.truth(payment)
            begun = await desk.provider.create_payment_intent(desk.intent_request(), step=desk.step())
            secrets += [each.client_secret for each in (truth, begun) if each.client_secret]
            said: list[str] = []
            for body in desk.gateway.events():
                event = await desk.provider.read_webhook(desk.delivery(body))
                said += [repr(event), event.body]
            said += [repr(desk.provider), str(desk.provider), repr(truth), repr(begun)]
            for attempt in self._troubles(desk):
                said += await _trouble(attempt)
        for text in (*said, *lines):
            assert not [secret for secret in secrets if secret in text], "a secret was shown"
            assert not find_card_numbers(text), "a card number was shown"

    def _troubles(self, desk: Desk) -> Iterator[Callable[[], Awaitable[object]]]:
        """Ways to fail, each with something in it that must not come out again."""
        provider = desk.provider
        foreign = {"confirm": True, "payment_method": CARD}
        yield lambda: provider.create_payment_intent(desk.intent_request(**foreign), step=desk.step())
        yield lambda: provider.sync_payment_status(CARD)
        if desk.gateway.declines:
            yield lambda: desk.paid(method=desk.gateway.declines)
        for name in ("break_next", "garble_next"):
            if getattr(type(desk.gateway), name) is not getattr(GatewayControl, name):
                getattr(desk.gateway, name)()
                yield lambda: provider.create_payment_intent(desk.intent_request(), step=desk.step())
        yield lambda: provider.read_webhook(desk.delivery(b"{nope", other_account=True))
        desk.wire.cut()
        yield lambda: provider.create_payment_intent(desk.intent_request(), step=desk.step())

    # --- names -------------------------------------------------------------------------------------

    @on_a_desk
    async def test_a_bare_environment_is_refused_by_the_names_that_are_missing(self, desk: Desk) -> None:
        try:
            type(desk.provider).from_env({}, transport=desk.wire)
        except ConfigurationError as refused:
            missing = refused.missing
        except NotImplementedError:
            raise NotChecked(f"{desk.kind} is built in Python, not from the environment") from None
        else:
            assert desk.provider.sandbox_only, "a provider that needs no variable moves no money"
            return
        assert missing, "say which variables are missing: ConfigurationError(missing=[…])"
        assert all(name == name.upper() for name in missing)

    @on_a_desk
    async def test_it_is_found_by_its_kind(self, desk: Desk) -> None:
        if desk.kind not in registry.available():
            raise NotChecked(f"no installed package announces {desk.kind}: pip install it, then run again")
        assert registry.load(desk.kind) is type(desk.provider)

    @on_a_desk
    async def test_nothing_is_left_to_write(self, desk: Desk) -> None:
        """Every method that is there as a stub, in one list."""
        if stubs := await stubs_of(desk):
            listed = "\n".join(f"  - {line}" for line in stubs)
            pytest.fail(f"missing:\n{listed}", pytrace=False)


async def _trouble(attempt: Callable[[], Awaitable[object]]) -> list[str]:
    try:
        answer = await attempt()
    except Exception as error:  # noqa: BLE001 - what is looked for is in any of them
        lines = "".join(traceback.format_exception(error))
        kept = [repr(value) for value in vars(error).values()]
        return [lines, repr(error), *map(repr, error.args), *kept]
    return [repr(answer)] if isinstance(answer, ProviderPayment) else []


class _Ear(logging.Handler):
    def __init__(self) -> None:
        super().__init__(level=logging.DEBUG)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


@contextmanager
def _listening() -> Iterator[list[str]]:
    """Hear every log line of this process, debug lines included."""
    ear, root = _Ear(), logging.getLogger()
    before = root.level
    root.addHandler(ear)
    root.setLevel(logging.DEBUG)
    try:
        yield ear.lines
    finally:
        root.setLevel(before)
        root.removeHandler(ear)
