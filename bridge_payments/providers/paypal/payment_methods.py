"""What PayPal's vault keeps, as the engine asks it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ...errors import ProviderError, ProviderNotFound, ProviderStateConflict
from ...models import PaymentMethodStatus, Verb
from ..base import (
    Absent,
    CannotSay,
    Evidence,
    Found,
    Lookup,
    PaymentMethodConfirmation,
    PaymentMethodDeletion,
    PaymentMethodRequest,
    ProviderMethod,
    Step,
)
from . import forms
from .account import READ, Account, Budget, refusal, unsent
from .objects import Json, text_or_none
from .vault import alike, method_from, payment_token_form, setup_form, setup_from, tokens_of

if TYPE_CHECKING:
    from .client import Answer

__all__ = ["PaymentMethods"]

_USED = frozenset({"VAULTED", "TOKENIZED"})
_NEVER_AGREED = Absent("a set-up keeps nothing until its payer agrees, and nobody was given this one")


class PaymentMethods(Account):
    """Set-ups and what was kept of them. PayPal cannot change what is kept: it is deleted and kept anew."""

    async def create_payment_method(self, request: PaymentMethodRequest, *, step: Step) -> ProviderMethod:
        """Begin a set-up; with a token (an approved set-up of the browser's), keep what it stands for."""
        budget = Budget(step)
        if request.token is not None:
            return await self._kept(request.token, step, budget)
        options = {"body": setup_form(request), "paypal_request_id": step.key}
        answer = await self._client.write(
            lambda sdk: sdk.vault.create_setup_token(options),
            deadline=budget.left,
            repeat=step.repeat,
            instrument=True,
        )
        return _setup(answer)

    async def confirm_payment_method(
        self, request: PaymentMethodConfirmation, *, step: Step
    ) -> ProviderMethod:
        """Keep what the payer agreed to. Who has not agreed yet is sent on, and nothing is asked."""
        return await self._kept(request.setup, step, Budget(step))

    async def delete_payment_method(self, request: PaymentMethodDeletion, *, step: Step) -> ProviderMethod:
        """Forget it. What PayPal does not know any more is forgotten, and so is a set-up nobody agreed to."""
        token = forms.checked_id(request.payment_method, "payment_method")
        try:
            answer = await self._client.write(
                lambda sdk: sdk.vault.delete_payment_token(token), deadline=step.deadline, repeat=False
            )
        except ProviderNotFound as error:
            return _gone(token, error.request_id)
        return _gone(token, answer.request_id)

    async def sync_payment_method(self, reference: str) -> ProviderMethod:
        """Read what is kept, or the set-up that leads to it."""
        try:
            return _method(await self._token(reference, deadline=READ))
        except ProviderNotFound as error:
            missing = error
        try:
            setup = await self._setup_token(reference, deadline=READ)
        except ProviderNotFound:
            raise missing from None
        if not setup.read(_is_used):
            return _setup(setup)
        made = await self._made_of(setup)
        return _setup(setup) if made is None else made

    async def owns_payment_method(self, token: str) -> bool:
        """A word that names no instrument is anybody's; of PayPal's objects, an agreed set-up not yet used.

        One that we made has a row of ours, whose owner decides; what is kept is never brought (rule 22).
        """
        if not forms.is_stored(token):
            return True
        try:
            setup = await self._setup_token(token, deadline=READ)
        except ProviderNotFound:
            return False
        return setup.read(
            lambda read: (
                read["status"] == "APPROVED"
                and not str((read.get("customer") or {}).get("merchant_customer_id", "")).startswith("pm_")
            )
        )

    # --- look-up ----------------------------------------------------------------------------------

    async def _find_method(self, evidence: Evidence) -> Lookup:
        if evidence.verb is Verb.DELETE_METHOD:
            return await self._find_deletion(evidence)
        setup_id = text_or_none(evidence.inputs.get("setup")) or text_or_none(evidence.inputs.get("token"))
        if setup_id is None and evidence.verb is Verb.CREATE_METHOD:
            return _NEVER_AGREED
        setup_id = setup_id or evidence.subject
        if setup_id is None:
            return CannotSay("the operation has no set-up that could be read")
        setup = await self._setup_token(setup_id, deadline=READ)
        if not setup.read(_is_used):
            return Absent(f"the set-up is {setup.read(lambda read: read['status'])}: nothing was made of it")
        made = await self._made_of(setup)
        if made is None:
            return CannotSay("the set-up was used, and which method was made of it cannot be told")
        return Found(method=made)

    async def _find_deletion(self, evidence: Evidence) -> Lookup:
        token = text_or_none(evidence.inputs.get("payment_method")) or evidence.subject
        if token is None:
            return CannotSay("the operation has no method that could be read")
        try:
            await self._token(token, deadline=READ)
        except ProviderNotFound:
            return Found(method=_gone(token, None))
        return Absent("the method is still kept")

    # --- asking -----------------------------------------------------------------------------------

    async def _kept(self, setup_id: str, step: Step, budget: Budget) -> ProviderMethod:
        """Make a set-up into what can be charged, once; read first what became of it."""
        try:
            setup = await self._setup_token(setup_id, deadline=min(budget.left, READ))
            made = await self._made_of(setup) if setup.read(_is_used) else None
        except ProviderError as error:
            raise unsent(error, step) from None
        if made is not None:
            return made
        if setup.read(_is_used):
            raise refusal(ProviderStateConflict, "The set-up was used, for a method that is not known", step)
        if setup.read(lambda read: read["status"]) != "APPROVED":
            return _setup(setup)
        options = {"body": payment_token_form(setup_id), "paypal_request_id": step.key}
        try:
            answer = await self._client.write(
                lambda sdk: sdk.vault.create_payment_token(options),
                deadline=budget.left,
                repeat=step.repeat,
                instrument=True,
            )
        except ProviderStateConflict as error:
            # Somebody was faster: what was made then is the answer.
            conflict = error
        else:
            return _method(answer, setup=setup_id)
        try:
            made = await self._made_of(await self._setup_token(setup_id, deadline=budget.left))
        except ProviderError:
            made = None
        if made is None:
            raise conflict
        return made

    async def _setup_token(self, identity: str, *, deadline: float) -> Answer:
        token = forms.checked_id(identity, "setup")
        return await self._client.read(lambda sdk: sdk.vault.get_setup_token(token), deadline=deadline)

    async def _made_of(self, setup: Answer) -> ProviderMethod | None:
        """Return the method that was made of a used set-up: of its customer's, the one that is like it."""
        customer = setup.read(lambda read: text_or_none((read.get("customer") or {}).get("id")))
        if customer is None:
            return None
        options = {"customer_id": customer, "page_size": 20, "page": 1, "total_required": False}
        try:
            listing = await self._client.read(
                lambda sdk: sdk.vault.list_customer_payment_tokens(options), deadline=READ
            )
        except ProviderNotFound:
            return None
        tokens: Sequence[Json] = listing.read(tokens_of)
        found = setup.read(lambda read: alike(read, tokens))
        if len(found) != 1:
            return None
        identity = setup.read(lambda read: read["id"])
        return listing.read(lambda _: method_from(found[0], setup=identity, request_id=listing.request_id))


def _method(answer: Answer, **more: Any) -> ProviderMethod:
    return answer.read(lambda token: method_from(token, request_id=answer.request_id, **more))


def _setup(answer: Answer) -> ProviderMethod:
    return answer.read(lambda token: setup_from(token, request_id=answer.request_id))


def _is_used(setup: Json) -> bool:
    return setup["status"] in _USED


def _gone(token: str, request_id: str | None) -> ProviderMethod:
    return ProviderMethod(reference=token, type="", status=PaymentMethodStatus.DELETED, request_id=request_id)
