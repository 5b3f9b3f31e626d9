"""What a dialog can find out about an account before it is saved: what is written wrongly, what the platform says."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from ipaddress import IPv6Address
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
from homeassistant.const import CONF_HOST, CONF_PASSWORD, CONF_PORT, CONF_SSL, CONF_USERNAME, CONF_VERIFY_SSL
from homeassistant.core import HomeAssistant

from ..account.clients import async_make_client, async_make_cmpp_client
from ..client import Account, Reason, SMS1680Error
from ..client.account import gateway_url
from ..client.cmpp.compose import SubmitSettings
from ..client.errors import InvalidSettingError, NoAnswerError
from ..client.text import Signature
from ..const import (
    CONF_CMPP,
    CONF_GATEWAY,
    CONF_HTTP,
    CONF_PASSWORD_MD5,
    CONF_PRODUCT_ID,
    CONF_SERVICE_ID,
    CONF_SIGNATURE,
    CONF_SOURCE_NUMBER,
    CONF_SP_ID,
)

CONF_PASSWORD_FORM: Final = "password_form"  # noqa: S105 - a name
FORM_MD5: Final = "md5"
FORM_PLAIN_FOR_BALANCE: Final = "plain_for_balance"
FORM_GIVEN_AS_MD5: Final = "given_as_md5"
PASSWORD_FORMS: Final = [FORM_MD5, FORM_PLAIN_FOR_BALANCE, FORM_GIVEN_AS_MD5]

# Of the balance's answers: a product that is not the account's has no code of its own there, it is "failed".
_ERRORS: Final[Mapping[Reason, str]] = {
    Reason.AUTHENTICATION: "invalid_auth",
    Reason.IP: "ip",
    Reason.FAILED: "product",
    Reason.TOO_FAST: "too_fast",
    Reason.PERMISSION: "permission",
    Reason.NO_CONNECTION: "cannot_connect",
    Reason.LOST: "no_answer",
    Reason.WRONG_ADDRESS: "wrong_address",
    Reason.NOT_UNDERSTOOD: "not_understood",
}
NOT_PERMITTED: Final = "permission"

# Of a login over CMPP (document, 3.2).
_CMPP_ERRORS: Final[Mapping[Reason, str]] = {
    Reason.AUTHENTICATION: "cmpp_auth",
    Reason.IP: "cmpp_ip",
    Reason.VERSION: "cmpp_version",
    Reason.SUSPENDED: "cmpp_suspended",
    Reason.MALFORMED: "cmpp_refused",
    Reason.LOGIN: "cmpp_refused",
    Reason.NO_CONNECTION: "cmpp_cannot_connect",
    Reason.LOST: "no_answer",
}
_FIELD_ERRORS: Final = {
    CONF_SP_ID: "invalid_sp_id",
    CONF_SOURCE_NUMBER: "invalid_source_number",
    CONF_SERVICE_ID: "invalid_service_id",
}
_LOGIN_PATIENCE: Final = 10.0  # seconds
_NO_HOST: Final = frozenset("/@?#[]\\")


def parse_http(given: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the HTTP way as an entry keeps it, and what is written wrongly (field to error).

    Of the password only what goes over the wire is kept: its MD5, unless the platform wants the plain one for the
    balance.
    """
    errors: dict[str, str] = {}
    form = given.get(CONF_PASSWORD_FORM, FORM_MD5)
    password = given[CONF_PASSWORD]
    way = {
        CONF_USERNAME: given[CONF_USERNAME].strip(),
        CONF_PRODUCT_ID: given[CONF_PRODUCT_ID].strip(),
        CONF_GATEWAY: given[CONF_GATEWAY].strip(),
    }
    try:
        way[CONF_GATEWAY] = gateway_url(way[CONF_GATEWAY])
    except InvalidSettingError:
        errors[CONF_GATEWAY] = "invalid_gateway"
    for name in (CONF_USERNAME, CONF_PRODUCT_ID):
        if not way[name]:
            errors[name] = "empty"
        elif not way[name].isprintable():
            errors[name] = "invisible_signs"
    try:
        account = Account(
            "anyone",
            password if form != FORM_GIVEN_AS_MD5 else None,
            password_md5=password if form == FORM_GIVEN_AS_MD5 else None,
            product_id="any",
        )
    except InvalidSettingError:
        wrong = "md5_expected" if form == FORM_GIVEN_AS_MD5 else "md5_given"
        errors[CONF_PASSWORD] = wrong if password else "empty"
    else:
        way |= {CONF_PASSWORD: password} if form == FORM_PLAIN_FOR_BALANCE else {CONF_PASSWORD_MD5: account.password}
    return way, errors


def parse_cmpp(given: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the CMPP way as an entry keeps it, and what is written wrongly (field to error)."""
    way = {
        CONF_HOST: _one_spelling(given[CONF_HOST].strip()),
        CONF_PORT: int(given[CONF_PORT]),
        CONF_SSL: given.get(CONF_SSL, False),
        CONF_VERIFY_SSL: given.get(CONF_VERIFY_SSL, True),
        CONF_SP_ID: given[CONF_SP_ID].strip(),
        CONF_PASSWORD: given[CONF_PASSWORD],
        CONF_SOURCE_NUMBER: given[CONF_SOURCE_NUMBER].strip(),
        CONF_SERVICE_ID: given.get(CONF_SERVICE_ID, "").strip(),
    }
    errors: dict[str, str] = {}
    if not _is_host(way[CONF_HOST]):
        errors[CONF_HOST] = "invalid_host"
    if not way[CONF_PASSWORD]:
        errors[CONF_PASSWORD] = "empty"
    right = {CONF_SP_ID: "1", CONF_SOURCE_NUMBER: "1", CONF_SERVICE_ID: ""}
    for name, error in _FIELD_ERRORS.items():
        try:
            SubmitSettings(**{**right, name: way[name]})
        except InvalidSettingError:
            errors[name] = error
    return way, errors


def _one_spelling(host: str) -> str:
    """Return a host as it is compared: accounts are told apart by it."""
    return host.lower().rstrip(".")


def _is_host(host: str) -> bool:
    """Tell whether it is a name or an address alone: with a colon, an IPv6 address."""
    if ":" in host:
        try:
            IPv6Address(host)
        except ValueError:
            return False
    return bool(host) and not any(sign.isspace() or sign in _NO_HOST for sign in host)


def signature_errors(given: Mapping[str, Any]) -> dict[str, str]:
    """Return what is wrong with a signature; none at all is allowed."""
    if signature := given.get(CONF_SIGNATURE):
        try:
            Signature(signature)
        except InvalidSettingError:
            return {CONF_SIGNATURE: "invalid_signature"}
    return {}


def is_usable_proxy(address: str | None) -> bool:
    """Tell whether an address is one of a proxy; none at all is allowed.

    httpx takes SOCKS only with a library that Home Assistant does not bring.
    """
    if not address:
        return True
    try:
        httpx.Client(proxy=address, verify=False, trust_env=False).close()  # noqa: S501 - it connects to nobody
        return urlsplit(address).port != 0 and not any(sign.isspace() for sign in address)
    except (ValueError, ImportError, httpx.InvalidURL):
        return False


def transport_id(name: str, way: Mapping[str, Any]) -> str:
    """Return what an account is told apart by: where it is, whose, and over HTTP which product."""
    if name == CONF_CMPP:
        return f"{_one_spelling(way[CONF_HOST])} {way[CONF_SP_ID]}"
    return f"{gateway_url(way[CONF_GATEWAY])} {way[CONF_USERNAME]} {way[CONF_PRODUCT_ID]}"


def account_id(data: Mapping[str, Any]) -> str:
    """Return the id of an account with these ways: the HTTP way's where it has one."""
    name = CONF_HTTP if CONF_HTTP in data else CONF_CMPP
    return transport_id(name, data[name])


async def async_check_http_account(
    hass: HomeAssistant, way: Mapping[str, Any], options: Mapping[str, Any]
) -> str | None:
    """Ask the platform for the balance; return None where it told it, else the error's name."""
    try:
        client = await async_make_client(hass, way, options)
    except InvalidSettingError:
        # What was given is checked before this: it is a proxy of the options that can't be used any more.
        return "invalid_proxy"
    try:
        await client.balance()
    except SMS1680Error as error:
        return _ERRORS.get(error.reason, "not_understood") if error.reason else "not_understood"
    finally:
        await client.aclose()
    return None


async def async_check_cmpp_login(hass: HomeAssistant, way: Mapping[str, Any]) -> str | None:
    """Log in and out again; return None where the platform let us, else the error's name."""
    client = await async_make_cmpp_client(hass, way, {}, login_timeout=_LOGIN_PATIENCE)
    try:
        await client.try_login()
    except SMS1680Error as error:
        if isinstance(error, NoAnswerError) and error.detail == ssl.SSLCertVerificationError.__name__:
            return "cmpp_certificate"
        return _CMPP_ERRORS.get(error.reason, "cmpp_not_understood") if error.reason else "cmpp_not_understood"
    finally:
        await client.aclose()
    return None
