"""Money: an integer count of minor units and a currency. No float, no rounding, no locale data."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Context, Decimal, Inexact, InvalidOperation, Overflow
from typing import Final, Self

from ..errors import AmountNotRepresentable, InvalidRequest

__all__ = ["EXPONENTS", "MAX_MINOR_UNITS", "Money", "exponent_of"]

EXPONENTS: Final[Mapping[str, int]] = {
    # ISO 4217 amendment 179: every code whose exponent is not 2. Not CLDR: its display precision is
    # 0 for RSD, LAK, ISK and a dozen more, an error of factor 100 at the provider.
    **dict.fromkeys("BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF".split(), 0),
    **dict.fromkeys("BHD IQD JOD KWD LYD OMR TND".split(), 3),
    **dict.fromkeys("CLF UYW".split(), 4),
}

MAX_MINOR_UNITS: Final = 2**53 - 1
"""What every JSON reader keeps exactly, browsers included."""

_CODE: Final = re.compile(r"[A-Z]{3}")
_AMOUNT: Final = re.compile(r"[+-]?[0-9]{1,30}(?:\.[0-9]{1,30})?")

_EXACT: Final = Context(prec=64, traps=[Inexact, InvalidOperation, Overflow])
"""Our own: the thread's context may be anybody's, and even the default one rounds at 28 digits in silence."""


def exponent_of(currency: str) -> int:
    """Return how many decimal places the minor unit of *currency* has (ISO 4217)."""
    return EXPONENTS.get(currency, 2)


@dataclass(frozen=True, slots=True, order=False)
class Money:
    """``Money(2000, "USD")`` is twenty dollars; ``Money(2000, "JPY")`` is two thousand yen."""

    minor_units: int
    currency: str

    def __post_init__(self) -> None:
        if not _is_count(self.minor_units):
            raise InvalidRequest("an amount is an integer count of minor units", field="amount")
        if abs(self.minor_units) > MAX_MINOR_UNITS:
            raise InvalidRequest("the amount is absurdly large", field="amount")
        code = str(self.currency).upper()
        if not _CODE.fullmatch(code):
            raise InvalidRequest("a currency is three letters (ISO 4217)", field="currency")
        object.__setattr__(self, "currency", code)

    @classmethod
    def from_decimal(cls, value: Decimal | str, currency: str) -> Self:
        """Read major units (``"20.00"``). Refuses what has no exact minor form, floats included.

        Raises: AmountNotRepresentable.
        """
        if isinstance(value, float):
            raise AmountNotRepresentable("floats are not amounts: pass a string or a Decimal", field="amount")
        # Decimal() itself would also read "1_000", " 1 ", "1e3" and other scripts' digits.
        if not isinstance(value, Decimal) and not _AMOUNT.fullmatch(str(value)):
            raise AmountNotRepresentable(f"not a decimal amount of {currency}", field="amount")
        return cls(_whole(Decimal(value), exponent_of(currency.upper()), currency), currency)

    @classmethod
    def from_units(cls, units: int, currency: str, *, exponent: int) -> Self:
        """Read a count of *a provider's* units, whose exponent may differ from ISO's."""
        if not _is_count(units):
            raise AmountNotRepresentable("a count of units is an integer", field="amount")
        return cls(_whole(Decimal(units), exponent_of(currency.upper()) - exponent, currency), currency)

    def to_decimal(self) -> Decimal:
        """Return major units, with the currency's number of decimals."""
        return Decimal(self.minor_units).scaleb(-exponent_of(self.currency), _EXACT)

    def to_units(self, *, exponent: int) -> int:
        """Return a count of *a provider's* units. Raises AmountNotRepresentable instead of rounding."""
        return _whole(self.to_decimal(), exponent, self.currency)

    def __str__(self) -> str:
        return f"{self.to_decimal():f} {self.currency}"

    def __add__(self, other: Money) -> Money:
        return Money(self.minor_units + self._like(other), self.currency)

    def __sub__(self, other: Money) -> Money:
        return Money(self.minor_units - self._like(other), self.currency)

    def __lt__(self, other: Money) -> bool:
        return self.minor_units < self._like(other)

    def __le__(self, other: Money) -> bool:
        return self.minor_units <= self._like(other)

    def _like(self, other: Money) -> int:
        if other.currency != self.currency:
            raise InvalidRequest(f"{self.currency} and {other.currency} do not mix", field="currency")
        return other.minor_units


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _whole(value: Decimal, shift: int, currency: str) -> int:
    """Return *value* times ten to the *shift*, if that is a whole number."""
    if value.is_finite() and value.adjusted() < 30:  # a number of a million digits is not worth computing
        try:
            scaled = value.scaleb(shift, _EXACT)
        except (Inexact, InvalidOperation):
            pass
        else:
            if scaled == scaled.to_integral_value():
                return int(scaled)
    raise AmountNotRepresentable(f"{value:.40} is not a whole number of units of {currency}", field="amount")
