"""Makes the core's clients from the data and options of a config entry."""

import importlib
import logging
import ssl
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from importlib.util import find_spec
from typing import Any
from urllib.request import getproxies

import httpx
from homeassistant.const import CONF_HOST, CONF_PASSWORD, CONF_PORT, CONF_SSL, CONF_USERNAME, CONF_VERIFY_SSL
from homeassistant.core import HomeAssistant
from homeassistant.helpers.httpx_client import get_async_client
from homeassistant.requirements import RequirementsNotFound, async_process_requirements
from homeassistant.util.ssl import client_context, client_context_no_verify

from ..client import DEFAULT_GATEWAY, Account, AsyncClient, Receipt
from ..client.cmpp import CMPPClient, Status
from ..client.cmpp.acknowledger import OnIncoming
from ..client.cmpp.proxy import read_proxy
from ..client.errors import InvalidSettingError
from ..client.limits.server_address import read_address
from ..const import (
    CONF_CMPP,
    CONF_GATEWAY,
    CONF_HTTP,
    CONF_PACKET_SIZE,
    CONF_PASSWORD_FORM,
    CONF_PASSWORD_MD5,
    CONF_PRODUCT_ID,
    CONF_PROXY,
    CONF_RATE,
    CONF_SERVICE_ID,
    CONF_SHARED_STATE,
    CONF_SIGNATURE,
    CONF_SIGNATURE_PLACE,
    CONF_SINGLE_ROWS,
    CONF_SOURCE_NUMBER,
    CONF_SP_ID,
    DOMAIN,
    FORM_PLAIN,
    FORM_PLAIN_FOR_BALANCE,
    FORM_PLAIN_FOR_MESSAGES,
)
from .aiohttp_transport import async_get_transport
from .failover import FailoverClient, ReceiptRouter
from .spending import spending_limits

# Logs each CMPP PDU, masked, at DEBUG.
_WIRE = logging.getLogger("custom_components.sms1680.cmpp_wire")

# The options that the core's clients take under the same name: both of them, and the HTTP client alone.
_COMMON = (CONF_SIGNATURE, CONF_SIGNATURE_PLACE, CONF_RATE, CONF_PROXY)
_SETTINGS = (*_COMMON, CONF_PACKET_SIZE, CONF_SINGLE_ROWS)

# The manifest requires neither the client of Valkey and Redis nor the library for SOCKS, because few homes need them.
# Home Assistant installs them when an account names a server or such a proxy.
_REDIS = "redis>=5.0.0,<9"
_SOCKSIO = "socksio>=1.0.0,<2"
_SOCKS = ("socks5", "socks5h")


def make_account(http: Mapping[str, Any]) -> Account:
    """Return the account of an entry's HTTP transport.

    The entry has the plain password only if the platform requires it, otherwise its MD5. Raises InvalidSettingError.
    """
    plain = http.get(CONF_PASSWORD)
    form = None if plain is None else http.get(CONF_PASSWORD_FORM, FORM_PLAIN_FOR_BALANCE)
    return Account(
        http[CONF_USERNAME],
        plain,
        password_md5=http.get(CONF_PASSWORD_MD5) if plain is None else None,
        product_id=http[CONF_PRODUCT_ID],
        form="plain" if form in (FORM_PLAIN, FORM_PLAIN_FOR_MESSAGES) else "md5",
        balance_form="plain" if form in (FORM_PLAIN, FORM_PLAIN_FOR_BALANCE) else "md5",
    )


async def async_make_client(
    hass: HomeAssistant,
    http: Mapping[str, Any],
    options: Mapping[str, Any],
    on_receipt: Callable[[Receipt], object] | None = None,
    *,
    guarded: bool = True,
) -> AsyncClient:
    """Return an HTTP client that uses Home Assistant's aiohttp connections.

    With a proxy of the account, it uses its own httpx connections, and with a proxy of the environment those of Home
    Assistant's httpx client.

    It is made in the executor, because it opens the files that share the account's pace between the processes of the
    machine, and for a proxy also the certificates. guarded: False if the caller holds the spending limits itself.
    Raises InvalidSettingError.
    """
    if is_socks_proxy(options.get(CONF_PROXY)):
        await async_has_socks(hass)  # without it, the client names the missing package
    settings = _chosen(options, _SETTINGS) | await _async_shared_state(hass, options)
    gateway = http.get(CONF_GATEWAY, DEFAULT_GATEWAY)
    if CONF_PROXY not in settings:
        if has_environment_proxy(gateway):
            settings["http_client"] = get_async_client(hass)
        else:
            settings["carrier"] = async_get_transport(hass)
    make = partial(
        AsyncClient,
        make_account(http),
        gateway=gateway,
        on_receipt=on_receipt,
        spending=spending_limits(options) if guarded else None,
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
    """Return a CMPP client that is not connected yet.

    http: the HTTP transport of the same account; both share its pace. handlers: on_receipt, on_incoming and on_status
    of the core's client. Made in the executor, as above. Raises InvalidSettingError, also for a SOCKS proxy.
    """
    shared_state = await _async_shared_state(hass, options)
    make = partial(
        CMPPClient,
        cmpp[CONF_HOST],
        cmpp[CONF_PORT],
        sp_id=cmpp[CONF_SP_ID],
        secret=cmpp[CONF_PASSWORD],
        source_number=cmpp[CONF_SOURCE_NUMBER],
        service_id=cmpp.get(CONF_SERVICE_ID, ""),
        tls=_tls_context(cmpp),
        join_reports=False,  # the message store joins them, also across restarts
        http_account=(http.get(CONF_GATEWAY, DEFAULT_GATEWAY), http[CONF_USERNAME]) if http else None,
        spending=spending_limits(options),
        wire_log=partial(_WIRE.debug, "%s"),
        **_chosen(options, _COMMON),
        **shared_state,
        **handlers,
    )
    return await hass.async_add_executor_job(make)


async def async_make_failover_client(
    hass: HomeAssistant,
    data: Mapping[str, Any],
    options: Mapping[str, Any],
    *,
    receipts: ReceiptRouter,
    on_incoming: OnIncoming,
    on_status: Callable[[Status], object],
) -> FailoverClient:
    """Return the client of an account, over the transports in its entry's data. CMPP is not connected yet.

    Raises InvalidSettingError.
    """
    http, cmpp = data.get(CONF_HTTP), data.get(CONF_CMPP)
    http_client = cmpp_client = None
    if http is not None:
        http_client = await async_make_client(hass, http, options, receipts.on_receipt(CONF_HTTP))
    if cmpp is not None:
        on_receipt = receipts.on_receipt(CONF_CMPP)
        cmpp_client = await async_make_cmpp_client(
            hass, cmpp, options, http, on_receipt=on_receipt, on_incoming=on_incoming, on_status=on_status
        )
    return FailoverClient(http_client, cmpp_client, receipts)


async def async_has_redis(hass: HomeAssistant) -> bool:
    """Return whether the package redis is installed. Install it first if it is not and Home Assistant may do so."""
    return await _async_has_package(hass, "redis", _REDIS)


async def async_has_socks(hass: HomeAssistant) -> bool:
    """Return whether the package socksio is installed. Install it first if it is not and Home Assistant may do so."""
    return await _async_has_package(hass, "socksio", _SOCKSIO)


async def _async_has_package(hass: HomeAssistant, name: str, requirement: str) -> bool:
    if await hass.async_add_executor_job(find_spec, name) is None:
        try:
            await async_process_requirements(hass, DOMAIN, [requirement])
        except RequirementsNotFound:
            return False
        importlib.invalidate_caches()
    return await hass.async_add_executor_job(find_spec, name) is not None


def is_server_address(address: str | None) -> bool:
    """Return whether an address is empty or that of a Valkey or Redis server."""
    if not address:
        return True
    try:
        read_address(address)
    except InvalidSettingError:
        return False
    return True


async def _async_shared_state(hass: HomeAssistant, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the setting of the core's clients for the shared state.

    Without the package redis, the client warns and shares the state within this machine only.
    """
    if not (address := options.get(CONF_SHARED_STATE)):
        return {}
    await async_has_redis(hass)
    return {"state": address}


def is_usable_proxy(address: str | None) -> bool:
    """Return whether an address is empty or that of an HTTP or SOCKS5 proxy."""
    if not address:
        return True
    if is_socks_proxy(address):  # its package is perhaps not installed yet, and the rest has the same form
        address = f"http://{address.partition('://')[2]}"
    try:
        httpx.Client(proxy=address, verify=False, trust_env=False).close()  # noqa: S501 - no connection is made
        read_proxy(address)
        return not any(sign.isspace() for sign in address)
    except (ValueError, ImportError, httpx.InvalidURL):
        return False


def has_environment_proxy(gateway: str) -> bool:
    """Return whether the environment has a proxy for this kind of address. Only httpx uses it."""
    return not getproxies().keys().isdisjoint({gateway.partition("://")[0].strip().lower(), "all"})


def is_socks_proxy(address: str | None) -> bool:
    """Return whether an address is that of a SOCKS5 proxy. Only HTTP can use it, with the package socksio."""
    return (address or "").partition("://")[0].lower() in _SOCKS


def _tls_context(cmpp: Mapping[str, Any]) -> ssl.SSLContext | None:
    if not cmpp.get(CONF_SSL):
        return None
    return client_context() if cmpp.get(CONF_VERIFY_SSL, True) else client_context_no_verify()


def _chosen(options: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    return {name: options[name] for name in names if options.get(name) is not None}
