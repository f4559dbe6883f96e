"""
What a caller may pay with, and for whom (rule 22).

A stored method or customer is usable only through our row, by its owner or the merchant. A provider's
reference without a row is taken from strangers only if its provider says that whoever brings it may use it.
What is refused here is refused before anything is sent, and after the Idempotency-Key was looked at: the
repeat of a request whose one-time token is used up still hears what the first one came to.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, fields, replace
from typing import Final

from ..errors import BridgeError, IllegalState, InvalidRequest, NotFound, ProviderError, Unavailable
from ..models import (
    ID_PATTERN,
    Address,
    Customer,
    PaymentMethod,
    Principal,
    Verb,
    email_key,
    is_own_id,
)
from ..providers.base import BillingDetails
from ..stores.base import Unit
from .customers import CustomerVerbs
from .drafting import check_method
from .inputs import digest
from .owners import Owner, is_owner

__all__ = ["Choices", "Chosen", "billing_of"]

log: logging.Logger = logging.getLogger(__name__)

_LONGEST_REFERENCE: Final = 255
_LONGEST_ADDRESS: Final = 64
"""What rows that refer to one have room for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """A method, or a customer, that a caller named: what the provider calls it, and why it is refused."""

    principal: Principal
    reference: str | None = field(default=None, repr=False)
    """The provider's word for the method: a stored one's, or a one-time token."""
    method: PaymentMethod | None = None
    customer: Customer | None = None
    """Named by the caller, or the one that the method belongs to."""
    customer_reference: str | None = None
    refusal: BridgeError | None = None

    def checked(self, unit: Unit) -> None:
        """Look again, in the transaction that reserves. Raises what speaks against it."""
        if self.refusal is not None:
            raise self.refusal
        if self.method is not None:
            now = unit.payment_methods.get(self.method.id)
            if now is None or (now.version != self.method.version and not _same(now, self.method)):
                raise IllegalState("The payment method changed meanwhile; choose again")

    @property
    def method_id(self) -> str | None:
        """Return what a row refers to it by: our id, or a token that is short enough to be one."""
        if self.method is not None:
            return self.method.id
        return self.reference if self.reference and ID_PATTERN.match(self.reference) else None


def _same(now: PaymentMethod, seen: PaymentMethod) -> bool:
    return (
        now.is_usable
        and (now.user_id, now.guest_email) == (seen.user_id, seen.guest_email)
        and now.provider_payment_method_id == seen.provider_payment_method_id
    )


class Choices(CustomerVerbs):
    """The part of the engine that turns what a caller names into what its provider knows."""

    async def choose(
        self,
        provider_id: str,
        principal: Principal,
        *,
        method: str | None = None,
        customer: str | None = None,
    ) -> Chosen:
        """Find what was named, by our id or the provider's. Refusals are in the answer, raised later."""
        check_method(method)
        if method is None and customer is None:
            return Chosen(principal=principal)
        row, owner, named = await self.store.run(
            lambda unit: _rows(unit, provider_id, method, customer), write=False
        )
        refusal = None
        if method is not None:
            refusal = (
                _unusable(row, provider_id, principal)
                if row is not None
                else await self._strange(provider_id, method, principal)
            )
        if refusal is None and customer is not None:
            refusal = _not_theirs(named, owner, provider_id, principal, method=row)
        chosen = named or owner
        raw = customer if chosen is None and principal.is_trusted else None
        return Chosen(
            principal=principal,
            reference=row.provider_payment_method_id if row is not None else method,
            method=row,
            customer=chosen,
            customer_reference=chosen.provider_customer_id if chosen is not None else raw,
            refusal=refusal,
        )

    async def _strange(self, provider_id: str, token: str, principal: Principal) -> BridgeError | None:
        """Say why a reference without a row of ours may not be used."""
        if is_own_id("pm", token):
            return NotFound("Payment method not found")
        if principal.is_trusted:
            return None
        try:
            with self.asking(provider_id, "owns_payment_method"):
                owns = await self.provider(provider_id).owns_payment_method(token)
        except ProviderError as error:
            return Unavailable(f"The payment method could not be checked: {error}")
        if owns:
            return None
        return InvalidRequest("Invalid payment method: it is not yours to use", field="payment_method_id")

    async def ensure_customer(
        self, provider_id: str, owner: Owner, principal: Principal, *, idempotency_key: str | None
    ) -> Customer | None:
        """Return the owner's customer at an account, made now if need be; None where there can be none."""
        gateway = self.provider(provider_id)
        if not gateway.supports(Verb.CREATE_CUSTOMER) or (owner.user_id is None and owner.guest is None):
            return None
        # Hashed: a key may be as long as the column is.
        key = digest({"customer of": idempotency_key}) if idempotency_key is not None else None
        made = await self.create_customer(
            provider=provider_id,
            guest=owner.guest,
            user_id=owner.user_id if principal.is_trusted else None,
            idempotency_key=key,
            principal=principal,
        )
        return made.customer

    async def customer_to_keep_with(
        self, provider_id: str, owner: Owner, principal: Principal, *, idempotency_key: str | None
    ) -> Customer | None:
        """As `ensure_customer`, for a payment that goes on without: keeping a method never fails it."""
        try:
            return await self.ensure_customer(provider_id, owner, principal, idempotency_key=idempotency_key)
        except BridgeError as error:
            log.warning("no customer to keep a payment method for: %s", error)
            return None

    async def choose_address(
        self, address_id: str | None, principal: Principal, owner: Owner
    ) -> Address | None:
        """Return the address that was named, if it is the caller's or, for a guest, of the typed e-mail.

        Raises: NotFound, InvalidRequest.
        """
        if address_id is None:
            return None
        if not ID_PATTERN.match(address_id) or len(address_id) > _LONGEST_ADDRESS:
            raise InvalidRequest("is not an identity", field="billing_address_id")
        address = await self.store.run(lambda unit: unit.addresses.get(address_id), write=False)
        if address is None and principal.is_trusted:
            return None  # an address of the merchant's own books
        typed = email_key(owner.guest_email or "")
        of_guest = (
            address is not None
            and principal.is_anonymous
            and address.is_guest
            and typed != ""
            and email_key(address.guest_email or "") == typed
        )
        if address is None or not (of_guest or is_owner(principal, address)):
            raise NotFound(f"Billing address not found: {address_id}")
        return address


def _rows(
    unit: Unit, provider_id: str, method: str | None, customer: str | None
) -> tuple[PaymentMethod | None, Customer | None, Customer | None]:
    """Read the method, the customer that it belongs to, and the customer that was named."""
    row = owner = named = None
    if method is not None and is_own_id("pm", method):
        row = unit.payment_methods.get(method)
    elif method is not None and len(method) <= _LONGEST_REFERENCE:
        row = unit.payment_methods.get_by_reference(provider_id, method)
    if row is not None and row.customer_id is not None:
        owner = unit.customers.get(row.customer_id)
    if customer is not None and is_own_id("cust", customer):
        named = unit.customers.get(customer)
    elif customer is not None:
        named = unit.customers.get_by_reference(provider_id, customer)
    return row, owner, named


def _unusable(row: PaymentMethod, provider_id: str, principal: Principal) -> BridgeError | None:
    if not is_owner(principal, row):
        return NotFound("Payment method not found")
    if row.provider_id != provider_id:
        return InvalidRequest(f"belongs to the account {row.provider_id}", field="payment_method_id")
    if not row.is_usable:
        return IllegalState(
            "The payment method cannot be charged", details={"current_status": row.status.value}
        )
    return None


def _not_theirs(
    named: Customer | None,
    owner: Customer | None,
    provider_id: str,
    principal: Principal,
    *,
    method: PaymentMethod | None,
) -> BridgeError | None:
    if named is None:
        return None if principal.is_trusted else NotFound("Customer not found")
    if named.is_deleted or not is_owner(principal, named):
        return NotFound("Customer not found")
    if named.provider_id != provider_id:
        return InvalidRequest(f"belongs to the account {named.provider_id}", field="customer_id")
    if method is not None and owner is not None and owner.id != named.id:
        return InvalidRequest("the payment method belongs to another customer", field="customer_id")
    return None


def billing_of(address: Address | None, given: BillingDetails | None) -> BillingDetails | None:
    """Return who is billed: the stored address, and what was given besides wins. Pure."""
    if address is None:
        return given
    stored = BillingDetails(
        name=address.name,
        email=address.email,
        phone=address.phone,
        line1=address.line1,
        line2=address.line2,
        city=address.city,
        state=address.state,
        postal_code=address.postal_code,
        country=address.country,
    )
    if given is None:
        return stored
    said = {part.name: value for part in fields(given) if (value := getattr(given, part.name)) is not None}
    return replace(stored, **said)
