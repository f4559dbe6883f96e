"""Money: an integer count of minor units and a currency. No float, no rounding, no locale data."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
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

_CODE: Final = re.compile(r"^[A-Z]{3}$")


def exponent_of(currency: str) -> int:
    """Return how many decimal places the minor unit of *currency* has (ISO 4217)."""
    return EXPONENTS.get(currency, 2)


@dataclass(frozen=True, slots=True, order=False)
class Money:
    """``Money(2000, "USD")`` is twenty dollars; ``Money(2000, "JPY")`` is two thousand yen."""

    minor_units: int
    currency: str

    def __post_init__(self) -> None:
        if not isinstance(self.minor_units, int) or isinstance(self.minor_units, bool):
            raise InvalidRequest("an amount is an integer count of minor units", field="amount")
        if abs(self.minor_units) > MAX_MINOR_UNITS:
            raise InvalidRequest("the amount is absurdly large", field="amount")
        code = self.currency.upper() if isinstance(self.currency, str) else ""
        if not _CODE.match(code):
            raise InvalidRequest("a currency is three letters (ISO 4217)", field="currency")
        object.__setattr__(self, "currency", code)

    @classmethod
    def from_decimal(cls, value: Decimal | str, currency: str) -> Self:
        """Read major units (``"20.00"``). Refuses what has no exact minor form, floats included.

        Raises: AmountNotRepresentable.
        """
        if isinstance(value, float):
            raise AmountNotRepresentable("floats are not amounts: pass a string or a Decimal", field="amount")
        try:
            scaled = Decimal(value).scaleb(exponent_of(currency.upper()))
        except InvalidOperation:
            raise AmountNotRepresentable(f"not a decimal amount of {currency}", field="amount") from None
        return cls(_whole(scaled, currency), currency)

    @classmethod
    def from_units(cls, units: int, currency: str, *, exponent: int) -> Self:
        """Read a count of *a provider's* units, whose exponent may differ from ISO's."""
        scaled = Decimal(units).scaleb(exponent_of(currency.upper()) - exponent)
        return cls(_whole(scaled, currency), currency)

    def to_decimal(self) -> Decimal:
        """Return major units, with the currency's number of decimals."""
        return Decimal(self.minor_units).scaleb(-exponent_of(self.currency))

    def to_units(self, *, exponent: int) -> int:
        """Return a count of *a provider's* units. Raises AmountNotRepresentable instead of rounding."""
        return _whole(self.to_decimal().scaleb(exponent), self.currency)

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


def _whole(value: Decimal, currency: str) -> int:
    if not value.is_finite() or value != value.to_integral_value():
        shown = value.normalize() if value.is_finite() else value
        raise AmountNotRepresentable(f"{shown} is not a whole number of units of {currency}", field="amount")
    return int(value)
