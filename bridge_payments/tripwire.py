"""
The tripwire for card numbers (money rule 27): what may hold one, and what is done about it.

HTTP looks at every path, query and body, the engine at what every verb is given, before anything is
written or sent; the log masks what it finds. All ask here, so that no door is wider than another.
"""

from __future__ import annotations

import functools
import inspect
import re
import unicodedata
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from dataclasses import fields, is_dataclass
from typing import Any, Final, ParamSpec, TypeVar

from .arguments import SPELLED, typed
from .errors import InvalidRequest

__all__ = [
    "CARD",
    "find_card_numbers",
    "guarded",
    "holds_card_number",
    "is_card_in_disguise",
    "is_guarded",
    "refuse_card_numbers",
]

P = ParamSpec("P")
T = TypeVar("T")

CARD: Final = "looks like a card number: card data goes to the provider's own form, never here"
"""What a caller is told. Never what was found: errors are logged by proxies that may not see it."""

# --- what a card number is ------------------------------------------------------------------------

_SCHEMES: Final = tuple(
    (re.compile(prefix), frozenset(lengths))
    for prefix, lengths in (
        (r"4", (16, 19)),  # Visa
        (r"5[1-5]|222[1-9]|22[3-9]|2[3-6]|27[01]|2720", (16,)),  # Mastercard
        (r"3[47]", (15,)),  # American Express
        (r"30[0-5]|3095|3[689]", (14, 16)),  # Diners Club
        (r"35(?:2[89]|[3-8])", range(16, 20)),  # JCB
        (r"6011|64[4-9]|65", range(16, 20)),  # Discover
        (r"62|81", range(16, 20)),  # UnionPay
        (r"500|5018|5019|502|5038|5[6-8]|6304|639|67", range(14, 20)),  # Maestro, Bancontact, Dankort
        (r"504175|506[67]|509|627780|636297|636368", (16,)),  # Elo
        (r"506[01]|507865", (16, 19)),  # Verve
        (r"637095", (16,)),  # Hipercard
        (r"220[0-4]", range(16, 20)),  # Mir
        (r"508|60[6-8]|82", (16,)),  # RuPay
        (r"9792", (16,)),  # Troy
        (r"8600|9490", (16,)),  # Uzcard, BC
    )
)

_DIGITS: Final = re.compile(
    # Digits in one piece. Not inside a word (hashes, ids), not behind a decimal point.
    r"(?<![0-9A-Za-z])(?<![0-9][.])[0-9]{14,19}(?![0-9A-Za-z])"
    # Or in a card's groups with one separator throughout. Not within a chain of groups: that is a UUID.
    r"|(?<![0-9A-Za-z])(?<![0-9A-Za-z][-.])"
    r"(?:[0-9]{4}(?P<a>[ .-]{1,3})[0-9]{4}(?P=a)[0-9]{4}(?P=a)[0-9]{4}(?P<tail>(?P=a)[0-9]{1,3})?"
    r"|[0-9]{4}(?P<b>[ .-]{1,3})[0-9]{6}(?P=b)[0-9]{4,5}"
    r"|[0-9]{8}(?P<c>[ .-]{1,3})[0-9]{8})(?![0-9A-Za-z])(?![-.][0-9A-Za-z])"
)

_DOUBLED: Final = str.maketrans("0123456789", "0246813579")


def find_card_numbers(text: str) -> list[tuple[int, int]]:
    """Return where *text* holds what can only be a card number: start and end of each.

    It has 14 to 19 digits, a prefix and the length of one card scheme, and a valid check digit. A check
    digit alone proves nothing: a tenth of all millisecond timestamps has one. Digits, blanks and dashes are
    those of every alphabet: a number that was copied from a page has the page's.
    """
    found = []
    text = _plain(text)
    for match in _DIGITS.finditer(text):
        ends = [match.end()]
        if match["tail"]:
            ends.append(match.start("tail"))  # the number's last group, or an expiry or a security code
        for end in ends:
            if _is_card(re.sub(r"[ .-]", "", text[match.start() : end])):
                found.append((match.start(), end))
                break
    return found


def _plain(text: str) -> str:
    """Return *text* with ASCII's digits, blanks and dashes in the places of all others."""
    return text if text.isascii() else "".join(map(_ascii, text))


@functools.lru_cache(maxsize=4096)
def _ascii(letter: str) -> str:
    match unicodedata.category(letter):
        case "Nd":
            return str(unicodedata.decimal(letter))
        case "Zs" | "Cf":  # the second: blanks without a width, marks of the direction
            return " "
        case "Pd":
            return "-"
        case _:
            return "-" if letter == "\N{MINUS SIGN}" else letter


def _is_card(digits: str) -> bool:
    scheme = any(len(digits) in lengths and prefix.match(digits) for prefix, lengths in _SCHEMES)
    return scheme and _luhn(digits)


def _luhn(digits: str) -> bool:
    backwards = digits[::-1]
    return sum(map(int, backwards[::2] + backwards[1::2].translate(_DOUBLED))) % 10 == 0


_FEWEST: Final = 14
_MANY_DIGITS: Final = re.compile(r"(?<!\d)(?:\d\W{0,3}){13}\d")
"""A cheap look before the real one. No part of it matches what its neighbour does: it never looks twice."""


def holds_card_number(text: str) -> bool:
    """Whether *text* holds what can only be a card number."""
    return len(text) >= _FEWEST and _MANY_DIGITS.search(text) is not None and bool(find_card_numbers(text))


_LEADING: Final = re.compile(r"[0-9]+[^0-9A-Za-z]{0,3}")
_MOST_BEHIND: Final = 7
"""An expiry and a security code; a token whose first half is a card number by chance goes on longer."""


def is_card_in_disguise(method: str) -> bool:
    """Whether what should be a token or an id is a card number: in odd groups, or with something behind it.

    Stricter than `holds_card_number`: in a word of its own no text of a payer's can be meant.
    """
    if len(method) < _FEWEST:
        return False
    # One colon stands behind a wallet's name, or in a pair of ids. More of them are groups.
    text = _plain(method if method.count(":") == 1 else method.replace(":", "-"))
    return holds_card_number(text) or any(map(_begins_with_card, text.split(":")))


def _begins_with_card(word: str) -> bool:
    digits, end = "", 0
    while group := _LEADING.match(word, end):
        digits, end = digits + re.sub(r"[^0-9]", "", group[0]), group.end()
        if _FEWEST <= len(digits) <= 19 and _is_card(digits):
            return len(re.sub(r"[^0-9A-Za-z]", "", word[end:])) <= _MOST_BEHIND
    return False


# --- where it is looked for -------------------------------------------------------------------------

_IDS: Final = ("_id", "client_secret")
"""Documented identities: opaque text of other people's making, where digits prove nothing."""
_METHODS: Final = frozenset({"payment_method", "payment_method_id", "token"})
"""Where a client that misunderstood would put a card; no provider's reference looks like one."""
_WHO_ASKS: Final = "principal"
"""No input: who it is was found out elsewhere."""
_SMALLEST, _LARGEST = 10**13, 10**19


def is_guarded(name: str) -> bool:
    """Whether a field of that name is looked at."""
    return name in _METHODS or not name.endswith(_IDS)


def refuse_card_numbers(values: Mapping[str, Any]) -> None:
    """Raise InvalidRequest if one of *values*, however deep, holds a card number; *values* are arguments."""
    for name, value in values.items():
        if value is None or name == _WHO_ASKS:
            continue
        try:
            found = _where(value, (name,))
        except RecursionError:
            raise InvalidRequest("is nested too deeply", field=name) from None
        if found is not None:
            raise InvalidRequest(CARD, field=".".join((SPELLED.get(name, name), *found[1:])))


def guarded(verb: Callable[P, Awaitable[T]]) -> Callable[P, Coroutine[Any, Any, T]]:
    """Let *verb*, a method, begin only if what it is given is `typed`, and nothing holds a card number."""
    names = tuple(inspect.signature(verb).parameters)[1:]
    checked = typed(verb)

    @functools.wraps(verb)
    async def guarded_verb(*args: P.args, **kwargs: P.kwargs) -> T:
        refuse_card_numbers({**dict(zip(names, args[1:], strict=False)), **kwargs})
        return await checked(*args, **kwargs)

    return guarded_verb


def _where(value: object, path: tuple[str, ...]) -> tuple[str, ...] | None:
    """Return where in *value* a card number stands, None if nowhere."""
    if isinstance(value, str | int | float):
        return path if _is_card_text(_text(value), path[-1]) else None
    for name, item in _inside(value):
        if holds_card_number(name):
            return (*path, "…")
        if item is not None and (found := _where(item, (*path, name))):
            return found
    return None


def _inside(value: object) -> Iterable[tuple[str, object]]:
    if isinstance(value, Mapping):
        return ((str(name), item) for name, item in value.items())
    if isinstance(value, list | tuple | set | frozenset):
        return ((str(index), item) for index, item in enumerate(value))
    shape: Any = type(value)
    return ((name, getattr(value, name)) for name in _parts(shape))


@functools.cache
def _parts(type_: Any) -> tuple[str, ...]:
    return tuple(part.name for part in fields(type_)) if is_dataclass(type_) else ()


def _text(value: str | float) -> str:
    if isinstance(value, str):
        return value
    size = abs(value)
    if not _SMALLEST <= size < _LARGEST:
        return ""  # not worth a look, and a number of a million digits would cost a minute to print
    return str(size) if isinstance(size, int) else format(size, ".0f")


def _is_card_text(text: str, name: str) -> bool:
    if len(text) < _FEWEST or not is_guarded(name):
        return False
    return is_card_in_disguise(text) if name in _METHODS else holds_card_number(text)
