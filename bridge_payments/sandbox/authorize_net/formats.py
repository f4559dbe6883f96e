"""The two languages of one endpoint: what was asked, and what is answered, in the order of the schema."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

__all__ = ["BOM", "Items", "Unreadable", "read", "write"]

NAMESPACE: Final = "AnetApi/xml/v1/schema/AnetApiSchema.xsd"
BOM: Final = b"\xef\xbb\xbf"
"""Every answer begins with it (2026-11, AuthorizeNet/sdk-php issue 231)."""


class Unreadable(Exception):
    """Neither XML nor JSON that names one request: E00003."""


@dataclass(frozen=True, slots=True)
class Items:
    """A list: XML wraps it in elements of a name, JSON leaves that name out."""

    name: str
    values: list[Any]


def read(body: bytes, content_type: str) -> tuple[str, dict[str, Any]]:
    """Return name and values of a request."""
    try:
        if "json" in content_type:
            found = json.loads(body.decode("utf-8-sig"))
            ((name, values),) = found.items()
        else:
            root = ET.fromstring(body)  # noqa: S314 - a sandbox on this machine
            name, values = _local(root.tag), _plain(root)
    except (ValueError, ET.ParseError, AttributeError) as error:
        raise Unreadable from error
    if not isinstance(values, dict):
        raise Unreadable
    return name, values


def write(name: str, values: Mapping[str, Any], *, as_json: bool) -> bytes:
    if as_json:
        return BOM + json.dumps(_json(values)).encode()
    root = ET.Element(
        name,
        {
            "xmlns:xsi": "http://www.w3.org/2001/XMLSchema-instance",
            "xmlns:xsd": "http://www.w3.org/2001/XMLSchema",
            "xmlns": NAMESPACE,
        },
    )
    _fill(root, values)
    body: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return BOM + body


def _json(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _json(inner) for key, inner in value.items()}
    if isinstance(value, Items):
        return [_json(each) for each in value.values]
    if isinstance(value, list):
        return [_json(each) for each in value]
    # Amounts come as numbers, so that 5.00 is 5.0 (seen in recorded answers).
    return float(value) if isinstance(value, Decimal) else value


def _fill(parent: ET.Element, values: Mapping[str, Any]) -> None:
    for name, value in values.items():
        if isinstance(value, list):
            for each in value:
                _put(parent, name, each)
        elif isinstance(value, Items):
            wrapper = ET.SubElement(parent, name)
            for each in value.values:
                _put(wrapper, value.name, each)
        else:
            _put(parent, name, value)


def _put(parent: ET.Element, name: str, value: Any) -> None:
    element = ET.SubElement(parent, name)
    if isinstance(value, Mapping):
        _fill(element, value)
    elif isinstance(value, bool):
        element.text = str(value).lower()
    elif value != "":
        element.text = str(value)


def _plain(element: ET.Element) -> Any:
    if not len(element):
        return element.text or ""
    out: dict[str, Any] = {}
    for child in element:
        name, value = _local(child.tag), _plain(child)
        if name in out:
            out[name] = [*out[name], value] if isinstance(out[name], list) else [out[name], value]
        else:
            out[name] = value
    return out


def _local(tag: str) -> str:
    return tag.rpartition("}")[2]
