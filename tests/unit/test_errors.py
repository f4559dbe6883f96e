"""The errors: the tree that is drawn is the tree there is, and none of them tells a secret."""

from __future__ import annotations

import inspect
import re

import pytest

from bridge_payments import errors
from bridge_payments.errors import (
    AmountNotRepresentable,
    BridgeError,
    ConfigurationError,
    Conflict,
    MissingExtra,
    OperationInProgress,
    PaymentDeclined,
    ProviderError,
    ProviderNeverSent,
    ProviderRejected,
    ProviderUnknown,
    UnsupportedOperation,
)


def drawn_tree() -> dict[str, str]:
    """Read child -> parent from the drawing in the module's docstring, by its indentation."""
    parents: dict[str, str] = {}
    branch: list[tuple[int, str]] = []
    for line in inspect.getdoc(errors).splitlines():  # type: ignore[union-attr]
        match = re.match(r"^( *)[x*] (\w+)\b", line)
        if match is None:
            continue
        depth, name = len(match[1]), match[2]
        branch = [(at, above) for at, above in branch if at < depth]
        if branch:
            parents[name] = branch[-1][1]
        branch.append((depth, name))
    return parents


def error_classes() -> dict[str, type[BridgeError]]:
    return {
        name: value
        for name, value in vars(errors).items()
        if inspect.isclass(value) and issubclass(value, BridgeError)
    }


def test_the_tree_in_the_docstring_is_the_tree_of_the_classes() -> None:
    real = {name: cls.__base__.__name__ for name, cls in error_classes().items() if cls.__base__ is not None}
    del real["BridgeError"]

    assert drawn_tree() == real


def test_every_error_is_exported_and_the_list_is_sorted() -> None:
    assert sorted(errors.__all__) == errors.__all__
    assert set(errors.__all__) == error_classes().keys()


def test_every_error_has_a_code_of_its_own() -> None:
    codes = [cls.code for cls in error_classes().values()]

    assert len(set(codes)) == len(codes)
    assert all(re.fullmatch(r"[a-z_]+", code) for code in codes)


@pytest.mark.parametrize("cls", error_classes().values(), ids=lambda cls: cls.__name__)
def test_every_error_says_something_to_whoever_reads_it_at_night(cls: type[BridgeError]) -> None:
    assert cls.__doc__, "not inherited: each class has words of its own"
    assert cls.__doc__.splitlines()[0].endswith((".", '."'))


def test_an_error_raised_without_words_speaks_the_first_line_of_its_docstring() -> None:
    assert str(Conflict()) == "Somebody else is changing the same thing; read it again and decide."


def test_a_caller_can_tell_may_be_repeated_from_never_repeat() -> None:
    # Three answers that lead to three different things; none may be caught as another.
    outcomes = (ProviderRejected, ProviderNeverSent, ProviderUnknown)

    for outcome in outcomes:
        assert issubclass(outcome, ProviderError)
        assert not any(issubclass(outcome, other) for other in outcomes if other is not outcome)


def test_an_amount_that_cannot_be_represented_names_its_field() -> None:
    assert AmountNotRepresentable("0.5 is not a whole number of yen", field="amount").field == "amount"


def test_what_a_provider_cannot_do_is_named_with_what_to_use_instead() -> None:
    error = UnsupportedOperation(
        provider="acme", capability="capture", instead="create with automatic capture"
    )

    assert str(error) == "acme does not support capture; create with automatic capture"


def test_an_open_operation_is_named_so_that_it_can_be_looked_at() -> None:
    error = OperationInProgress(operation_id="op_1")

    assert error.operation_id == "op_1"
    assert error.details == {"operation_id": "op_1"}


def test_a_decline_carries_our_word_and_the_providers() -> None:
    error = PaymentDeclined(
        decline_code="insufficient_funds", provider_code="card_declined", payment_id="pay_1"
    )

    assert error.decline_code == "insufficient_funds"
    assert error.provider_code == "card_declined"
    assert error.payment_id == "pay_1"


def test_a_wrong_configuration_names_every_variable_and_no_value() -> None:
    error = ConfigurationError(
        missing={"STRIPE_SECRET_KEY", "DATABASE_URL"}, invalid={"PORT": "not a number"}
    )

    assert str(error) == "missing: DATABASE_URL, STRIPE_SECRET_KEY; PORT: not a number"
    assert error.missing == ["DATABASE_URL", "STRIPE_SECRET_KEY"]


def test_a_missing_extra_is_an_error_that_says_what_to_type() -> None:
    error = MissingExtra("paypal", needed_for="the PayPal provider")

    assert "pip install 'bridge-payments[paypal]'" in str(error)
