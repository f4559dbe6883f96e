"""Requests as XML, built and checked by the vendor's contracts; never by its controllers.

The controllers share one endpoint per process, know no timeout, answer a broken connection with
nothing and log card numbers (authorizenet 1.1.6, 2026-11). The contracts are generated from the
gateway's own schema: they put the elements in its order and refuse what it does not have.
"""

from __future__ import annotations

import functools
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from typing import Any, Final

import pyxb
from authorizenet import apicontractsv1 as contracts
from pyxb.utils.domutils import BindingDOMSupport

from ....errors import InvalidRequest
from ..answers import Json

__all__ = ["XmlEncoder", "elements_of"]

_NAMESPACE: Final = contracts.Namespace


class XmlEncoder:
    name = "xml"
    content_type = "application/xml"

    def encode(self, operation: str, payload: Json) -> bytes:
        try:
            built = _built(getattr(contracts, operation).typeDefinition(), payload)
            # A default namespace of its own: the vendor takes "ns1:" out of the finished text, and out of
            # whatever a payer wrote there too.
            support = BindingDOMSupport(default_namespace=_NAMESPACE)
            name = pyxb.namespace.ExpandedName(_NAMESPACE, operation)
            written: bytes = built.toxml(encoding="utf-8", bds=support, element_name=name)
        except (pyxb.PyXBException, AttributeError, TypeError, ValueError) as error:
            failure = InvalidRequest(
                f"Authorize.net's schema refuses the request: {type(error).__name__}", field="extra"
            )
        else:
            return written
        # Raised here: the contracts' errors hold the values that they refuse.
        raise failure

    def decode(self, content: bytes) -> tuple[str | None, Json]:
        if b"<!DOCTYPE" in content[:4096].upper():
            raise ValueError("an answer with a document type is not read")
        try:
            root = ET.fromstring(content.removeprefix(b"\xef\xbb\xbf"))  # noqa: S314 - no document type, no entities
        except ET.ParseError as error:
            raise ValueError(f"not XML: {error.code}") from None
        found = _plain(root)
        return _local(root.tag), found if isinstance(found, Mapping) else {}


@functools.cache
def elements_of(type_: Any) -> Mapping[str, Any]:
    """Return the elements of a complex type by name, its base's first: the order on the wire."""
    found: dict[str, Any] = {}
    for class_ in reversed(type_.__mro__):
        for name, declaration in (class_.__dict__.get("_ElementMap") or {}).items():
            found.setdefault(name.localName(), declaration)
    return found


def _built(type_: Any, values: Json) -> Any:
    made, known = type_(), elements_of(type_)
    for name, value in values.items():
        if name not in known:
            raise ValueError("an element that the schema does not have")
        declaration = known[name]
        inner = declaration.elementBinding().typeDefinition()
        if declaration.isPlural():
            for each in value if isinstance(value, list) else [value]:
                getattr(made, declaration.id()).append(_value(inner, each))
        else:
            setattr(made, declaration.id(), _value(inner, value))
    return made


def _value(type_: Any, value: Any) -> Any:
    is_complex = issubclass(type_, pyxb.binding.basis.complexTypeDefinition)
    return _built(type_, value) if is_complex and isinstance(value, Mapping) else value


def _plain(element: ET.Element) -> Any:
    if not len(element):
        return element.text or ""
    out: dict[str, Any] = {}
    for child in element:
        name, value = _local(child.tag), _plain(child)
        if name not in out:
            out[name] = value
        elif isinstance(out[name], list):
            out[name].append(value)
        else:
            out[name] = [out[name], value]
    return out


def _local(tag: str) -> str:
    return tag.rpartition("}")[2]
