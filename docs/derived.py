"""
The reference pages that are derived from the code, written when the site is built and committed nowhere:
http.md from the OpenAPI document, cli.md from the commands' parsers, errors.md from the error classes,
settings.md from the Settings class, metrics.md from the table of figures.
"""

from __future__ import annotations

import argparse
import ast
import importlib
import inspect
import os
import re
from collections.abc import Iterator, Mapping
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

from pydantic import SecretStr

from bridge_payments import errors, settings
from bridge_payments.cli import COMMANDS
from bridge_payments.http import ROUTES, openapi
from bridge_payments.http.problems import KINDS, status_of
from bridge_payments.published import NOT_READ
from bridge_payments.telemetry.metrics import METRICS

__all__ = ["PAGES", "write_pages"]

Json = Mapping[str, Any]


# --- HTTP -----------------------------------------------------------------------------------------


def http() -> str:
    document = openapi(ROUTES, prefix="/bridge-payment")
    lines = ["# HTTP API", "", document["info"]["description"], ""]
    lines += [
        "The same as a machine reads it: `bridge-payments openapi`, and `/openapi.json` below the mount.",
        "Paths are below the prefix of the mount. Answers come in the envelope",
        '`{"success": true, "data": …}`; refusals have the shape [Problem](#problem).',
        "",
    ]
    for tag in document["tags"]:
        lines += [f"## {tag['name'][:1].upper()}{tag['name'][1:]}", ""]
        if tag["description"] != tag["name"]:
            lines += [tag["description"], ""]
        for path, methods in document["paths"].items():
            alike: dict[str, list[str]] = {}  # PUT and PATCH are often one thing
            for method, operation in methods.items():
                if tag["name"] in operation.get("tags", ()) and not operation.get("deprecated"):
                    alike.setdefault(operation["summary"], []).append(method)
            for found in alike.values():
                lines += list(_operation(found, path, methods[found[0]]))
    lines += ["## Shapes", ""]
    for name, schema in sorted(document["components"]["schemas"].items()):
        if not name.endswith("Answer"):
            lines += [f"### {name}", "", *_shape(schema)]
    return _page(lines)


def _operation(methods: list[str], path: str, operation: Json) -> Iterator[str]:
    yield from (f"### {', '.join(methods).upper()} {path}", "", operation["summary"])
    if operation.get("description"):
        yield from ("", _plain(operation["description"]))
    yield ""
    yield f"- Who: {_who(operation['security'])}"
    for one in operation["parameters"]:
        if one["in"] != "path":
            needed = ", required" if one.get("required") else ""
            yield f"- {one['in'].capitalize()} `{one['name']}`{needed}: {_plain(one.get('description', ''))}"
    body = operation.get("requestBody")
    if body and (schema := body["content"]["application/json"]["schema"]):
        yield f"- Body{'' if body.get('required') else ', may be empty'}: {_type(schema)}"
    for status, answer in operation["responses"].items():
        if status.startswith("2"):
            schema = answer["content"]["application/json"]["schema"]
            yield f"- {status}: {_type(schema) if schema else 'see above'}"
    refused = [status for status in operation["responses"] if status.isdigit() and status[0] in "45"]
    if refused:
        yield f"- Refusals: {', '.join(refused)}"
    yield ""


def _who(security: list[Json]) -> str:
    if not security:
        return "open, nobody is identified"
    if {} in security:
        return "anybody"
    return "signed in, or the holder of a guest token" if {"guest": []} in security else "admins"


def _shape(schema: Json) -> Iterator[str]:
    if text := schema.get("description"):
        yield from (_plain(text), "")
    if "enum" in schema:
        yield from (", ".join(f"`{value}`" for value in schema["enum"]), "")
    if not schema.get("properties"):
        return
    yield from ("| field | type | |", "|---|---|---|")
    required = schema.get("required", ())
    for name, field in schema["properties"].items():
        bold = "**" if name in required else ""
        yield f"| {bold}`{name}`{bold} | {_type(field)} | {_cell(field.get('description', ''))} |"
    yield ""


def _type(schema: Json) -> str:
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        if name.endswith("ListAnswer"):
            return f"a list of [{_inside(name)}](#{_inside(name).lower()})"
        name = _inside(name) if name.endswith("Answer") else name
        return f"[{name}](#{name.lower()})"
    if "anyOf" in schema:
        kinds = [_type(each) for each in schema["anyOf"] if each.get("type") != "null"]
        return " or ".join(dict.fromkeys(kinds)) or "null"
    if "allOf" in schema:
        return " and ".join(_type(each) for each in schema["allOf"])
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if "const" in schema:
        return f"`{schema['const']}`"
    kind = schema.get("type", "anything")
    if kind == "array":
        return f"list of {_type(schema.get('items', {}))}"
    if kind == "object":
        return "object"
    return f"{kind} ({schema['format']})" if "format" in schema else str(kind)


def _inside(answer: str) -> str:
    """Return the name of what an envelope holds."""
    data = _schemas()[answer]["properties"]["data"]
    ref = data.get("$ref") or data.get("items", {}).get("$ref") or ""
    return str(ref).rpartition("/")[2] or "Problem"


@cache
def _schemas() -> Json:
    found: Json = openapi(ROUTES)["components"]["schemas"]
    return found


# --- commands -------------------------------------------------------------------------------------


def cli() -> str:
    lines = [
        "# Commands",
        "",
        "`bridge-payments <command>`; `--help` after each says the same.",
        "",
    ]
    for name, text in COMMANDS.items():
        parser = argparse.ArgumentParser(prog=f"bridge-payments {name}")
        with patch.dict(os.environ, clear=True):
            importlib.import_module(f"bridge_payments.cli.{name.replace('-', '_')}").configure(parser)
        lines += [f"## {name}", "", f"{text[:1].upper()}{text[1:]}.", "", *_options(parser)]
    return _page(lines)


def _options(parser: argparse.ArgumentParser) -> Iterator[str]:
    rows, inner = [], []
    for action in parser._actions:  # noqa: SLF001 - argparse has no other way to ask
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            inner.append(action)
        elif not isinstance(action, argparse._HelpAction):  # noqa: SLF001
            rows.append(f"| `{_cell(_invocation(action))}` | {_cell(_help(parser, action))} |")
    if rows:
        yield from ("| | |", "|---|---|", *rows, "")
    for action in inner:
        texts = {each.dest: each.help for each in action._choices_actions}  # noqa: SLF001
        for name, sub in action.choices.items():
            yield from (f"### {parser.prog.removeprefix('bridge-payments ')} {name}", "")
            if texts.get(name):
                yield from (f"{texts[name][:1].upper()}{texts[name][1:]}.", "")
            yield from _options(sub)


def _invocation(action: argparse.Action) -> str:
    value = action.metavar or (
        "|".join(str(choice) for choice in action.choices) if action.choices else action.dest.upper()
    )
    if not action.option_strings:
        return str(action.metavar or action.dest)
    return ", ".join(action.option_strings) + ("" if action.nargs == 0 else f" {value}")


def _help(parser: argparse.ArgumentParser, action: argparse.Action) -> str:
    text = action.help or ""
    return text % {**vars(action), "prog": parser.prog} if "%" in text else text


# --- errors ---------------------------------------------------------------------------------------


def error_page() -> str:
    lines = [
        "# Errors",
        "",
        "Everything that is raised on purpose is a `BridgeError`. Its text is safe to show and to log. Over",
        "HTTP it is answered with the status below and `code` in the body, in the shape",
        "[Problem](http.md#problem).",
        "",
        "| class | is a | `code` | HTTP | |",
        "|---|---|---|---|---|",
    ]
    for name in _by_kinship():
        error = getattr(errors, name)
        parent = error.__mro__[1].__name__
        status = status_of(error) if any(each in KINDS for each in error.__mro__) else 500
        text = _cell((error.__doc__ or "").strip().splitlines()[0])
        lines.append(f"| `{name}` | `{parent}` | `{error.code}` | {status} | {text} |")
    return _page([*lines, ""])


def _by_kinship() -> list[str]:
    def line(name: str) -> tuple[str, ...]:
        return tuple(
            each.__name__
            for each in reversed(getattr(errors, name).__mro__)
            if each.__module__ == errors.__name__
        )

    return sorted(errors.__all__, key=line)


# --- settings -------------------------------------------------------------------------------------


def settings_page() -> str:
    lines = [
        "# Settings",
        "",
        "`Settings.from_env(os.environ)` reads these variables; `Settings(...)` takes the settings' names.",
        "The first variable of a row that is set wins; what is empty counts as not set.",
        "Durations are seconds in Python; a variable that the published configuration counts in milliseconds",
        "says so. What is wrong is said at once, all of it, by name and never by value.",
        "",
    ]
    texts = _field_texts()
    for group, fields in _groups().items():
        lines += [
            f"## {group[:1].upper()}{group[1:]}",
            "",
            "| variable | setting | default | |",
            "|---|---|---|---|",
        ]
        for field in fields:
            info = settings.Settings.model_fields[field]
            extra: Any = info.json_schema_extra or {}
            names = ", ".join(f"`{name}`" for name in extra.get("env", ()))
            in_ms = "In milliseconds. " if extra.get("scale") else ""
            text = _cell(in_ms + texts.get(field, ""))
            lines.append(f"| {names or 'see below'} | `{field}` | {_default(info.default, extra)} | {text} |")
        lines.append("")
    lines += [
        "## Endpoints",
        "",
        "`WEBHOOK_1_NAME`, `WEBHOOK_1_URL`, `WEBHOOK_1_EVENTS`, … name endpoints that are told of events,",
        "with any number in place of 1: see [Telling others](../guides/webhooks-out.md).",
        "",
        "| variable | |",
        "|---|---|",
        *(f"| `WEBHOOK_n_{name}` | `{field}` |" for name, field in settings._WEBHOOK_FIELDS.items()),  # noqa: SLF001
        "",
        "## Accounts",
        "",
        "What an account of a provider needs is read when that provider is built, and described on its page:",
        "[Stripe](../providers/stripe.md), [PayPal](../providers/paypal.md),",
        "[Authorize.net](../providers/authorize_net.md). `ENABLED_PROVIDERS=stripe,stripe_eu=stripe:EU_`",
        "names two accounts; the second one reads `EU_STRIPE_SECRET_KEY`, and so on.",
        "",
        "## Published, and not read",
        "",
        "Variables of the published configuration that change nothing here. Where one is set and surely",
        "meant for this library, the log says so at start.",
        "",
        "| variable | why |",
        "|---|---|",
        *(f"| `{name}` | {_cell(why)} |" for name, why in NOT_READ.items()),
    ]
    return _page(lines)


def _default(value: Any, extra: Json) -> str:
    if value is None or value == "":
        return ""
    if isinstance(value, SecretStr):
        return "set"
    if isinstance(value, tuple):
        value = ",".join(getattr(each, "id", str(each)) for each in value)
    elif isinstance(value, bool):
        value = str(value).lower()
    elif extra.get("scale"):
        value = round(value / extra["scale"])
    return f"`{value}`" if value != "" else ""


def _body() -> tuple[list[str], list[ast.stmt]]:
    source = inspect.getsource(settings)
    [found] = [
        node for node in ast.parse(source).body if isinstance(node, ast.ClassDef) and node.name == "Settings"
    ]
    return source.splitlines(), found.body


def _field_texts() -> dict[str, str]:
    _, body = _body()
    found = {}
    for one, after in pairwise(body):
        match one, after:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                found[name] = text
    return found


def _groups() -> dict[str, list[str]]:
    """Return the settings in their order, under the comments that head them in the source."""
    lines, body = _body()
    found: dict[str, list[str]] = {}
    heads = [
        (number, line.strip()[2:])
        for number, line in enumerate(lines, 1)
        if re.match(r"    # [a-z ]+$", line)
    ]
    for node in body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            head = [text for number, text in heads if number < node.lineno][-1]
            found.setdefault(head, []).append(node.target.id)
    return found


# --- figures --------------------------------------------------------------------------------------


def metrics_page() -> str:
    lines = [
        "# Figures",
        "",
        "What `/health/metrics` shows, as Prometheus reads it, and what OpenTelemetry is told under",
        "`bridge_payments.<name>`: see [Watching it](../guides/telemetry.md). What is counted in the",
        "database is counted up to 10,000.",
        "",
        "| figure | kind | labels | |",
        "|---|---|---|---|",
    ]
    for metric in METRICS:
        labels = ", ".join(f"`{label}`" for label in metric.labels)
        lines.append(f"| `{metric.full_name}` | {metric.kind} | {labels} | {_cell(metric.help)} |")
    return _page(lines)


# --- words ----------------------------------------------------------------------------------------


def _plain(text: str) -> str:
    return re.sub(r"``([^`]+)``", r"`\1`", " ".join(text.split()))


def _cell(text: str) -> str:
    return _plain(text).replace("|", "\\|")


def _page(lines: list[str]) -> str:
    return "\n".join(lines).rstrip() + "\n"


PAGES: Final = {
    "http.md": http,
    "cli.md": cli,
    "errors.md": error_page,
    "settings.md": settings_page,
    "metrics.md": metrics_page,
}


def write_pages(folder: Path) -> None:
    """Write each page that has changed."""
    for name, make in PAGES.items():
        text, page = make(), folder / name
        if not page.exists() or page.read_text(encoding="utf-8") != text:
            page.write_text(text, encoding="utf-8")
