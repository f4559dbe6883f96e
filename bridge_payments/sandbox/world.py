"""Everything that the sandbox runs, built and wired as an application of yours would build and wire it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, cast

from ..auth import AuthBridge, Binding, Carriers, Flowless, FlowlessLogin
from ..bridge import Bridge
from ..engine import PaymentEngine
from ..errors import ConfigurationError
from ..models import Event
from ..settings import Settings
from ..stores.sql import SQLStore
from ..transport import Transport
from ..webhooks import Endpoint, WebhookDispatcher
from .flowless import FakeFlowless
from .notebook import Notebook
from .shop import Shop
from .sink import Sink
from .tills import TILLS, Till, open_tills

if TYPE_CHECKING:
    from .stripe import FakeStripe

__all__ = ["ADMIN_COOKIE", "ADMIN_SESSION", "USER_SESSION", "Sandbox", "refuse_live_keys"]

ADMIN_SESSION: Final = "sandbox-admin"
USER_SESSION: Final = "sandbox-user"
"""Values of X-Session-ID that the sandbox believes: a merchant's admin and a customer who is signed in."""
ADMIN_COOKIE: Final = "sandbox_admin"
"""What a browser has that was at ``/dashboard``, for the admin's routes only: the shop's are a guest's."""

_SAVE_EVERY: Final = 2.0
_LIVE: Final = ("sk_live_", "rk_live_", "pk_live_")


def refuse_live_keys(env: Mapping[str, str]) -> None:
    """Raise ConfigurationError if the environment holds a key that moves real money."""
    live = {name: "holds a live key" for name, value in env.items() if value.strip().startswith(_LIVE)}
    if live:
        raise ConfigurationError("the sandbox does not run beside live keys; unset them first", invalid=live)


def open_login() -> FakeFlowless:
    """Open the login of this host application: two well-known sessions, and everybody else is a guest."""
    login = FakeFlowless()
    login.sign_in(ADMIN_SESSION, session=ADMIN_SESSION, user_type="admin", lasts=None)
    login.sign_in(USER_SESSION, session=USER_SESSION, email="user@example.com", lasts=None)
    return login


class Sandbox:
    """The fake gateways, the bridge on a real database, the shop and a subscriber. Use `lifespan`."""

    def __init__(
        self,
        *,
        database_url: str,
        port: int,
        notebook: Notebook | None = None,
        providers: Sequence[str] = tuple(TILLS),
    ) -> None:
        self.url: str = f"http://127.0.0.1:{port}"
        self.notebook: Notebook = notebook or Notebook.beside(database_url)
        self.notebook.claim()
        saved = self.notebook.read()
        self.shop: Shop = Shop(saved.get("shop"))
        self._unopened = {
            name: books for name, books in (saved.get("gateways") or {}).items() if name not in providers
        }
        """The books of gateways that this run does without."""
        self.sink: Sink = Sink()
        self.tills: Mapping[str, Till] = open_tills(
            providers, port=port + 1, saved=saved.get("gateways") or {"stripe": saved.get("gateway")}
        )
        for till in self.tills.values():
            till.keep_with(self.save)
        settings = Settings(
            environment="sandbox",
            allow_sandbox=True,
            admin_ui_enabled=True,
            port=port,
            cors_origins=(self.url, f"http://localhost:{port}"),
            guest_max_payments_per_email=1000,
            rate_limit_enabled=False,
            # An order is paid once, in however many tabs it is open.
            unique_reference=True,
        )
        self.store: SQLStore = SQLStore(database_url)
        # Somebody is watching: a gateway that hangs is given up after six seconds instead of twenty-five.
        self.transport: Transport = Transport(connect_timeout=2, total_timeout=6)
        self.login: FakeFlowless = open_login()
        known = FlowlessLogin(
            Flowless(self.login.url, self.login.secret, transport=self.transport),
            carriers=Carriers(session_cookie=ADMIN_COOKIE),
            binding=Binding(mode="DISABLED"),  # one session for everybody who tries something, from anywhere
        )
        accounts = {
            name: till.account(self.transport, f"{self.url}/bridge-payment/webhooks/{name}")
            for name, till in self.tills.items()
        }
        engine = PaymentEngine(
            self.store,
            accounts,
            approve=self.shop.approve,
            settings=settings,
            transport=self.transport,
        )
        subscriber = Endpoint(
            name="subscriber",
            url=f"{self.url}/sandbox/subscriber",
            events=("*",),
            secrets=(self.sink.secret,),
            schedule=(0.0, 2.0, 5.0, 15.0, 60.0, 300.0),
        )
        webhooks = WebhookDispatcher(self.store, endpoints=[subscriber], allow_hosts=["127.0.0.1"])
        webhooks.on("*", name="shop")(self._hear)
        auth = AuthBridge(chain=[known])
        self.bridge: Bridge = Bridge(engine, auth=auth, webhooks=webhooks, settings=settings)

    @contextlib.asynccontextmanager
    async def lifespan(self, app: object = None) -> AsyncIterator[None]:
        """Bring the schema up to date and run everything until the end."""
        await self.store.upgrade()
        self.login.serve()
        for till in self.tills.values():
            till.gateway.serve()
        saving = asyncio.create_task(self._save_now_and_then())
        try:
            async with self.bridge:
                yield
        finally:
            saving.cancel()
            await asyncio.wait({saving})
            for till in self.tills.values():
                await asyncio.to_thread(till.gateway.stop)
            await asyncio.to_thread(self.login.stop)
            await self.transport.aclose()
            self.save()
            self.notebook.release()

    @property
    def gateway(self) -> FakeStripe:
        """The fake Stripe, for whoever tries things with it."""
        return cast("FakeStripe", self.tills["stripe"].gateway)

    def save(self) -> None:
        """Write down what gateways and shop know; when this returns, a kill forgets none of it."""
        self.notebook.write(self._content)

    def _hear(self, event: Event) -> None:
        self.shop.hear(event)
        self.save()

    async def _save_now_and_then(self) -> None:
        while True:
            await asyncio.sleep(_SAVE_EVERY)
            await asyncio.to_thread(self.save)

    def _content(self) -> dict[str, Any]:
        books = {name: till.dump() for name, till in self.tills.items()}
        return {"shop": self.shop.dump(), "gateways": {**self._unopened, **books}}
