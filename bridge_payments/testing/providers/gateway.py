"""The other side of a provider under test: what the suite may ask of it, and how it is told to misbehave."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NoReturn

from ...models import Money, Noun

__all__ = ["GatewayControl", "Instruction", "Moved", "NotChecked"]


class NotChecked(Exception):
    """Something that this gateway cannot show. The test that needed it is skipped and names it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """Money that moved at the gateway, in our unit: never computed with the code under test."""

    payment: str
    """The gateway's reference of the payment."""
    amount: Money


@dataclass(frozen=True, slots=True, kw_only=True)
class Instruction:
    """One request that arrived and may change something. Reads and logins are none."""

    what: str
    """Such as ``POST /charges``."""
    key: str | None = None
    """The idempotency key that it carried."""
    body: str = field(default="", repr=False)
    """What it said, as text: equal for equal requests."""


class GatewayControl(ABC):
    """Derive from this beside the fake of a gateway. Six methods are required; the others are abilities.

    A test that needs an ability which is not overridden is skipped, and the skip names it: what was not
    checked is always told. Objects may be fakes of their own or thin controls of a fake that exists.
    """

    url: str = ""
    """Where it listens, ``http://127.0.0.1:4711``. Whatever host the provider addresses, the suite's
    transport leads it there. Empty for a gateway that is called in this process."""
    succeeds: str = ""
    """A payment method that is charged; may be used again and again."""
    declines: str = ""
    """A payment method that is declined."""
    challenges: str = ""
    """A payment method whose holder has to answer a challenge first."""
    payer_chooses: bool = False
    """The payer chooses a method on the gateway's own page, by `approve`; a confirm names none."""
    settles_later: bool = False
    """Refunds have to wait for `settle`."""
    signs_time: bool = True
    """Whether a signature covers the moment at which it was made."""

    # --- required ----------------------------------------------------------------------------------

    @abstractmethod
    def charges(self) -> Sequence[Moved]:
        """Return all money that was collected, a line per collection, oldest first. Held money is not."""

    @abstractmethod
    def refunds(self) -> Sequence[Moved]:
        """Return all money that was given back or is on its way back, oldest first."""

    @abstractmethod
    def requests(self) -> Sequence[Instruction]:
        """Return every instruction that arrived, oldest first, whatever became of it."""

    @abstractmethod
    def lose_next_answer(self) -> None:
        """Carry out the next instruction, and let its answer be lost on the way."""

    @abstractmethod
    def events(self) -> Sequence[bytes]:
        """Return the body of every webhook that was announced, oldest first, exactly as it would be sent."""

    @abstractmethod
    def signed_webhook(self, body: bytes, *, at: datetime, other_account: bool = False) -> Mapping[str, str]:
        """Return the headers with which *body* would be delivered at the moment *at*.

        *body* need not be one of `events`: whatever it is, it is signed. With *other_account* the
        signature is right, but another account's.
        """

    # --- abilities ---------------------------------------------------------------------------------

    def approve(self, reference: str, method: str) -> None:
        """Let the payer agree in the gateway's own page, where it has one: before a payment is confirmed."""
        return

    def answer_challenge(self, reference: str, *, passed: bool) -> None:
        """Let the payer answer the challenge of a payment."""
        self._cannot("challenge a payer (answer_challenge)")

    def hang_next(self) -> None:
        """Carry out the next instruction and never answer it."""
        self._cannot("be silent (hang_next)")

    def break_next(self) -> None:
        """Answer the next instruction with an error of the gateway's own (a 500), and do nothing."""
        self._cannot("break down (break_next)")

    def garble_next(self) -> None:
        """Carry out the next instruction and answer something that nobody can read."""
        self._cannot("answer nonsense (garble_next)")

    def new_token(self, *, declined: bool = False) -> str | None:
        """Return a one-time token, as the payer's browser would bring it to be stored.

        With *declined*, one of a method that is refused. None: the gateway takes no tokens, and the payer
        agrees on its own page (`agree`).
        """
        self._cannot("make a token to be stored (new_token)")

    def agree(self, reference: str) -> None:
        """Let the payer agree to a set-up, or to a subscription, on the gateway's own page."""
        self._cannot("let a payer agree (agree)")

    def objects(self, noun: Noun) -> Sequence[str]:
        """Return the reference of each customer, stored method or subscription that is there now.

        A method is stored once the payer agreed, or its set-up was begun: one or the other, and once.
        """
        self._cannot("say which customers, methods and subscriptions there are (objects)")

    def renew(self, subscription: str) -> None:
        """Let a period of a subscription end, and its renewal be collected."""
        self._cannot("renew a subscription (renew)")

    def settle(self) -> None:
        """Let the day pass after which collected money can be refunded."""
        self._cannot("settle later (settle)")

    def invent_status(self, reference: str) -> None:
        """Report a payment in a status that nobody has ever heard of."""
        self._cannot("invent a status (invent_status)")

    def secrets(self) -> Sequence[str]:
        """Return what the provider was given and may show to nobody: API keys, signing secrets."""
        self._cannot("say which secrets the provider holds (secrets)")

    def close(self) -> None:
        """End what was started for one test."""
        return

    def _cannot(self, what: str) -> NoReturn:
        raise NotChecked(f"{type(self).__name__} cannot {what}")
