"""From what an entry holds to the core's clients."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import httpx
from homeassistant.const import CONF_HOST, CONF_PASSWORD, CONF_PORT, CONF_SSL, CONF_USERNAME, CONF_VERIFY_SSL
from homeassistant.core import HomeAssistant
from homeassistant.helpers.httpx_client import get_async_client
from homeassistant.util.ssl import client_context, client_context_no_verify

from ..client import DEFAULT_GATEWAY, Account, AsyncClient, Receipt
from ..client.cmpp import CMPPClient, Status
from ..client.cmpp.acknowledger import OnIncoming
from ..const import (
    CONF_CMPP,
    CONF_GATEWAY,
    CONF_HTTP,
    CONF_PACKET_SIZE,
    CONF_PASSWORD_MD5,
    CONF_PRODUCT_ID,
    CONF_PROXY,
    CONF_RATE,
    CONF_SERVICE_ID,
    CONF_SIGNATURE,
    CONF_SIGNATURE_PLACE,
    CONF_SOURCE_NUMBER,
    CONF_SP_ID,
)
from .failover import OnReceipt, Ways
from .spending import spending_limits

# Each PDU over CMPP, masked, where this logger is at DEBUG.
_WIRE = logging.getLogger("custom_components.sms1680.cmpp_wire")

# What the core takes under the same name, for both ways and for HTTP alone.
_COMMON = (CONF_SIGNATURE, CONF_SIGNATURE_PLACE, CONF_RATE)
_SETTINGS = (*_COMMON, CONF_PACKET_SIZE, CONF_PROXY)


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
    settings = _chosen(options, _SETTINGS)
    make = partial(
        AsyncClient,
        make_account(http),
        http_client=None if CONF_PROXY in settings else get_async_client(hass),
        gateway=http.get(CONF_GATEWAY, DEFAULT_GATEWAY),
        on_receipt=on_receipt,
        spending=spending_limits(options),
        **settings,
    )
    return await hass.async_add_executor_job(make)


async def async_make_cmpp_client(
    hass: HomeAssistant,
    cmpp: Mapping[str, Any],
    options: Mapping[str, Any],
    http: Mapping[str, Any] | None = None,
    **handlers: Any,
) -> CMPPClient:
    """Return a client over CMPP, not connected yet.

    http: the HTTP way of the same account, whose pace it shares. handlers: on_receipt, on_incoming and on_status, as
    the core has them. Made off the loop, as above. Raises InvalidSettingError.
    """
    make = partial(
        CMPPClient,
        cmpp[CONF_HOST],
        cmpp[CONF_PORT],
        sp_id=cmpp[CONF_SP_ID],
        secret=cmpp[CONF_PASSWORD],
        source_number=cmpp[CONF_SOURCE_NUMBER],
        service_id=cmpp.get(CONF_SERVICE_ID, ""),
        tls=_tls_context(cmpp),
        join_reports=False,  # the message store does, over a restart too
        http_account=(http.get(CONF_GATEWAY, DEFAULT_GATEWAY), http[CONF_USERNAME]) if http else None,
        spending=spending_limits(options),
        wire_log=partial(_WIRE.debug, "%s"),
        **_chosen(options, _COMMON),
        **handlers,
    )
    return await hass.async_add_executor_job(make)


async def async_make_ways(
    hass: HomeAssistant,
    data: Mapping[str, Any],
    options: Mapping[str, Any],
    *,
    on_receipt: OnReceipt,
    on_incoming: OnIncoming,
    on_status: Callable[[Status], object],
) -> Ways:
    """Return the ways of an account, as its entry's data has them. The CMPP way is not connected yet.

    Raises InvalidSettingError.
    """
    ways = Ways(on_receipt)
    http = data.get(CONF_HTTP)
    if http is not None:
        ways.http = await async_make_client(hass, http, options, ways.heard_http)
    if (cmpp := data.get(CONF_CMPP)) is not None:
        ways.cmpp = await async_make_cmpp_client(
            hass, cmpp, options, http, on_receipt=ways.heard_cmpp, on_incoming=on_incoming, on_status=on_status
        )
    return ways


def is_usable_proxy(address: str | None) -> bool:
    """Return whether an address is empty or a usable proxy.

    SOCKS is not usable: httpx supports it only with a library that Home Assistant does not include.
    """
    if not address:
        return True
    try:
        httpx.Client(proxy=address, verify=False, trust_env=False).close()  # noqa: S501 - no connection is made
        return urlsplit(address).port != 0 and not any(sign.isspace() for sign in address)
    except (ValueError, ImportError, httpx.InvalidURL):
        return False


def _tls_context(cmpp: Mapping[str, Any]) -> ssl.SSLContext | None:
    if not cmpp.get(CONF_SSL):
        return None
    return client_context() if cmpp.get(CONF_VERIFY_SSL, True) else client_context_no_verify()


def _chosen(options: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    return {name: options[name] for name in names if options.get(name) is not None}
