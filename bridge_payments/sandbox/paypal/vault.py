"""The vault (v3): set-up tokens that a payer agrees to, and payment tokens that can be charged.

From PayPal's documentation (2026-11, https://developer.paypal.com/api/payment-tokens/v3 and its errors):

* a set-up token is used once: SETUP_TOKEN_ALREADY_TOKENIZED; unapproved it is PAYER_ACTION_REQUIRED;
* it lives for three days; `merchant_customer_id` is given back, `customer.id` is PayPal's own;
* without `permit_multiple_payment_tokens` one payer has one token at one merchant, whoever asks
  (vault_payment_tokens_v3 3.1);
* deleting has no answer 404 (the same): what is gone is gone.
"""

from __future__ import annotations

import secrets
import string
from datetime import timedelta
from typing import Any, Final

from .books import Books, Json
from .instruments import INSTRUMENTS, Instrument
from .problems import Problem, invalid, missing_object, refused

__all__ = ["Vault"]

_LIFE: Final = timedelta(days=3)
_SOURCES: Final = ("card", "paypal", "venmo")
_LETTERS: Final = string.ascii_lowercase + string.digits


class Vault:
    def __init__(self, books: Books) -> None:
        self._books = books
        self.late = False
        """Whether what an order keeps is kept only when `finish` is called."""

    # --- set-ups ------------------------------------------------------------------------------------

    def create_setup(self, wish: Json) -> Json:
        source, details = self._source(wish)
        if source != "card" and not (details.get("experience_context") or {}).get("return_url"):
            raise invalid("MISSING_REQUIRED_PARAMETER", "A required field is missing.")
        identity = self._books.new_id()
        made: Json = {
            "id": identity,
            "customer": self.customer(wish.get("customer")),
            "status": "CREATED" if source == "card" else "PAYER_ACTION_REQUIRED",
            "payment_source": {source: {}},
            "links": [
                self._books.link(f"/v3/vault/setup-tokens/{identity}", "self"),
                *([self._books.link(f"/_agree/{identity}", "approve")] if source != "card" else []),
            ],
        }
        self._books.setups[identity] = made
        self._books.notes[identity] = {
            "until": self._books.later(_LIFE),
            "several": details.get("permit_multiple_payment_tokens") is True,
            "back": (details.get("experience_context") or {}).get("return_url", ""),
        }
        return made

    def setup(self, identity: str) -> Json:
        found = self._books.setups.get(identity)
        if found is None or self._books.notes[identity]["until"] <= self._books.now():
            raise missing_object()
        return found

    def agree(self, identity: str, instrument: str) -> Json:
        """The payer agrees on PayPal's page, or types a card into PayPal's fields."""
        setup, chosen = self.setup(identity), INSTRUMENTS[instrument]
        if chosen.source not in setup["payment_source"] or setup["status"] not in (
            "CREATED",
            "PAYER_ACTION_REQUIRED",
        ):
            raise refused("PAYMENT_SOURCE_CANNOT_BE_USED", "This set-up cannot be approved with it.")
        setup |= {"status": "APPROVED", "payment_source": {chosen.source: shown(chosen)}}
        setup["links"] = setup["links"][:1]
        self._books.notes[identity]["instrument"] = instrument
        return setup

    # --- what is kept -------------------------------------------------------------------------------

    def create_token(self, wish: Json) -> Json:
        token = (wish.get("payment_source") or {}).get("token") or {}
        if token.get("type") != "SETUP_TOKEN" or not token.get("id"):
            raise invalid("INVALID_PARAMETER_VALUE", "This gateway keeps what a set-up token stands for.")
        setup = self.setup(token["id"])
        if setup["status"] in ("VAULTED", "TOKENIZED"):
            raise refused(
                "SETUP_TOKEN_ALREADY_TOKENIZED",
                "The setup token has been used previously to generate a payment token.",
            )
        if setup["status"] != "APPROVED":
            raise refused("PAYER_ACTION_REQUIRED", "Please make sure setup up token is approved.")
        note = self._books.notes[setup["id"]]
        chosen = INSTRUMENTS[note["instrument"]]
        if chosen.response_code == "5400":
            raise refused("CARD_EXPIRED", "The card is expired.")
        setup["status"] = "VAULTED"
        return self.keep(chosen, note["instrument"], setup["customer"], several=note["several"])

    def keep(
        self, chosen: Instrument, instrument: str, customer: Json, *, several: bool, order: str | None = None
    ) -> Json:
        known = next(
            (each for each in self._books.tokens.values() if chosen.source in each["payment_source"]), None
        )
        if known is not None and chosen.source != "card" and not several:
            return known
        identity = "".join(secrets.choice(_LETTERS) for _ in range(17))
        made: Json = {
            "id": identity,
            "customer": customer,
            "payment_source": {chosen.source: shown(chosen)},
            "links": [
                self._books.link(f"/v3/vault/payment-tokens/{identity}", "self"),
                self._books.link(f"/v3/vault/payment-tokens/{identity}", "delete", "DELETE"),
            ],
        }
        self._books.tokens[identity] = made
        self._books.notes[identity] = {"instrument": instrument}
        self._told("CREATED", made, order)
        return made

    def token(self, identity: str) -> Json:
        found = self._books.tokens.get(identity)
        if found is None:
            raise missing_object()
        return found

    def delete(self, identity: str) -> None:
        gone = self._books.tokens.pop(identity, None)
        if gone is not None:
            self._told("DELETED", gone, None)

    def listed(self, customer: str) -> Json:
        if not customer:
            raise invalid("MISSING_REQUIRED_PARAMETER", "A required field is missing.")
        tokens = [each for each in self._books.tokens.values() if each["customer"]["id"] == customer]
        return {
            "customer": {"id": customer},
            "payment_tokens": tokens,
            "links": [self._books.link(f"/v3/vault/payment-tokens?customer_id={customer}", "self")],
        }

    # --- charging and keeping with an order -----------------------------------------------------------

    def pays(self, source: Json) -> tuple[str, str]:
        """Return the instrument and the token that a payment source names."""
        names = list(source)
        if len(names) != 1 or names[0] not in _SOURCES or "vault_id" not in (source[names[0]] or {}):
            raise invalid("INVALID_PARAMETER_VALUE", "This gateway is paid with what is kept.")
        identity = source[names[0]]["vault_id"]
        token = self._books.tokens.get(identity)
        if token is None or names[0] not in token["payment_source"]:
            raise Problem(
                404, "RESOURCE_NOT_FOUND", "INVALID_RESOURCE_ID", "Specified resource ID does not exist."
            )
        return self._books.notes[identity]["instrument"], identity

    def note_wish(self, order: str, source: Json) -> None:
        """Remember that an order is to keep what pays it."""
        for name, details in source.items():
            attributes = (details or {}).get("attributes") or {}
            if (attributes.get("vault") or {}).get("store_in_vault") == "ON_SUCCESS":
                self._books.notes[f"keep.{order}"] = {
                    "source": name,
                    "customer": attributes.get("customer"),
                    "several": attributes["vault"].get("permit_multiple_payment_tokens") is True,
                }

    def keep_of(self, order: Json, instrument: str) -> None:
        """An order was paid: keep what paid it, if it was to be kept; or say that it will be."""
        wish = self._books.notes.get(f"keep.{order['id']}")
        chosen = INSTRUMENTS[instrument]
        if wish is None or wish["source"] != chosen.source or chosen.outcome in ("declined", "refused"):
            return
        wish["instrument"] = instrument
        source = order["payment_source"][chosen.source]
        if self.late:
            source["attributes"] = {"vault": {"status": "APPROVED"}}
            return
        self.finish(order)

    def finish(self, order: Json) -> Json:
        """Keep what *order* was told to keep."""
        wish = self._books.notes[f"keep.{order['id']}"]
        chosen = INSTRUMENTS[wish["instrument"]]
        made = self.keep(
            chosen,
            wish["instrument"],
            self.customer(wish["customer"]),
            several=wish["several"],
            order=order["id"],
        )
        order["payment_source"][chosen.source]["attributes"] = {
            "vault": {
                "id": made["id"],
                "status": "VAULTED",
                "customer": {"id": made["customer"]["id"]},
                "links": made["links"],
            }
        }
        return made

    def customer(self, given: Any) -> Json:
        given = given or {}
        identity = given.get("id") or "".join(secrets.choice(string.ascii_letters) for _ in range(10))
        ours = given.get("merchant_customer_id")
        return {"id": identity, **({"merchant_customer_id": ours} if ours else {})}

    def _source(self, wish: Json) -> tuple[str, Json]:
        source = wish.get("payment_source")
        if not isinstance(source, dict) or len(source) != 1 or next(iter(source)) not in _SOURCES:
            raise invalid("INVALID_PARAMETER_VALUE", "This gateway keeps PayPal, Venmo and cards.")
        name = next(iter(source))
        return name, source[name] or {}

    def _told(self, word: str, token: Json, order: str | None) -> None:
        told = {**token, **({"metadata": {"order_id": order}} if order else {})}
        self._books.emit(
            f"VAULT.PAYMENT-TOKEN.{word}",
            "payment_token",
            told,
            f"A payment token has been {word.lower()}.",
            version="3.0",
        )


def shown(chosen: Instrument) -> Json:
    """Return what a token shows of an instrument."""
    if chosen.source == "card":
        return {"last_digits": chosen.last_digits, "brand": "VISA", "expiry": "2031-08"}
    return {"email_address": "payer@example.com", "payer_id": "SANDBXPAYER22"}
