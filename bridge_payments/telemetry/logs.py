"""What is logged, and what never is: lines as JSON, secrets and card numbers taken out."""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import IO, Any, Final, Literal

from ..tripwire import find_card_numbers

__all__ = [
    "JsonFormatter",
    "RedactionFilter",
    "configure_logging",
    "quiet_vendor_loggers",
    "redact",
]

# --- redaction --------------------------------------------------------------------------------------

_GONE: Final = "…"

_SECRET_NAMES: Final = (
    r"client[_-]?secret|(?:webhook[_-]?|api[_-]?|signing[_-]?)?secret(?:[_-]?key)?|password|passwd|pwd"
    r"|api[_-]?key|private[_-]?key|(?:access|refresh|guest|id|auth|bearer)[_-]?token|token"
    r"|(?:x-)?session[_-]?id|x-guest-token|(?:proxy-)?authorization|cookie|set-cookie"
    r"|transaction[_-]?key|signature[_-]?key|api[_-]?login(?:[_-]?id)?"
    r"|card[_-]?number|pan|cvc|cvv|card[_-]?code|opaque[_-]?data|data[_-]?value"
)


def _rules(*rules: tuple[str, str]) -> tuple[tuple[re.Pattern[str], str], ...]:
    return tuple((re.compile(pattern), replacement) for pattern, replacement in rules)


_BY_SHAPE: Final = _rules(
    (r"\b(sk|rk)_[A-Za-z0-9_]{6,}", rf"\1_{_GONE}"),
    (r"\bwhsec_[A-Za-z0-9+/=_-]+", f"whsec_{_GONE}"),
    (r"\b([a-z]{2,12}_[A-Za-z0-9]+_secret_)[A-Za-z0-9_-]+", rf"\1{_GONE}"),
    (r"\beyJ[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*", f"eyJ{_GONE}"),  # a signed token
    (r"\bA21A[A-Za-z0-9_-]{20,}", f"A21A{_GONE}"),  # PayPal's access tokens
    (r"(?i)\b(bearer|basic)(\s+)(?=\S*[0-9=._+/-])[A-Za-z0-9._~+/=-]{6,}", rf"\1\2{_GONE}"),
    (r"(://)[^\s/@]+@", rf"\1{_GONE}@"),
    # The address of a chat's webhook is all that it takes to write there.
    (
        r"(?i)\b(hooks\.slack\.com/[a-z]+/|discord(?:app)?\.com/api/(?:v\d+/)?webhooks/)[^\s\"'<>]+",
        rf"\1{_GONE}",
    ),
)

_BY_NAME: Final = _rules(
    (rf"(?i)(<(?:\w+:)?(?:{_SECRET_NAMES})(?:\s[^<>]*)?>)[^<]+", rf"\1{_GONE}"),
    (
        (
            rf"""(?i)(?<![A-Za-z0-9])({_SECRET_NAMES})(["']?\s*(?:[:=]|=>)\s*)"""
            r"""(?:"[^"]*"?|'[^']*'?|\[card number\]|(?:bearer|basic|token)\s+\S+|[^\s"',;&)}\]]+)"""
        ),
        rf"\1\2{_GONE}",
    ),
    (r"(?<![\w.%+-])(\w)[\w.%+-]*(@|%40)([\w-]+(?:\.[\w-]+)+)", rf"\1{_GONE}\2\3"),
)

_SECRET_NAME: Final = re.compile(rf"(?i)^(?:{_SECRET_NAMES})$")


def redact(text: str) -> str:
    """Return *text* without keys, tokens, client secrets, passwords and card numbers; e-mails are masked."""
    for pattern, replacement in _BY_SHAPE:
        text = pattern.sub(replacement, text)
    # Before the names: what stands behind one ends at a space, and a card number written in groups does not.
    for start, end in reversed(find_card_numbers(text)):
        text = f"{text[:start]}[card number]{text[end:]}"
    for pattern, replacement in _BY_NAME:
        text = pattern.sub(replacement, text)
    return text


def _redacted(value: Any, name: str = "") -> Any:
    if _SECRET_NAME.match(name):
        return _GONE
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 10**13:
        return redact(str(value)) if find_card_numbers(str(value)) else value
    if isinstance(value, Mapping):
        return {redact(str(key)): _redacted(item, str(key)) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_redacted(item) for item in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    return redact(str(value))


# --- lines ------------------------------------------------------------------------------------------

_STANDARD: Final = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}


class RedactionFilter(logging.Filter):
    """Takes secrets out of a record: message, traceback and extra fields. Put it on handlers.

    On a handler it sees the records of every logger below; on a logger it would see only that one's.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = redact(record.getMessage()), None
        if record.exc_info and not record.exc_text:
            record.exc_text = logging.Formatter().formatException(record.exc_info)
        if record.exc_text:
            # Handlers that would format the exception anew (Sentry's, rich's) find the text only.
            record.exc_text, record.exc_info = redact(record.exc_text), None
        if record.stack_info:
            record.stack_info = redact(record.stack_info)
        for name in record.__dict__.keys() - _STANDARD:
            record.__dict__[name] = _redacted(record.__dict__[name], name)
        return True


class JsonFormatter(logging.Formatter):
    """One JSON object per line: time, level, logger, message, the extra fields, the exception."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line.update(
            (name, value) for name, value in record.__dict__.items() if name not in _STANDARD | line.keys()
        )
        if record.exc_info and not record.exc_text:
            record.exc_text = self.formatException(record.exc_info)
        if record.exc_text:
            line["exception"] = record.exc_text
        if record.stack_info:
            line["stack"] = record.stack_info
        return json.dumps(line, default=str, ensure_ascii=False)


class _TextFormatter(logging.Formatter):
    """For a person at a terminal. A line break in a message cannot begin a line that was never logged."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(name)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        record.message = record.message.replace("\r", "\\r").replace("\n", "\\n")
        return super().formatMessage(record)


class _LastResort(logging.Handler):
    """Warnings and errors of an application that says nowhere where lines go, on standard error, redacted.

    Python's own last resort would print them with their secrets; silence would hide why a payer met a 500.
    """

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.addFilter(RedactionFilter())
        self.setFormatter(_TextFormatter())

    def handle(self, record: logging.LogRecord) -> bool:
        # Before the filter, which changes the record for whoever else gets it.
        return not _is_handled(record, but=self) and super().handle(record)

    def emit(self, record: logging.LogRecord) -> None:
        try:
            sys.stderr.write(self.format(record) + "\n")
        except Exception:  # noqa: BLE001 - logging's own way: a line that cannot be written breaks no request
            self.handleError(record)


def _is_handled(record: logging.LogRecord, *, but: logging.Handler) -> bool:
    logger: logging.Logger | None = logging.getLogger(record.name)
    while logger is not None:
        if any(handler is not but for handler in logger.handlers):
            return True
        logger = logger.parent if logger.propagate else None
    return False


logging.getLogger("bridge_payments").addHandler(_LastResort())


_LEVELS: Final = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warn": logging.WARNING,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}


def configure_logging(
    level: str = "info",
    format: Literal["json", "text"] = "json",  # noqa: A002 - as logging.basicConfig calls it
    *,
    stream: IO[str] | None = None,
) -> None:
    """Write this library's lines to *stream* (standard error), redacted. For programs, not for libraries.

    Calling it again replaces what it did before.
    """
    logger = logging.getLogger("bridge_payments")
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.set_name("bridge_payments")
    handler.addFilter(RedactionFilter())
    handler.setFormatter(JsonFormatter() if format == "json" else _TextFormatter())
    for other in [other for other in logger.handlers if other.get_name() == "bridge_payments"]:
        logger.removeHandler(other)
    logger.addHandler(handler)
    logger.setLevel(_LEVELS[level.lower()])
    logger.propagate = False
    quiet_vendor_loggers()


_vendors: Final = {"aiohttp", "httpx", "urllib3"}


def quiet_vendor_loggers(*names: str) -> None:
    """Keep vendors' loggers at WARNING or above: below it they write URLs, bodies and card numbers.

    *names* join those of the HTTP clients; a provider names its SDK's by `PaymentProvider.loggers`.
    """
    _vendors.update(names)
    for name in sorted(_vendors):
        logger = logging.getLogger(name)
        logger.setLevel(max(logger.level, logging.WARNING))
