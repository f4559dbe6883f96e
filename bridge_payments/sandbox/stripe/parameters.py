"""Which parameters each endpoint knows, from Stripe's published OpenAPI document (API 2026-07-29).

Of subscriptions only what this gateway carries out: it refuses by name what it would have to pretend.
"""

from __future__ import annotations

from typing import Final

__all__ = [
    "ATTACH",
    "CANCEL",
    "CAPTURE",
    "CONFIRM",
    "CONFIRM_SETUP",
    "CREATE",
    "CURRENCIES",
    "CUSTOMER",
    "METHOD",
    "PRODUCT",
    "REFUND",
    "RESUBSCRIBE",
    "SETUP",
    "SUBSCRIBE",
    "UPDATE",
    "UPDATE_METHOD",
]

_SHARED: Final = frozenset(
    "allowed_payment_method_types amount_details capture_method excluded_payment_method_types hooks "
    "payment_details payment_method payment_method_data payment_method_options payment_method_types "
    "receipt_email setup_future_usage shipping".split()
)
_DESCRIBING: Final = frozenset(
    "amount application_fee_amount currency customer customer_account description metadata "
    "payment_method_configuration statement_descriptor statement_descriptor_suffix transfer_data "
    "transfer_group".split()
)
_CONFIRMING: Final = frozenset(
    "confirmation_token error_on_requires_action mandate mandate_data off_session radar_options "
    "return_url use_stripe_sdk".split()
)

UPDATE: Final = _SHARED | _DESCRIBING
CONFIRM: Final = _SHARED | _CONFIRMING | {"amount_to_confirm", "client_secret", "key"}
CREATE: Final = (
    UPDATE | _CONFIRMING | {"automatic_payment_methods", "confirm", "confirmation_method", "on_behalf_of"}
)
CAPTURE: Final = frozenset(
    "amount_details amount_to_capture application_fee_amount final_capture hooks metadata payment_details "
    "statement_descriptor statement_descriptor_suffix transfer_data".split()
)
CANCEL: Final = frozenset({"cancellation_reason"})
SETUP: Final = frozenset(
    "allowed_payment_method_types attach_to_self automatic_payment_methods confirm confirmation_token "
    "customer customer_account description excluded_payment_method_types flow_directions mandate_data "
    "metadata on_behalf_of payment_method payment_method_configuration payment_method_data "
    "payment_method_options payment_method_types return_url single_use usage use_stripe_sdk".split()
)
CONFIRM_SETUP: Final = frozenset(
    "allowed_payment_method_types client_secret confirmation_token key mandate_data payment_method "
    "payment_method_data payment_method_options return_url use_stripe_sdk".split()
)
PRODUCT: Final = frozenset(
    "active default_price_data description id images marketing_features metadata name package_dimensions "
    "shippable statement_descriptor tax_code unit_label url".split()
)
SUBSCRIBE: Final = frozenset(
    "customer default_payment_method description items metadata off_session payment_behavior "
    "payment_settings trial_period_days".split()
)
RESUBSCRIBE: Final = frozenset(
    "cancel_at_period_end cancellation_details default_payment_method description items metadata "
    "pause_collection payment_behavior proration_behavior".split()
)
UPDATE_METHOD: Final = frozenset("allow_redisplay billing_details card metadata us_bank_account".split())
REFUND: Final = frozenset(
    "amount charge currency customer instructions_email metadata origin payment_intent reason "
    "refund_application_fee reverse_transfer".split()
)
METHOD: Final = frozenset(
    "allow_redisplay billing_details card customer key metadata radar_options type".split()
)
ATTACH: Final = frozenset({"customer", "customer_account"})
CUSTOMER: Final = frozenset(
    "address balance cash_balance description email invoice_prefix invoice_settings metadata name "
    "next_invoice_sequence payment_method phone preferred_locales shipping "
    "source tax tax_exempt test_clock".split()
)

# Presentment currencies (2026-11, https://docs.stripe.com/currencies).
CURRENCIES: Final = frozenset(
    "aed afn all amd ang aoa ars aud awg azn bam bbd bdt bgn bhd bif bmd bnd bob brl bsd bwp byn bzd "
    "cad cdf chf clp cny cop crc cve czk djf dkk dop dzd egp etb eur fjd fkp gbp gel gip gmd gnf gtq "
    "gyd hkd hnl htg huf idr ils inr isk jmd jod jpy kes kgs khr kmf krw kwd kyd kzt lak lbp lkr lrd "
    "lsl mad mdl mga mkd mmk mnt mop mur mvr mwk mxn myr mzn nad ngn nio nok npr nzd omr pab pen pgk "
    "php pkr pln pyg qar ron rsd rub rwf sar sbd scr sek sgd shp sle sos srd std szl thb tjs tnd top "
    "try ttd twd tzs uah ugx usd uyu uzs vnd vuv wst xaf xcd xcg xof xpf yer zar zmw".split()
)
