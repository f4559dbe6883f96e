"""Authorize.net's own schema as a judge, in every test session: each request and each answer of the fake.

What goes as JSON is judged by its XML twin: the same names in the same order, which is how the gateway
reads it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from processes import fail_in_the_end, heard, tell

from bridge_payments.transport import Transport

from .exchanges import NOT_STRIPE
from .plugin import specs_folder

__all__ = ["AnetExchange", "AnetRecorder", "AnetSchema", "twin_of"]

PATH = "/xml/v1/request.api"
NAMESPACE = "AnetApi/xml/v1/schema/AnetApiSchema.xsd"
BOM = b"\xef\xbb\xbf"

# What wraps a list in XML and is left out in JSON.
_WRAPPED = {
    "transactions": "transaction", "batchList": "batch", "errors": "error", "messages": "message",
    "customerPaymentProfileIdList": "numericString", "customerShippingAddressIdList": "numericString",
    "validationDirectResponseList": "string", "subscriptionIds": "subscriptionId",
    "subscriptionDetails": "subscriptionDetail", "arbTransactions": "arbTransaction",
}  # fmt: skip


def twin_of(name: str, value: Any) -> Any:
    """Return the XML element that a JSON value stands for, in the order in which it is written."""
    from lxml import etree

    element = etree.Element(f"{{{NAMESPACE}}}{name}")
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if isinstance(inner, list) and key in _WRAPPED:
                wrapper = etree.SubElement(element, f"{{{NAMESPACE}}}{key}")
                wrapper.extend(twin_of(_WRAPPED[key], each) for each in inner)
            elif isinstance(inner, list):
                element.extend(twin_of(key, each) for each in inner)
            else:
                element.append(twin_of(key, inner))
    elif isinstance(value, bool):
        element.text = str(value).lower()
    elif value is not None:
        element.text = str(value)
    return element


class AnetSchema:
    def __init__(self, specs: Path) -> None:
        self._file = specs / "authorizenet" / "AnetApiSchema.xsd"

    @cached_property
    def _schema(self) -> Any:
        from lxml import etree

        return etree.XMLSchema(etree.parse(str(self._file)))

    def problems(self, content: bytes, *, root: str | None = None) -> list[str]:
        """Judge XML, or JSON: a request that names itself, or with *root* an answer that does not."""
        from lxml import etree

        content = content.removeprefix(BOM)
        try:
            if content.lstrip()[:1] == b"<":
                document = etree.fromstring(content)
            else:
                found = json.loads(content)
                name, value = (root, found) if root is not None else next(iter(found.items()))
                document = twin_of(name, value)
        except (ValueError, etree.XMLSyntaxError) as error:
            return [f"neither XML nor JSON: {type(error).__name__}"]
        if self._schema.validate(document):
            return []
        return [str(each.message).replace(f"{{{NAMESPACE}}}", "")[:300] for each in self._schema.error_log]


@dataclass(frozen=True)
class AnetExchange:
    content: bytes
    status: int | None = None
    kind: str = ""
    answer: bytes = b""

    @property
    def name(self) -> str:
        text = self.content.decode("utf-8", "replace")
        if text.lstrip().startswith("{"):
            return text.split('"')[1]
        return text.split("?>", 1)[-1].split()[0].strip("<>")

    @property
    def claims_to_be_the_gateway(self) -> bool:
        """Whether the answer has to look like the gateway's: no 5xx, no proxy's page, no broken body."""
        return self.status == 200 and ("xml" in self.kind or "json" in self.kind)


class AnetRecorder:
    def __init__(self, specs: Path | None) -> None:
        self.exchanges: list[AnetExchange] = []
        self.judged = self.answers_judged = 0
        self._schema = AnetSchema(specs) if specs is not None else None
        self._original: Any = None

    def install(self) -> None:
        """Listen at `Transport.request`: below it there are only bytes, above it every adapter."""
        original = self._original = Transport.request
        recorder = self

        async def request(self: Transport, method: str, url: str, **more: Any) -> Any:
            if not url.endswith(PATH):
                return await original(self, method, url, **more)
            content = more.get("content") or b""
            try:
                response = await original(self, method, url, **more)
            except BaseException:
                recorder.exchanges.append(AnetExchange(content))
                raise
            on_purpose = NOT_STRIPE in response.headers  # what a test lets a broken server say
            kind = "" if on_purpose else response.headers.get("content-type", "")
            recorder.exchanges.append(AnetExchange(content, response.status_code, kind, response.content))
            return response

        Transport.request = request  # type: ignore[method-assign] # this is the recorder

    def uninstall(self) -> None:
        Transport.request = self._original  # type: ignore[method-assign] # and this takes it out again

    def judge(self) -> list[str]:
        """Judge what was recorded since the last time; return what is wrong, one line each."""
        fresh = self.exchanges[self.judged :]
        self.judged = len(self.exchanges)
        return [
            f"{each.name} -> {each.status}: {problem}" for each in fresh for problem in self._problems(each)
        ]

    def _problems(self, exchange: AnetExchange) -> list[str]:
        if self._schema is None:
            return []
        problems = [f"request: {each}" for each in self._schema.problems(exchange.content)]
        if exchange.claims_to_be_the_gateway:
            self.answers_judged += 1
            root = _root_of(exchange)
            problems += [f"answer: {each}" for each in self._schema.problems(exchange.answer, root=root)]
        return problems


def _root_of(exchange: AnetExchange) -> str:
    """Name an answer in JSON, which does not name itself; a bare refusal has a name of its own."""
    found = (
        json.loads(exchange.answer.removeprefix(BOM)) if b'"resultCode": "Error"' in exchange.answer else {}
    )
    if found and set(found) <= {"refId", "messages"}:
        return "ErrorResponse"
    if exchange.name == "createCustomerProfileFromTransactionRequest":
        return "createCustomerProfileResponse"
    return exchange.name.replace("Request", "Response")


_RECORDER = pytest.StashKey[AnetRecorder]()
_LEFT, _JUDGED = "Authorize.net left", "Authorize.net judged"


def pytest_configure(config: pytest.Config) -> None:
    recorder = config.stash[_RECORDER] = AnetRecorder(_specs())
    recorder.install()
    config.add_cleanup(recorder.uninstall)


@pytest.fixture(autouse=True)
def _lab_judges_authorize_net(request: pytest.FixtureRequest) -> Iterator[None]:
    recorder = request.config.stash[_RECORDER]
    yield
    if problems := recorder.judge():
        pytest.fail("\n".join(["not what Authorize.net publishes:", *problems]), pytrace=False)


@pytest.fixture
def anet_lab(request: pytest.FixtureRequest) -> AnetRecorder:
    """The recorder itself: what was sent, in order."""
    return request.config.stash[_RECORDER]


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """What a fixture sent after its test was over is judged here."""
    recorder = session.config.stash[_RECORDER]
    tell(session.config, _LEFT, recorder.judge())
    tell(session.config, _JUDGED, (len(recorder.exchanges), recorder.answers_judged))
    fail_in_the_end(session, _LEFT)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for problem in chain(*heard(config, _LEFT)):
        terminalreporter.write_line(f"not what Authorize.net publishes: {problem}", red=True)
    requests, answers = (sum(counts) for counts in zip(*heard(config, _JUDGED), strict=True))
    if requests and _specs() is None:
        terminalreporter.write_line(
            f"lab: {requests} exchanges with Authorize.net NOT judged (no schema, or no lxml)"
        )
    elif requests:
        terminalreporter.write_line(
            f"lab: {requests} requests to Authorize.net and {answers} answers judged by its schema"
        )


def _specs() -> Path | None:
    try:
        import lxml  # noqa: F401 - is it here?
    except ModuleNotFoundError:
        return None
    return specs_folder()
