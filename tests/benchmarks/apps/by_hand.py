"""What a shop writes for itself: FastAPI, SQLAlchemy's ORM and the Stripe SDK, as their guides show them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import stripe
from fastapi import Depends, FastAPI, Header, HTTPException
from pydantic import BaseModel, ConfigDict, Field, computed_field
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase

from bridge_payments.models import new_id, new_reference
from bridge_payments.stores.sql.tables import payments

from . import raw


class Base(DeclarativeBase):
    pass


class Payment(Base):
    __table__ = payments
    payload = payments.c.metadata  # SQLAlchemy keeps the name `metadata` for itself

    @property
    def details(self) -> dict[str, Any]:
        return json.loads(self.payload) if self.payload else {}


# --- shapes ---------------------------------------------------------------------------------------


class PaymentIn(BaseModel):
    total_cents: int = Field(gt=0)
    currency: str = Field(min_length=3, max_length=3)
    description: str | None = None
    reference_code: str | None = None
    metadata: dict[str, Any] = Field(default_factory=dict)


class Summary(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: str
    status: str
    provider_id: str | None
    provider_intent_id: str | None
    currency: str
    total_cents: int
    updated_at: datetime
    subtotal_cents: int
    tax_cents: int
    discount_cents: int
    captured_amount_cents: int = Field(validation_alias="captured_cents")
    refunded_amount_cents: int = Field(validation_alias="refunded_cents")
    description: str | None
    concept: str | None
    reference_code: str | None
    category: str | None
    tags: str | None
    metadata: dict[str, Any] = Field(validation_alias="details")
    user_id: str | None
    organization_id: str | None
    project_id: str | None
    payment_method_id: str | None
    payment_method: None = None
    provider_payment_id: str | None
    is_guest_payment: bool
    guest_email: str | None
    is_manual_payment: bool
    livemode: bool | None
    created_at: datetime
    completed_at: datetime | None
    outcome: None = None
    operation_id: None = None

    @computed_field
    def amount_cents(self) -> int:
        return self.total_cents


class Pricing(BaseModel):
    subtotal_cents: int
    tax_cents: int
    discount_cents: int
    total_cents: int


class Detail(Summary):
    client_secret: str | None
    next_action: None = None
    guest_data: None = None
    guest_name: None = None
    guest_token: None = None
    error_message: None = None
    capture_method: str
    setup_future_usage: str | None
    authorized_amount_cents: int = Field(validation_alias="authorized_cents")
    disputed_amount_cents: int = Field(validation_alias="disputed_cents")
    decline_code: str | None
    review: bool
    customer_id: str | None
    billing_address_id: str | None
    subscription_id: str | None
    order_id: str | None
    applied_coupons: None = None
    manual_payment_method: str | None
    manual_payment_reference: str | None
    manual_payment_date: datetime | None
    paid_at: datetime | None
    version: int

    @computed_field
    def pricing(self) -> Pricing:
        return Pricing(
            subtotal_cents=self.subtotal_cents,
            tax_cents=self.tax_cents,
            discount_cents=self.discount_cents,
            total_cents=self.total_cents,
        )

    @computed_field
    def requires_action(self) -> bool:
        return self.status == "requires_action"


class Pagination(BaseModel):
    total: int
    page: int
    pageSize: int  # noqa: N815 - the names of the wire
    totalPages: int  # noqa: N815


class Meta(BaseModel):
    query: str = ""
    page: int = 1
    limit: int
    total: int
    totalPages: int  # noqa: N815
    hasMore: bool  # noqa: N815
    orderBy: str | None = None  # noqa: N815
    orderDir: str | None = None  # noqa: N815
    pagination: Pagination


class One(BaseModel):
    success: bool = True
    data: Detail
    meta: Meta
    user_context: dict[str, Any]


class Created(BaseModel):
    success: bool = True
    data: Detail


class Many(BaseModel):
    success: bool = True
    data: list[Summary]
    meta: Meta
    user_context: dict[str, Any]


def _meta(total: int, limit: int, **order: str) -> Meta:
    pages = -(-total // limit)
    pagination = Pagination(total=total, page=1, pageSize=limit, totalPages=pages)
    return Meta(limit=limit, total=total, totalPages=pages, hasMore=pages > 1, pagination=pagination, **order)


def _one(payment: Payment, user: str) -> One:
    context = {"access_method": "user_id_access", "is_owner": True, "is_admin": False}
    return One(data=Detail.model_validate(payment), meta=_meta(1, 1), user_context=_context(user) | context)


def _context(user: str) -> dict[str, Any]:
    return {"authenticated": True, "user_id": user, "user_type": "user", "user_email": None}


# --- the application ------------------------------------------------------------------------------


def build(database: str, gateway: str) -> Any:
    # As many connections as the other applications have; the default of five would be closed and opened.
    engine = create_async_engine(database.replace("://", "+asyncpg://", 1), pool_size=10)
    sessions = async_sessionmaker(engine, expire_on_commit=False)
    client = stripe.StripeClient("sk_test_bench", base_addresses={"api": gateway})

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await engine.dispose()

    async def session() -> AsyncIterator[AsyncSession]:
        async with sessions() as opened:
            yield opened

    async def signed_in(x_user: Annotated[str | None, Header()] = None) -> str:
        if x_user is None:
            raise HTTPException(401)
        return x_user

    app = FastAPI(lifespan=lifespan)
    db, user = Depends(session), Depends(signed_in)

    @app.get(raw.PREFIX + "/{payment_id}", response_model=One)
    async def get(payment_id: str, db: AsyncSession = db, user: str = user) -> One:
        payment = await db.get(Payment, payment_id)
        if payment is None:
            raise HTTPException(404)
        if payment.user_id != user:
            raise HTTPException(403)
        return _one(payment, user)

    @app.get(raw.PREFIX, response_model=Many)
    async def page(page: int = 1, limit: int = 20, db: AsyncSession = db, user: str = user) -> Many:
        mine = select(Payment).where(Payment.user_id == user)
        total = await db.scalar(select(func.count()).select_from(mine.subquery())) or 0
        found = await db.scalars(mine.order_by(Payment.id.desc()).limit(limit).offset((page - 1) * limit))
        return Many(
            data=[Summary.model_validate(payment) for payment in found],
            meta=_meta(total, limit, orderBy="created_at", orderDir="desc"),
            user_context=_context(user) | {"search_method": "user_id"},
        )

    @app.post(raw.PREFIX + "/intents", response_model=Created)
    async def create(given: PaymentIn, db: AsyncSession = db, user: str = user) -> Created:
        now = datetime.now(UTC)
        payment = Payment(
            id=new_id("pay"), status="pending", provider_id="stripe", currency=given.currency.upper(),
            total_cents=given.total_cents, subtotal_cents=given.total_cents, tax_cents=0, discount_cents=0,
            captured_cents=0, refunded_cents=0, authorized_cents=0, disputed_cents=0, refund_reserved_cents=0,
            sync_count=0, version=1, review=False, description=given.description, user_id=user,
            reference_code=given.reference_code, payload=json.dumps(given.metadata), is_guest_payment=False,
            is_manual_payment=False, capture_method="automatic", reference=new_reference(), created_at=now,
            updated_at=now, client_secret_expires_at=now + timedelta(days=1),
        )  # fmt: skip
        db.add(payment)
        await db.commit()
        intent = await client.v1.payment_intents.create_async(
            {
                "amount": payment.total_cents,
                "currency": given.currency.lower(),
                "description": given.description or "",
                "metadata": {
                    **given.metadata,
                    "bridge_payment_id": payment.id,
                    "bridge_reference": payment.reference,
                },
            },
            {"idempotency_key": payment.id},
        )
        payment.provider_intent_id = intent.id
        payment.client_secret = intent.client_secret
        payment.livemode = intent.livemode
        payment.updated_at = datetime.now(UTC)
        payment.version = 2
        await db.commit()
        return Created(data=Detail.model_validate(payment))

    return app
