"""What the shop sells, in three currencies, and what an order costs. Prices live here and nowhere else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from ..models import Pricing

__all__ = ["CURRENCIES", "NAME", "PRODUCTS", "Product", "price_of"]

NAME: Final = "Tern & Kettle"

CURRENCIES: Final = ("USD", "EUR", "JPY")

# Per cent, added to the prices below. A shop of yours asks somebody who knows.
_TAX: Final[Mapping[str, int]] = {"USD": 8, "EUR": 20, "JPY": 10}


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    sku: str
    name: str
    line: str
    """One line under the name."""
    prices: Mapping[str, int]
    """In minor units of each currency, without tax."""


def _product(sku: str, name: str, line: str, usd: int, eur: int, jpy: int) -> Product:  # noqa: PLR0917 - a table
    return Product(sku=sku, name=name, line=line, prices={"USD": usd, "EUR": eur, "JPY": jpy})


PRODUCTS: Final[Mapping[str, Product]] = {
    product.sku: product
    for product in (
        _product("guji", "Guji Highland", "Whole bean, 250 g. Apricot, jasmine, honey.", 1850, 1650, 2700),
        _product("night", "Night Harbour", "Whole bean, 250 g. Cocoa, walnut, plum.", 1600, 1450, 2400),
        _product("dripper", "Stoneware dripper", "For one or two cups. Thrown in Porto.", 3400, 3100, 5100),
        _product("kettle", "Gooseneck kettle", "0.9 litres, enamelled steel.", 6900, 6400, 10400),
        _product("grinder", "Hand grinder", "38 mm steel burrs, 24 steps.", 11900, 10900, 17800),
        _product("cups", "Pair of cups", "Stoneware, 180 ml, dishwasher safe.", 2800, 2600, 4200),
    )
}


def price_of(items: Mapping[str, int], currency: str) -> Pricing:
    """Return what *items* (quantities by sku) cost, tax included in the total."""
    subtotal = sum(PRODUCTS[sku].prices[currency] * quantity for sku, quantity in items.items())
    tax = (subtotal * _TAX[currency] + 50) // 100
    return Pricing(subtotal=subtotal, tax=tax, discount=0, total=subtotal + tax)
