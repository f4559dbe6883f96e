"""The document says what is served, and nothing else."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import BaseModel

from bridge_payments.cli import openapi as command
from bridge_payments.http import ROUTES, openapi
from bridge_payments.http.schemas.payments import ConfirmPayment, CreatePayment, GuestDataIn
from bridge_payments.http.schemas.refunds import RefundPayment

validator = pytest.importorskip("openapi_spec_validator")


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return openapi(ROUTES, prefix="/bridge-payment")


def test_it_is_valid_openapi_3_1(document: dict[str, Any]) -> None:
    validator.validate(document)
    assert json.loads(json.dumps(document)) == document


def test_every_method_of_every_path_is_described_once(document: dict[str, Any]) -> None:
    described = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    served = {
        (method, path)
        for route in ROUTES
        if route.listed  # pages for people are in no document
        for path in (route.path, *route.aliases)
        for method in route.methods
    }
    assert described == served
    ids = [
        operation["operationId"] for methods in document["paths"].values() for operation in methods.values()
    ]
    assert len(ids) == len(set(ids))


def test_aliases_point_to_the_first_spelling(document: dict[str, Any]) -> None:
    alias = document["paths"]["/payments/confirm/{payment_id}"]["post"]
    assert alias["deprecated"] is True
    assert "/payments/intents/{payment_id}/confirm" in alias["description"]


def test_every_operation_has_words_an_answer_and_refusals(document: dict[str, Any]) -> None:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            assert operation["summary"], path
            answers = operation["responses"]
            assert any(status.startswith("2") for status in answers), path
            assert "default" in answers
            if "{" in path:
                assert "404" in answers, path
            if method in ("post", "put", "patch"):
                assert "413" in answers, path


def test_the_doors_are_in_the_document(document: dict[str, Any]) -> None:
    paths = document["paths"]
    assert {} in paths["/payments/intents"]["post"]["security"]
    assert {"guest": []} in paths["/payments"]["get"]["security"]
    assert paths["/payments/{payment_id}/refund"]["post"]["security"] == [{"session": []}, {"bearer": []}]
    assert paths["/health"]["get"]["security"] == []
    for methods in paths.values():
        for operation in methods.values():
            for requirement in operation["security"]:
                assert requirement.keys() <= document["components"]["securitySchemes"].keys()


def test_a_refund_needs_a_key_and_a_create_needs_a_body(document: dict[str, Any]) -> None:
    refund = document["paths"]["/payments/{payment_id}/refund"]["post"]
    key = next(one for one in refund["parameters"] if one["name"] == "Idempotency-Key")
    assert key["required"] is True
    assert document["paths"]["/payments/intents"]["post"]["requestBody"]["required"] is True
    assert document["paths"]["/payments/{payment_id}/cancel"]["post"]["requestBody"]["required"] is False


@pytest.mark.parametrize("taken", [CreatePayment, GuestDataIn, ConfirmPayment, RefundPayment])
def test_what_may_be_left_out_may_be_null_and_the_document_says_so(
    document: dict[str, Any], taken: type[BaseModel]
) -> None:
    """Published clients send null for what they do not set; generated ones must be allowed to."""
    shape = document["components"]["schemas"][taken.__name__]
    for name, field in shape["properties"].items():
        nullable = {"type": "null"} in field.get("anyOf", [])
        assert nullable is (name not in shape.get("required", [])), name


def test_the_examples_are_what_they_show(document: dict[str, Any]) -> None:
    for example in document["components"]["schemas"]["CreatePayment"]["examples"]:
        CreatePayment.model_validate(example)


def test_no_list_declares_a_client_secret(document: dict[str, Any]) -> None:
    assert "client_secret" not in document["components"]["schemas"]["PaymentSummary"]["properties"]
    assert "client_secret" in document["components"]["schemas"]["PaymentDetail"]["properties"]


def test_no_shape_declares_what_stays_inside(document: dict[str, Any]) -> None:
    for name, schema in document["components"]["schemas"].items():
        for inside in ("reference", "provider_status", "unknown_operation_id", "flag", "next_sync_at"):
            assert inside not in schema.get("properties", {}), name


def test_the_command_prints_the_document(capsys: pytest.CaptureFixture[str]) -> None:
    from argparse import ArgumentParser

    parser = ArgumentParser()
    command.configure(parser)
    assert command.run(parser.parse_args(["--prefix", "/pay/"])) == 0
    assert json.loads(capsys.readouterr().out)["servers"] == [{"url": "/pay"}]
