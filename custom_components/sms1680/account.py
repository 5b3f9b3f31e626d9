"""From what an entry holds to the core's client."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from homeassistant.const import CONF_PASSWORD, CONF_USERNAME
from homeassistant.core import HomeAssistant
from homeassistant.helpers.httpx_client import get_async_client

from .client import DEFAULT_GATEWAY, Account, AsyncClient, Receipt
from .const import (
    CONF_GATEWAY,
    CONF_PACKET_SIZE,
    CONF_PASSWORD_MD5,
    CONF_PRODUCT_ID,
    CONF_PROXY,
    CONF_RATE,
    CONF_SIGNATURE,
    CONF_SIGNATURE_PLACE,
)

# What the core takes under the same name.
_SETTINGS = (CONF_SIGNATURE, CONF_SIGNATURE_PLACE, CONF_RATE, CONF_PACKET_SIZE, CONF_PROXY)


def make_account(http: Mapping[str, Any]) -> Account:
    """Return the account of an entry's HTTP way.

    The plain password is there only where the platform wants it for the balance, else its MD5.
    Raises InvalidSettingError.
    """
    plain = http.get(CONF_PASSWORD)
    return Account(
        http[CONF_USERNAME],
        plain,
        password_md5=http.get(CONF_PASSWORD_MD5) if plain is None else None,
        product_id=http[CONF_PRODUCT_ID],
        balance_form="md5" if plain is None else "plain",
    )


async def async_make_client(
    hass: HomeAssistant,
    http: Mapping[str, Any],
    options: Mapping[str, Any],
    on_receipt: Callable[[Receipt], object] | None = None,
) -> AsyncClient:
    """Return a client over Home Assistant's own connections, or over its own where a proxy is set.

    It is made off the loop: it opens the files in which the processes of the machine share the account's pace, and for
    a proxy the certificates. Raises InvalidSettingError.
    """
    settings: dict[str, Any] = {name: options[name] for name in _SETTINGS if options.get(name) is not None}
    make = partial(
        AsyncClient,
        make_account(http),
        http_client=None if CONF_PROXY in settings else get_async_client(hass),
        gateway=http.get(CONF_GATEWAY, DEFAULT_GATEWAY),
        on_receipt=on_receipt,
        **settings,
    )
    return await hass.async_add_executor_job(make)
