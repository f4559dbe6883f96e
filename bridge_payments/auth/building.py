"""Build the sources of identity that settings name."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..models import Clock
from ..settings import Settings
from ..transport import Transport
from .base import Authenticator
from .binding import Binding
from .credentials import Carriers
from .flowless import Flowless
from .guesses import Guesses
from .sessions import FlowlessLogin
from .tokens import TokenLogin

__all__ = ["sources"]


def sources(
    settings: Settings, *, clock: Clock, timer: Callable[[], float]
) -> tuple[Sequence[Authenticator], Transport | None]:
    """Return the sources, in the order in which they are asked, and the transport that they share.

    Raises: ConfigurationError naming what is missing, MissingExtra.
    """
    if settings.jwt_jwks_url is None and settings.flowless_api_url is None:
        return (), None
    # Not the providers' transport: BRIDGE_PROXY is their way out, and Flowless is often next door.
    transport = Transport.for_issuers(settings)
    chain: list[Authenticator] = []
    if settings.jwt_jwks_url is not None:
        chain.append(_tokens(settings, settings.jwt_jwks_url, transport, clock, timer))
    if settings.flowless_api_url is not None:
        chain.append(_flowless(settings, settings.flowless_api_url, transport, clock, timer))
    return chain, transport


def _tokens(
    settings: Settings, url: str, transport: Transport, clock: Clock, timer: Callable[[], float]
) -> TokenLogin:
    settings.require("jwt_issuer", "jwt_audience")
    assert settings.jwt_issuer is not None
    return TokenLogin(
        url,
        issuer=settings.jwt_issuer,
        audience=settings.jwt_audience,
        transport=transport,
        algorithms=settings.jwt_algorithms,
        user_type_claim=settings.jwt_user_type_claim,
        admin_types=settings.admin_user_types,
        money_max_age=settings.jwt_money_max_age,
        timer=timer,
        clock=clock,
    )


def _flowless(
    settings: Settings, url: str, transport: Transport, clock: Clock, timer: Callable[[], float]
) -> FlowlessLogin:
    settings.require("bridge_validation_secret")
    assert settings.bridge_validation_secret is not None
    flowless = Flowless(
        url,
        settings.bridge_validation_secret.get_secret_value(),
        transport=transport,
        validate_path=settings.flowless_validate_path,
        timeout=min(
            settings.bridge_validation_timeout,
            settings.auth_request_timeout or settings.bridge_validation_timeout,
        ),
        attempts=settings.bridge_retry_attempts,
        deadline=settings.auth_timeout,
        clock=clock,
    )
    most = settings.max_auth_attempts
    remembered = 1.0 if settings.cache_enabled else 0.0
    return FlowlessLogin(
        flowless,
        carriers=Carriers(
            session_header=settings.session_header_name.lower(), session_cookie=settings.session_cookie_name
        ),
        binding=Binding(
            mode=settings.auth_validation_mode if settings.auth_enable_validation_mode else "DISABLED",
            ip=settings.auth_ip_validation,
            user_agent=settings.auth_user_agent_validation,
            device=settings.auth_device_validation,
            auto_invalidate=settings.auth_auto_invalidate,
            log=settings.auth_log_violations,
        ),
        admin_types=settings.admin_user_types,
        session_ttl=settings.session_validation_cache_ttl * remembered,
        guest_ttl=settings.guest_token_cache_ttl * remembered,
        refresh_after=settings.session_refresh_after,
        max_entries=settings.auth_cache_max_entries,
        guesses=None if most is None else Guesses(most, window=settings.rate_limit_window),
        timer=timer,
        clock=clock,
    )
