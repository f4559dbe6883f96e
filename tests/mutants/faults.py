"""Faults that lost somebody money somewhere, each as a change of a few words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = ["FAULTS", "Fault"]


def _kit(words: str) -> tuple[str, ...]:
    """What every author of a provider has: the conformance suite, over the adapter that is changed."""
    return ("tests/conformance/test_providers.py", "-k", f"TestStripe and ({words})")


KEYS: Final = _kit("key or keys")
ANSWERS: Final = _kit("lost or refus or declin or gateway or nobody or deadline or cut_off")
LOOKUPS: Final = _kit("lost or look_up or never_asked")
SUMS: Final = _kit("amount or refund or capture or held or collected")
HOOKS: Final = _kit("webhook or bytes or changed or signed or ids")
HONESTY: Final = _kit("declared or unrecognised or secret")
STRIPE: Final = ("tests/unit/providers", "-k", "stripe")
ENGINE: Final = ("tests/unit/engine",)
MODEL: Final = ("tests/crash/test_stateful.py", "-k", "memory")
"""A shop that is used in any way, against a simple model."""


@dataclass(frozen=True, slots=True)
class Fault:
    name: str
    """What it would do to somebody."""
    file: str
    """Below ``bridge_payments``."""
    old: str
    new: str
    tests: tuple[str, ...]


_IN_ADAPTER: Final = (
    # --- keys ---------------------------------------------------------------------------------------
    Fault(
        "a new key for every try",
        "providers/stripe/account.py",
        '{"idempotency_key": key or step.key,',
        '{"idempotency_key": (key or step.key) + str(id(step)),',
        KEYS,
    ),
    Fault(
        "one key for every instruction",
        "providers/stripe/account.py",
        '{"idempotency_key": key or step.key,',
        '{"idempotency_key": "op_always",',
        KEYS,
    ),
    Fault(
        "no key of ours, so that the SDK draws one per try",
        "providers/stripe/account.py",
        '{"idempotency_key": key or step.key, "stripe_version"',
        '{"stripe_version"',
        KEYS,
    ),
    Fault(
        "keys that are longer than declared",
        "providers/stripe/account.py",
        "KeyRules(max_length=255,",
        "KeyRules(max_length=20,",
        KEYS,
    ),
    # --- what is an answer --------------------------------------------------------------------------
    Fault(
        "a lost answer is taken for never sent",
        "providers/stripe/client.py",
        "kind = ProviderNeverSent if never_sent(error) else ProviderUnknown",
        "kind = ProviderNeverSent",
        ANSWERS,
    ),
    Fault(
        "an unreadable answer is taken for never sent",
        "providers/stripe/client.py",
        'failure = ProviderUnknown(f"Unreadable answer',
        'failure = ProviderNeverSent(f"Unreadable answer',
        STRIPE,
    ),
    Fault(
        "what was never sent is unknown",
        "providers/stripe/client.py",
        "kind = ProviderNeverSent if never_sent(error) else ProviderUnknown",
        "kind = ProviderUnknown",
        ANSWERS,
    ),
    Fault(
        "an error of the gateway is a refusal",
        "providers/stripe/refusals.py",
        "status in _NEVER_EXECUTED\n        and bool(said)\n"
        '        and said.get("type") not in _UNKNOWN_TYPES',
        "bool(said)",
        ANSWERS,
    ),
    Fault(
        "a rejected repeat is taken as the answer",
        "providers/stripe/refusals.py",
        "    if repeat:\n",
        "    if False:\n",
        ANSWERS,
    ),
    Fault(
        "a decline is a rejection without a code",
        "providers/stripe/refusals.py",
        'if status == 402 or said.get("type") == "card_error":',
        "if False:",
        ANSWERS,
    ),
    Fault(
        "a lock is a definite no",
        "providers/stripe/refusals.py",
        'and said.get("code") not in _IN_FLIGHT_CODES',
        "",
        STRIPE,
    ),
    Fault(
        "the deadline of a call is not kept",
        "providers/stripe/client.py",
        "timeout=_deadline.get(),",
        "timeout=None,",
        ANSWERS,
    ),
    # --- looking up ---------------------------------------------------------------------------------
    Fault(
        "a look-up without an answer is taken as absence",
        "providers/stripe/provider.py",
        "return CannotSay(error.message)",
        "return Absent(error.message)",
        LOOKUPS,
    ),
    Fault(
        "half a list is taken for the whole",
        "providers/stripe/account.py",
        "            if not more:\n",
        "            if True:\n",
        STRIPE,
    ),
    Fault(
        "a confirm that was executed is not found",
        "providers/stripe/lookup.py",
        "if seen.status in _MOVED:",
        "if False:",
        LOOKUPS,
    ),
    Fault(
        "somebody else's intent is taken for ours",
        "providers/stripe/verbs/payments.py",
        ".get(forms.REFERENCE) == evidence.reference:",
        ".get(forms.REFERENCE) != evidence.reference:",
        LOOKUPS,
    ),
    Fault(
        "another refund is taken for ours",
        "providers/stripe/verbs/payments.py",
        "if evidence.reference == metadata.get(forms.REFERENCE) or (",
        "if True or (",
        LOOKUPS,
    ),
    Fault(
        "a capture that was executed is not found",
        "providers/stripe/lookup.py",
        "closed = seen.status is PaymentStatus.SUCCEEDED and",
        "closed = False and",
        LOOKUPS,
    ),
    # --- sums ---------------------------------------------------------------------------------------
    Fault(
        "yen times a hundred",
        "providers/stripe/money.py",
        "DJF GNF JPY KMF",
        "DJF GNF KMF",
        SUMS,
    ),
    Fault(
        "dinars by ten",
        "providers/stripe/money.py",
        "return 3 if currency in _THREE_DECIMAL else 2",
        "return 2",
        SUMS,
    ),
    Fault(
        "krónur by a hundred",
        "providers/stripe/money.py",
        '"BIF CLP DJF',
        '"ISK BIF CLP DJF',
        SUMS,
    ),
    Fault(
        "an amount that Stripe does not take is sent all the same",
        "providers/stripe/money.py",
        "    if units % step:",
        "    if False:",
        SUMS,
    ),
    Fault(
        "a refund without its amount",
        "providers/stripe/forms.py",
        '"payment"),\n        "amount": to_stripe(request.amount),\n',
        '"payment"),\n',
        SUMS,
    ),
    Fault(
        "a capture without its amount",
        "providers/stripe/forms.py",
        '{"amount_to_capture": to_stripe(request.amount), "expand": CHARGE}',
        '{"expand": CHARGE}',
        SUMS,
    ),
    Fault(
        "manual capture is forgotten",
        "providers/stripe/forms.py",
        'if request.capture_method != "automatic":',
        "if False:",
        SUMS,
    ),
    Fault(
        "only failed refunds are counted",
        "providers/stripe/mapping.py",
        "if _refund_status(each) not in _HELD_BACK)",
        "if _refund_status(each) in _HELD_BACK)",
        SUMS,
    ),
    # --- webhooks -----------------------------------------------------------------------------------
    Fault(
        "old and future signatures are accepted",
        "providers/stripe/inbox.py",
        "if abs(now.timestamp() - int(moment)) > TOLERANCE:",
        "if False:",
        HOOKS,
    ),
    Fault(
        "signatures from the future are accepted",
        "providers/stripe/inbox.py",
        "abs(now.timestamp() - int(moment))",
        "now.timestamp() - int(moment)",
        HOOKS,
    ),
    Fault(
        "any account's signature is accepted",
        "providers/stripe/inbox.py",
        "if not any(matches):",
        "if not matches:",
        HOOKS,
    ),
    Fault(
        "a webhook without a signature is accepted",
        "providers/stripe/provider.py",
        "verify(request.body, request.header(SIGNATURE_HEADER), self._webhook_secrets, now=self.clock())",
        "request.header(SIGNATURE_HEADER) and "
        "verify(request.body, request.header(SIGNATURE_HEADER), self._webhook_secrets, now=self.clock())",
        HOOKS,
    ),
    Fault(
        "the signature is checked over JSON that was written anew",
        "providers/stripe/inbox.py",
        "_sign(body, moment, secret), signature)",
        "_sign(json.dumps(json.loads(body or b'0')).encode(), moment, secret), signature)",
        HOOKS,
    ),
    Fault(
        "two events of one type have one id",
        "providers/stripe/events.py",
        'id=text_of(event["id"]),',
        'id=text_of(event["type"]),',
        HOOKS,
    ),
    Fault(
        "a client secret is stored with the webhook",
        "providers/stripe/inbox.py",
        "key: _BLANK if key in _SECRET_NAMES and",
        "key: inner if key in _SECRET_NAMES and",
        HONESTY,
    ),
    # --- honesty ------------------------------------------------------------------------------------
    Fault(
        "an unknown status is pending",
        "providers/stripe/mapping.py",
        "STATUS.get(word, UNRECOGNISED)",
        "STATUS.get(word, PaymentStatus.PENDING)",
        HONESTY,
    ),
    Fault(
        "an ability that exists is not declared",
        "providers/stripe/account.py",
        "            Capability.CLIENT_SECRET,\n",
        "",
        HONESTY,
    ),
    Fault(
        "a secret in a repr",
        "providers/stripe/account.py",
        'return f"StripeProvider(livemode={self._livemode},',
        'return f"StripeProvider({self._webhook_secrets},',
        HONESTY,
    ),
    Fault(
        "a card number in an error",
        "providers/stripe/refusals.py",
        'return _SECRETS.sub("…", message)[:300]',
        "return message[:300]",
        HONESTY,
    ),
    Fault(
        "a card number and a client secret in the log",
        "providers/stripe/client.py",
        "            answered = response.headers.copy()\n",
        '            answered = response.headers.copy()\n            _log.debug("%s", response.text)\n',
        HONESTY,
    ),
)

_IN_ENGINE: Final = (
    # --- asking -------------------------------------------------------------------------------------
    Fault(
        "the engine makes a failure of unknown",
        "engine/asking.py",
        "return Answer(lost=str(error), unsure=error)",
        "return Answer(refused=ProviderRejected(str(error)))",
        ENGINE,
    ),
    Fault(
        "the engine repeats what may have been executed",
        "engine/asking.py",
        "retry_if_exception_type(ProviderNeverSent)",
        "retry_if_exception_type((ProviderNeverSent, ProviderUnknown))",
        ENGINE,
    ),
    Fault(
        "the engine draws a new key for every try",
        "engine/asking.py",
        "key=operation.id,",
        "key=f'{operation.id}-{time.monotonic_ns()}',",
        ENGINE,
    ),
    Fault(
        "an adapter that breaks is taken for a refusal",
        "engine/asking.py",
        'return Answer(lost=f"the adapter failed with {type(error).__name__}")',
        "return Answer(refused=ProviderRejected(type(error).__name__))",
        ENGINE,
    ),
    # --- reconciliation -----------------------------------------------------------------------------
    Fault(
        "reconciliation charges late",
        "engine/reconcile.py",
        "harmless = operation.verb in rules.HARMLESS or (",
        "harmless = True or (",
        ENGINE,
    ),
    Fault(
        "absence is believed while a call may be under way",
        "engine/reconcile.py",
        "    if now < operation.created_at + under_way:\n",
        "    if False:\n",
        ENGINE,
    ),
    Fault(
        "a repeat after the key has lost its worth",
        "engine/reconcile.py",
        "timedelta(hours=max(provider.keys.window_hours - 1, 0))",
        "timedelta(days=999)",
        ENGINE,
    ),
    Fault(
        "the engine takes a rejected repeat as the answer",
        "engine/reconcile.py",
        "    if answer.refused is not None:\n",
        "    if False:\n",
        ENGINE,
    ),
    Fault(
        "cannot say is taken as absence",
        "engine/reconcile.py",
        "await self._postpone(operation, token, _backoff(operation), why=reason)\n"
        "                return False",
        "return await self._abandon(case, reason)",
        ENGINE,
    ),
    Fault(
        "an operator may call absent what is under way",
        "engine/resolving.py",
        "if not at_once and asked_at < (quiet := quiet_at(operation, provider)):",
        "if (quiet := quiet_at(operation, provider)) is None:",
        ENGINE,
    ),
    Fault(
        "an operator may call absent what was just sent again",
        "engine/reconcile.py",
        "last = max(operation.created_at, datetime.fromisoformat(repeated)) if repeated else",
        "last = operation.created_at if repeated else",
        ENGINE,
    ),
    Fault(
        "an operator is believed against the provider",
        "engine/resolving.py",
        "if wrong := settlement.mismatch(payment, truth):",
        'if wrong := "":',
        ENGINE,
    ),
    # --- what is true -------------------------------------------------------------------------------
    Fault(
        "an operator's word passes for a refund that was read",
        "engine/resolving.py",
        "provider_refund_id=reference, amount_cents=0)",
        "provider_refund_id=reference)",
        ("tests/acceptance/test_authorize_net_adapter.py", "-k", "operator and json"),
    ),
    Fault(
        "a decline ends the payment",
        "engine/settlement.py",
        "status=PaymentStatus.PENDING if payment.is_open else payment.status,",
        "status=PaymentStatus.FAILED,",
        ENGINE,
    ),
    Fault(
        "our cancel beats the provider's success",
        "engine/settlement.py",
        "if payment.status is PaymentStatus.CANCELED and truth.status in _UNPAID:",
        "if payment.status is PaymentStatus.CANCELED:",
        ENGINE,
    ),
    Fault(
        "the amount of the answer is not compared",
        "engine/settlement.py",
        "if truth.amount.minor_units != payment.total_cents:",
        "if False:",
        ENGINE,
    ),
    Fault(
        "the currency of the answer is not compared",
        "engine/settlement.py",
        "if truth.amount.currency != payment.currency:",
        "if False:",
        ENGINE,
    ),
    Fault(
        "another object's money is believed",
        "engine/settlement.py",
        "if truth.our_reference is not None and truth.our_reference != payment.reference and not",
        "if False and not",
        ENGINE,
    ),
    Fault(
        "test money is believed in a live account",
        "engine/settlement.py",
        "truth.livemode is not None and truth.livemode != payment.livemode:",
        "False:",
        ENGINE,
    ),
    Fault(
        "a success is told with every read",
        "engine/settlement.py",
        "if new.paid_at is not None and old.paid_at is None:",
        "if new.paid_at is not None:",
        ENGINE,
    ),
    Fault(
        "what was collected may become less",
        "engine/settlement.py",
        "captured = max(payment.captured_cents, truth.captured)",
        "captured = truth.captured",
        ENGINE,
    ),
    Fault(
        "an older answer overwrites a newer one",
        "engine/operations.py",
        "elif not unit.payments.save(payment, expected_version=expected_version):",
        "elif not unit.payments.save(payment, expected_version=unit.payments.get(payment.id).version):",
        ENGINE,
    ),
    Fault(
        "two instructions at once",
        "engine/operations.py",
        "        if holder is not None:\n            raise _in_progress(holder)",
        "        if holder is not None:\n            return",
        ENGINE,
    ),
    # --- sums ---------------------------------------------------------------------------------------
    Fault(
        "more is refunded than was collected",
        "engine/rules.py",
        "    if amount > left:\n",
        "    if False:\n",
        ENGINE,
    ),
    Fault(
        "more is refunded than was collected, where the table and the gateway would refuse it, too",
        "engine/rules.py",
        "    if amount > left:\n",
        "    if False:\n",
        MODEL,
    ),
    Fault(
        "an unknown refund gives its share back",
        "engine/settlement.py",
        "return min(truth.refunded + in_flight, captured)",
        "return min(truth.refunded, captured)",
        ENGINE,
    ),
    Fault(
        "more is collected than is held",
        "engine/rules.py",
        "    if not 0 < amount <= left:\n",
        "    if not 0 < amount:\n",
        ENGINE,
    ),
    # --- who may ------------------------------------------------------------------------------------
    Fault(
        "the payer collects",
        "engine/payments.py",
        "rules.require_trusted(principal, payment)",
        "rules.may_read(principal, payment)",
        ENGINE,
    ),
    Fault(
        "the payer refunds",
        "engine/refunds.py",
        "            rules.require_trusted(principal, payment)\n            if payment.provider_id",
        "            if payment.provider_id",
        ENGINE,
    ),
    Fault(
        "the payer releases held money",
        "engine/rules.py",
        "if verb is Verb.CANCEL and payment.status is PaymentStatus.REQUIRES_CAPTURE:",
        "if False:",
        ENGINE,
    ),
    Fault(
        "two anonymous guests share a key",
        "models/principals.py",
        "hashlib.sha256(seen.encode()).hexdigest()[:32]",
        '"somebody"',
        ENGINE,
    ),
    Fault(
        "a key answers for another instruction",
        "engine/operations.py",
        "        if stored.body_hash != body_hash:\n",
        "        if False:\n",
        ENGINE,
    ),
)

ANET_UNIT: Final = ("tests/unit/providers", "-k", "authorize_net")
ANET_PAY: Final = ("tests/acceptance/test_authorize_net_adapter.py", "-k", "json")
ANET_NOUNS: Final = (
    "tests/acceptance/test_authorize_net_methods.py",
    "tests/acceptance/test_authorize_net_subscriptions.py",
    "-k",
    "json",
)

_IN_AUTHORIZE_NET: Final = (
    Fault(
        "a Signature Key read as hexadecimal",
        "providers/authorize_net/account.py",
        'if not key or encoding != "hex":',
        'if not key or encoding == "hex":',
        ANET_UNIT,
    ),
    Fault(
        "any signature is ours",
        "providers/authorize_net/inbox.py",
        "if algorithm != _ALGORITHM or not any(matches):",
        "if algorithm != _ALGORITHM:",
        ANET_UNIT,
    ),
    Fault(
        "approved because the request was well-formed",
        "providers/authorize_net/lookup.py",
        'return ok and text_of(response_of(answer).get("responseCode")) in ("1", "4")',
        "return ok",
        ANET_UNIT,
    ),
    Fault(
        "money held for review counted as collected",
        "providers/authorize_net/mapping.py",
        'held, manual = said == "4", capture_method',
        'held, manual = said == "9", capture_method',
        ANET_PAY,
    ),
    Fault(
        "a part that a prepaid card paid counted as the whole",
        "providers/authorize_net/mapping.py",
        'return reason_of(response)[0] == "295"',
        "return False",
        ANET_UNIT,
    ),
    Fault(
        "a rejected repeat taken as the answer",
        "providers/authorize_net/refusals.py",
        "    if repeat:\n        return ProviderUnknown",
        "    if False:\n        return ProviderUnknown",
        ANET_UNIT,
    ),
    Fault(
        "absence believed at the first look",
        "providers/authorize_net/provider.py",
        "absence_looks: ClassVar[int] = 2",
        "absence_looks: ClassVar[int] = 1",
        ANET_UNIT,
    ),
    Fault(
        "half a list read as all of it",
        "providers/authorize_net/listings.py",
        '        raise ProviderUnknown(f"the list is longer than',
        '        return\n        raise ProviderUnknown(f"the list is longer than',
        ANET_UNIT,
    ),
    Fault(
        "no window against duplicates",
        "providers/authorize_net/forms.py",
        '{"settingName": "duplicateWindow", "settingValue": DUPLICATE_WINDOW},',
        "",
        ANET_PAY,
    ),
    Fault(
        "a stranger's pair of profiles charged",
        "providers/authorize_net/forms.py",
        "if stored is not None and customer not in (None, stored[0]):",
        "if False:",
        ANET_NOUNS,
    ),
    Fault(
        "a stored method charged once more by a repeat",
        "providers/authorize_net/charging.py",
        "if made is None and forms.pair_of(charge.payment_method) is not None:",
        "if False:",
        ANET_NOUNS,
    ),
    Fault(
        "a charge that was not written down before its method is kept",
        "providers/authorize_net/charging.py",
        "response = await step.once(CHARGE, lambda _: self._sent(charge, payload, step, budget))",
        "response = await self._sent(charge, payload, step, budget)",
        ANET_NOUNS,
    ),
    Fault(
        "a payment that is told as failed because its card was not kept",
        "providers/authorize_net/payment_methods.py",
        "        except (BridgeError, ValueError):\n            return None\n\n    async def like",
        "        except ValueError:\n            return None\n\n    async def like",
        ANET_NOUNS,
    ),
    Fault(
        "a card kept that its issuer refuses",
        "providers/authorize_net/payment_methods.py",
        'return {} if request.payment_type == "bank_account" else {"validationMode": self._validation}',
        'return {"validationMode": "none"}',
        ANET_NOUNS,
    ),
    Fault(
        "a lost method looked for among those that were there",
        "providers/authorize_net/payment_methods.py",
        "for number, each in methods.items() if number not in seen}",
        "for number, each in methods.items()}",
        ANET_NOUNS,
    ),
    Fault(
        "a change that takes our mark off a customer",
        "providers/authorize_net/profiles.py",
        'whole = _customer(text_of(profile.get("merchantCustomerId")), ',
        "whole = _customer(None, ",
        ANET_NOUNS,
    ),
    Fault(
        "a change that takes an address off a card",
        "providers/authorize_net/profiles.py",
        "{**known, **_billing(billing)}",
        "{**_billing(billing)}",
        ANET_NOUNS,
    ),
    Fault(
        "somebody else's customer taken for ours",
        "providers/authorize_net/customers.py",
        "if found.our_reference == request.reference:",
        "if found:",
        ANET_UNIT,
    ),
    Fault(
        "somebody else's subscription taken for ours",
        "providers/authorize_net/subscriptions.py",
        "if found.our_reference == request.reference:",
        "if found:",
        ANET_UNIT,
    ),
    Fault(
        "a subscription begun twice",
        "providers/authorize_net/subscriptions.py",
        "        if step.repeat:\n            if (made",
        "        if False:\n            if (made",
        ANET_NOUNS,
    ),
    Fault(
        "a trial that is charged at once",
        "providers/authorize_net/schedules.py",
        "today + timedelta(days=request.trial_days)",
        "today",
        ANET_NOUNS,
    ),
    Fault(
        "a subscription that ended looked for among those that run only",
        "providers/authorize_net/subscriptions.py",
        '_LISTS: Final = ("subscriptionActive", "subscriptionInactive")',
        '_LISTS: Final = ("subscriptionActive",)',
        ANET_NOUNS,
    ),
    Fault(
        "one payment for everything that a subscription collects",
        "providers/authorize_net/mapping.py",
        "    if subscription_in(transaction) is not None:\n        return text_of",
        "    if False:\n        return text_of",
        ANET_NOUNS,
    ),
    Fault(
        "a date that the next month does not have",
        "providers/authorize_net/schedules.py",
        "min(starts.day, calendar.monthrange(year, month + 1)[1])",
        "starts.day",
        ANET_NOUNS,
    ),
    Fault(
        "another currency than the account's",
        "providers/authorize_net/provider.py",
        "if amount.currency != self.currency:",
        "if False:",
        ANET_UNIT,
    ),
    Fault(
        "a card number in an error",
        "providers/authorize_net/refusals.py",
        'return _NUMBERS.sub("…", message)[:300]',
        "return message[:300]",
        ANET_UNIT,
    ),
)

PAYPAL_UNIT: Final = ("tests/unit/providers", "-k", "paypal")
PAYPAL_PAY: Final = ("tests/acceptance/test_paypal_adapter.py",)
PAYPAL_VAULT: Final = ("tests/acceptance/test_paypal_vault.py",)
PAYPAL_KEYS: Final = (*PAYPAL_VAULT, *PAYPAL_PAY)
PAYPAL_BILLS: Final = ("tests/acceptance/test_paypal_subscriptions.py",)
PAYPAL_DISPUTES: Final = ("tests/acceptance/test_paypal_disputes.py",)

_IN_PAYPAL: Final = (
    Fault(
        "one key for the order and its charge",
        "providers/paypal/payments.py",
        'options = {"id": order["id"], "body": body, "paypal_request_id": step.key, "prefer": WHOLE}',
        'options = {"id": order["id"], "body": body, "paypal_request_id": "op", "prefer": WHOLE}',
        PAYPAL_KEYS,
    ),
    Fault(
        "a new key for every try",
        "providers/paypal/payments.py",
        '            "paypal_request_id": key,',
        '            "paypal_request_id": f"{key}{id(step)}",',
        PAYPAL_KEYS,
    ),
    Fault(
        "two accounts of the shop share one kept account",
        "providers/paypal/vault.py",
        'details |= {"usage_type": "MERCHANT", "permit_multiple_payment_tokens": True}',
        'details |= {"usage_type": "MERCHANT"}',
        PAYPAL_VAULT,
    ),
    Fault(
        "a payer brings what somebody keeps",
        "providers/paypal/payment_methods.py",
        'read["status"] == "APPROVED"',
        'read["status"] in ("APPROVED", "VAULTED")',
        PAYPAL_VAULT,
    ),
    Fault(
        "a set-up of another user's row is anybody's",
        "providers/paypal/payment_methods.py",
        '.startswith("pm_")',
        '.startswith("xx_")',
        PAYPAL_VAULT,
    ),
    Fault(
        "an absent payer is sent to their bank",
        "providers/paypal/payments.py",
        "        if off_session:\n            raise ProviderDeclined(",
        "        if False:\n            raise ProviderDeclined(",
        PAYPAL_VAULT,
    ),
    Fault(
        "a lost charge was never made",
        "providers/paypal/provider.py",
        '            begun = evidence.results.get("order")',
        "            begun = None",
        PAYPAL_VAULT,
    ),
    Fault(
        "a used set-up is absent",
        "providers/paypal/payment_methods.py",
        "        if not setup.read(_is_used):\n            return Absent(",
        "        if True:\n            return Absent(",
        PAYPAL_VAULT,
    ),
    Fault(
        "an order keeps nothing",
        "providers/paypal/forms.py",
        '        source["attributes"] = keeping(',
        '        source["nothing"] = keeping(',
        PAYPAL_VAULT,
    ),
    Fault(
        "a product for every subscription",
        "providers/paypal/billing.py",
        'return {"id": f"BRIDGE-{digest[:24].upper()}", "name": name',
        'return {"name": name',
        PAYPAL_BILLS,
    ),
    Fault(
        "a product that is there is a refusal",
        "providers/paypal/subscriptions.py",
        "            if error.provider_code != _EXISTS:",
        "            if True:",
        PAYPAL_BILLS,
    ),
    Fault(
        "the plan is made again by a repeat",
        "providers/paypal/subscriptions.py",
        'plan = await step.once("plan", lambda key: self._plan(request, product, key, step, budget))',
        'plan = await self._plan(request, product, step.key_for(f"plan{step.repeat}"), step, budget)',
        PAYPAL_BILLS,
    ),
    Fault(
        "a cancel of what nobody approved says that it is done",
        "providers/paypal/subscriptions.py",
        "        if seen.status is SubscriptionStatus.INCOMPLETE:\n",
        "        if False:\n",
        PAYPAL_BILLS,
    ),
    Fault(
        "a trial that is a month too long",
        "providers/paypal/billing.py",
        '"interval_count": request.trial_days},',
        '"interval_count": request.trial_days + 30},',
        PAYPAL_BILLS,
    ),
    Fault(
        "a new price for the trial",
        "providers/paypal/billing.py",
        'sequence = _regular(subscription["plan"])["sequence"]',
        "sequence = 1",
        PAYPAL_BILLS,
    ),
    Fault(
        "who owes is called paid",
        "providers/paypal/billing.py",
        "    return failed > 0 and outstanding",
        "    return False and outstanding",
        PAYPAL_BILLS,
    ),
    Fault(
        "a lost pause is taken for absent",
        "providers/paypal/subscriptions.py",
        "Verb.PAUSE_SUBSCRIPTION: seen.status in _HALTED,",
        "Verb.PAUSE_SUBSCRIPTION: False,",
        PAYPAL_BILLS,
    ),
    Fault(
        "a lost refund of a renewal is absent though something was refunded",
        "providers/paypal/lookup.py",
        'if seen.status is PaymentStatus.SUCCEEDED and seen.provider_status == "capture COMPLETED":',
        "if seen.status is PaymentStatus.SUCCEEDED:",
        PAYPAL_BILLS,
    ),
    Fault(
        "a renewal is the subscription's payment, and there is one",
        "providers/paypal/billing.py",
        "        reference=identity,\n        status=status,\n",
        "        reference=subscription,\n        status=status,\n",
        PAYPAL_BILLS,
    ),
    Fault(
        "what a dispute took is refunded, too",
        "providers/paypal/disputes.py",
        "refunded=payment.refunded - min(unlisted, lost),",
        "refunded=payment.refunded,",
        PAYPAL_DISPUTES,
    ),
    Fault(
        "a dispute that was won is still held",
        "providers/paypal/disputes.py",
        '"RESOLVED_SELLER_FAVOUR": DisputeStatus.WON,',
        '"RESOLVED_SELLER_FAVOUR": DisputeStatus.LOST,',
        PAYPAL_DISPUTES,
    ),
    Fault(
        "an event of a dispute is forgotten when PayPal does not answer",
        "providers/paypal/payments.py",
        "            if needed and error.http_status not in _FORBIDDEN:",
        "            if False:",
        PAYPAL_DISPUTES,
    ),
    Fault(
        "approved is paid",
        "providers/paypal/mapping.py",
        '"APPROVED": PaymentStatus.REQUIRES_CONFIRMATION,',
        '"APPROVED": PaymentStatus.SUCCEEDED,',
        PAYPAL_PAY,
    ),
    Fault(
        "a declined card is a success",
        "providers/paypal/mapping.py",
        "    if words & _COLLECTED:\n",
        "    if words:\n",
        PAYPAL_PAY,
    ),
    Fault(
        "a refund without an amount",
        "providers/paypal/forms.py",
        '        "amount": to_paypal(request.amount),\n        "invoice_id": request.reference,\n',
        '        "invoice_id": request.reference,\n',
        PAYPAL_PAY,
    ),
    Fault(
        "yen with two decimals",
        "providers/paypal/money.py",
        '_WHOLE: Final = frozenset({"HUF", "JPY", "TWD"})',
        '_WHOLE: Final = frozenset({"HUF", "TWD"})',
        PAYPAL_UNIT,
    ),
    Fault(
        "an order that was changed to another amount is collected",
        "providers/paypal/payments.py",
        "        if seen.amount != request.amount:\n",
        "        if False:\n",
        PAYPAL_PAY,
    ),
    Fault(
        "an event for another webhook of PayPal's",
        "providers/paypal/verification.py",
        'if answer.read(lambda said: said["verification_status"]) == "SUCCESS":',
        'if answer.read(lambda said: said["verification_status"]):',
        PAYPAL_PAY,
    ),
    Fault(
        "a certificate from anywhere",
        "providers/paypal/inbox.py",
        "        origin not in bases\n        or parts.query",
        "        parts.query",
        PAYPAL_UNIT,
    ),
    Fault(
        "a card number in an error",
        "providers/paypal/refusals.py",
        'return _SECRETS.sub("…", text)[:300] if text else None',
        "return text[:300] if text else None",
        PAYPAL_UNIT,
    ),
    Fault(
        "a card's number as what is kept",
        "providers/paypal/forms.py",
        "(?![0-9]{12,19}$)",
        "",
        PAYPAL_UNIT,
    ),
    Fault(
        "a rejected repeat is taken as the answer",
        "providers/paypal/refusals.py",
        "    if repeat:\n",
        "    if False:\n",
        PAYPAL_UNIT,
    ),
)

_IN_NOUNS: Final = (
    Fault(
        "a stranger's stored method is charged",
        "engine/choosing.py",
        "    if not is_owner(principal, row):\n",
        "    if False:\n",
        ENGINE,
    ),
    Fault(
        "a stranger's customer is used",
        "engine/choosing.py",
        "if named.is_deleted or not is_owner(principal, named):",
        "if named.is_deleted:",
        ENGINE,
    ),
    Fault(
        "a provider's reference is taken from anybody",
        "engine/choosing.py",
        "        if owns:\n            return None\n",
        "        if owns or not owns:\n            return None\n",
        ENGINE,
    ),
    Fault(
        "a stranger's address is sent to the provider",
        "engine/choosing.py",
        "if address is None or not (of_guest or is_owner(principal, address)):",
        "if address is None:",
        ENGINE,
    ),
    Fault(
        "an anonymous caller gets the customer behind an address",
        "engine/customers.py",
        "if not principal.is_anonymous:\n                    raise _Existed",
        "if True:\n                    raise _Existed",
        ENGINE,
    ),
    Fault(
        "a guest's address that nobody proved owns rows",
        "engine/owners.py",
        "if principal.email is None or not principal.email_verified or not _is_guest(row):",
        "if principal.email is None or not _is_guest(row):",
        ENGINE,
    ),
    Fault(
        "an address that nobody proved converts",
        "engine/conversion.py",
        "if who is None or who.email is None or not who.email_verified:",
        "if who is None or who.email is None:",
        ENGINE,
    ),
    Fault(
        "a conversion under an open operation",
        "engine/conversion.py",
        "            if unit.operations.holder_of(row.id) is not None:\n                busy",
        "            if False:\n                busy",
        ENGINE,
    ),
    Fault(
        "the result of a call is not stored before the next",
        "engine/asking.py",
        "        if not kept:\n            raise",
        "        if False:\n            raise",
        ENGINE,
    ),
    Fault(
        "a call that was never sent forgets the one before it",
        "engine/asking.py",
        "        if calls.results:\n",
        "        if False:\n",
        ENGINE,
    ),
    Fault(
        "each look at a renewal is another payment",
        "engine/charges.py",
        "    if payment is None:\n        return None, (), ()\n",
        "    if True:\n        return None, (), ()\n",
        ENGINE,
    ),
    Fault(
        "another installation's subscription is believed",
        "engine/mirrors.py",
        "if truth.subscription_id is not None and truth.subscription_id != row.id:",
        "if False:",
        ENGINE,
    ),
    Fault(
        "a subscription begins late",
        "engine/rules.py",
        "Verb.CANCEL, Verb.CAPTURE, Verb.CANCEL_SUBSCRIPTION,",
        "Verb.CANCEL, Verb.CAPTURE, Verb.CREATE_SUBSCRIPTION, Verb.CANCEL_SUBSCRIPTION,",
        ENGINE,
    ),
    Fault(
        "a payer sets what a subscription costs",
        "engine/subscriptions.py",
        "if not principal.is_trusted and self.approve is None:",
        "if False:",
        ENGINE,
    ),
    Fault(
        "a method whose deletion got no answer can still be charged",
        "engine/subjects.py",
        "        return method_forgotten(row, now), open_still\n",
        "        return Change(row=row, changed=False), open_still\n",
        ENGINE,
    ),
)


SESSIONS: Final = ("tests/unit/auth",)
DOORS: Final = ("tests/acceptance/test_doors.py", "-k", "fresh_look or reveal")

_AT_THE_DOOR: Final = (
    Fault(
        "a revoked admin refunds until the cache forgets",
        "auth/sessions.py",
        "if max_age is not None and now - known.checked > max_age:",
        "if False:",
        SESSIONS,
    ),
    Fault(
        "an answer counts as fresh from when it came, not from when it was asked for",
        "auth/sessions.py",
        "            checked=began,",
        "            checked=self._timer(),",
        SESSIONS,
    ),
    Fault(
        "a session outlives what Flowless said of it",
        "auth/sessions.py",
        "ttl=lambda known: min(ttl, known.expires - timer())",
        "ttl=ttl",
        SESSIONS,
    ),
    Fault(
        "a refused session stays remembered as good",
        "auth/sessions.py",
        "        if identity is None:\n            cache.drop(key)",
        "        if identity is None:",
        SESSIONS,
    ),
    Fault(
        "a guest token makes an admin",
        "auth/sessions.py",
        "if kind is CredentialKind.GUEST:",
        "if kind is CredentialKind.GUEST and identity.user_type not in admin_types:",
        SESSIONS,
    ),
    Fault(
        "a session that its issuer did not call valid",
        "auth/flowless.py",
        'if outer.get("success") is not True or any(value is not True for value in valid):',
        'if outer.get("success") is not True:',
        SESSIONS,
    ),
    Fault(
        "somebody else's payment is told apart from none",
        "http/router.py",
        "if isinstance(error, NotYours) and route is not None and not route.reveals:",
        "if False:",
        ("tests/unit/http/test_router.py",),
    ),
    Fault(
        "what proves a webhook is thrown away",
        "engine/inbox.py",
        "beginnings = (*_KEPT_HEADERS, *signed)",
        "beginnings = _KEPT_HEADERS",
        _kit("proves_a_webhook"),
    ),
    Fault(
        "a card number as the payment method",
        "tripwire.py",
        '_METHODS: Final = frozenset({"payment_method", "payment_method_id", "token"})',
        "_METHODS: Final = frozenset()",
        ("tests/unit/http/test_bodies.py",),
    ),
    Fault(
        "a card number in other groups, or with an expiry behind it, as the payment method",
        "tripwire.py",
        'return holds_card_number(text) or any(map(_begins_with_card, text.split(":")))',
        "return holds_card_number(text)",
        ("tests/unit/test_tripwire.py",),
    ),
    Fault(
        "a card number that the merchant's own program hands on",
        "tripwire.py",
        "refuse_card_numbers({**dict(zip(names, args[1:], strict=False)), **kwargs})",
        "refuse_card_numbers({})",
        ("tests/unit/test_tripwire.py",),
    ),
    Fault(
        "a refund without a fresh look at who asks",
        "http/route.py",
        "return self.fresh is True or by_admin or self._reads_secret(method)",
        "return self.fresh is True or self._reads_secret(method)",
        DOORS,
    ),
    Fault(
        "whoever guesses sessions is not counted",
        "http/router.py",
        "            turn.quota = await self.bridge.limits.take(principal)",
        "            turn.quota = None if refused else await self.bridge.limits.take(principal)",
        ("tests/unit/http/test_router.py",),
    ),
)


NOUN_LIFE: Final = ("tests/acceptance/test_stripe_nouns.py",)
NOUN_KEYS: Final = _kit("lost_call or killed")
NOUN_LOOKUPS: Final = _kit("lost_call or noun_that_was_never")
_STRIPE_VERBS: Final = "providers/stripe/verbs"

_IN_STRIPE_NOUNS: Final = (
    Fault(
        "the calls of one verb share a key",
        "providers/base.py",
        'return f"{self.key}-{name}"',
        "return self.key",
        NOUN_KEYS,
    ),
    Fault(
        "a product for every subscription",
        "providers/stripe/subscriptions.py",
        'return {"id": product_id(name), "name": name}',
        'return {"name": name}',
        NOUN_LIFE,
    ),
    Fault(
        "another subscription of the time is taken for the lost one",
        f"{_STRIPE_VERBS}/subscriptions.py",
        "if stamp_of(each, REFERENCE) == evidence.reference:",
        "if True:",
        NOUN_LIFE,
    ),
    Fault(
        "a canceled subscription is not looked for",
        f"{_STRIPE_VERBS}/subscriptions.py",
        'query = {"status": "all", **',
        "query = {**",
        NOUN_LIFE,
    ),
    Fault(
        "another customer of the time is taken for the lost one",
        f"{_STRIPE_VERBS}/customers.py",
        "if stamp_of(each, REFERENCE) == evidence.reference:",
        "if True:",
        NOUN_LOOKUPS,
    ),
    Fault(
        "a lost set-up is proved absent by looking at nothing",
        f"{_STRIPE_VERBS}/payment_methods.py",
        "if stamp_of(each, REFERENCE) == evidence.reference:",
        "if False:",
        NOUN_LOOKUPS,
    ),
    Fault(
        "a change of a subscription carries no stamp",
        "providers/stripe/subscriptions.py",
        "marked(metadata or {}, {UPDATE_REFERENCE: reference})",
        "marked(metadata or {}, {})",
        NOUN_LOOKUPS,
    ),
    Fault(
        "a stranger's stored card may be brought",
        "providers/stripe/payment_methods.py",
        'return thing["object"] == "payment_method" and not _owner(thing)',
        'return thing["object"] == "payment_method"',
        _kit("nobodys"),
    ),
    Fault(
        "a token of a stranger's stored card may be brought",
        "providers/stripe/payment_methods.py",
        'return not _owner(thing.get("payment_method_preview") or {})',
        "return True",
        NOUN_LIFE,
    ),
    Fault(
        "a detached card is still good",
        "providers/stripe/payment_methods.py",
        "status=PaymentMethodStatus.ACTIVE if customer else PaymentMethodStatus.DELETED,",
        "status=PaymentMethodStatus.ACTIVE,",
        NOUN_LIFE,
    ),
    Fault(
        "a set-up that the payer has not agreed to can be charged",
        "providers/stripe/payment_methods.py",
        '"requires_action": PaymentMethodStatus.REQUIRES_ACTION,',
        '"requires_action": PaymentMethodStatus.ACTIVE,',
        STRIPE,
    ),
    Fault(
        "the payer is said to be there when nobody is",
        "providers/stripe/forms.py",
        "        if request.off_session:\n",
        "        if False:\n",
        NOUN_LIFE,
    ),
    Fault(
        "a method that was to be kept is not",
        "providers/stripe/forms.py",
        "    if request.setup_future_usage is not None:\n",
        "    if False:\n",
        NOUN_LIFE,
    ),
    Fault(
        "a new price is charged for the period that was paid already",
        "providers/stripe/subscriptions.py",
        'form["proration_behavior"] = "none"',
        'form["proration_behavior"] = "always_invoice"',
        NOUN_LIFE,
    ),
    Fault(
        "a renewal is counted that was never paid",
        "providers/stripe/subscriptions.py",
        "return charge.captured > 0 or charge.status in _COLLECTED",
        "return True",
        NOUN_LIFE,
    ),
    Fault(
        "a paused subscription is called active",
        "providers/stripe/subscriptions.py",
        "        return SubscriptionStatus.PAUSED\n",
        "        pass\n",
        STRIPE,
    ),
    Fault(
        "a trial is not asked for",
        "providers/stripe/subscriptions.py",
        "    if request.trial_days:\n",
        "    if False:\n",
        NOUN_LIFE,
    ),
    Fault(
        "an invoice's event leads nowhere",
        "providers/stripe/events.py",
        'if target.get("object") == "invoice":',
        "if False:",
        STRIPE,
    ),
    Fault(
        "a won dispute counts for ever",
        "providers/stripe/disputes.py",
        'if dispute["status"] in _TAKES_MONEY)',
        ")",
        STRIPE,
    ),
    Fault(
        "a customer of the other mode is taken for deleted",
        "providers/stripe/customers.py",
        'if "similar object exists" in gone.message:',
        "if False:",
        STRIPE,
    ),
)

FAULTS: Final = (
    _IN_ADAPTER + _IN_STRIPE_NOUNS + _IN_ENGINE + _IN_NOUNS + _IN_AUTHORIZE_NET + _IN_PAYPAL + _AT_THE_DOOR
)
