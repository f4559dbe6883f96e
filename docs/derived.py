"""
The reference pages that are derived from the code, written when the site is built and committed nowhere:
http.md from the OpenAPI document, cli.md from the commands' parsers, errors.md from the error classes.
"""

from __future__ import annotations

import argparse
import importlib
import os
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

from bridge_payments import errors
from bridge_payments.cli import COMMANDS
from bridge_payments.http import ROUTES, openapi
from bridge_payments.http.problems import KINDS, status_of

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


# --- words ----------------------------------------------------------------------------------------


def _plain(text: str) -> str:
    return re.sub(r"``([^`]+)``", r"`\1`", " ".join(text.split()))


def _cell(text: str) -> str:
    return _plain(text).replace("|", "\\|")


def _page(lines: list[str]) -> str:
    return "\n".join(lines).rstrip() + "\n"


PAGES: Final = {"http.md": http, "cli.md": cli, "errors.md": error_page}


def write_pages(folder: Path) -> None:
    """Write each page that has changed."""
    for name, make in PAGES.items():
        text, page = make(), folder / name
        if not page.exists() or page.read_text(encoding="utf-8") != text:
            page.write_text(text, encoding="utf-8")
