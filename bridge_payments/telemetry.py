"""What is logged and what never is."""

from __future__ import annotations

import logging

__all__ = ["quiet_vendor_loggers"]


def quiet_vendor_loggers() -> None:
    for name in ("stripe", "urllib3", "httpx", "aiohttp", "pyxb", "authorizenet.sdk"):
        logger = logging.getLogger(name)
        logger.setLevel(max(logger.level, logging.WARNING))
