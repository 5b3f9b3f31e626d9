"""Validation of dialogs: checks of the input, and attempts to reach the platform with it."""

import ssl
from collections.abc import Mapping
from ipaddress import IPv6Address
from typing import Any, Final

from homeassistant.config_entries import ConfigEntry
from homeassistant.const import CONF_HOST, CONF_PASSWORD, CONF_PORT, CONF_SSL, CONF_USERNAME, CONF_VERIFY_SSL
from homeassistant.core import HomeAssistant
from homeassistant.helpers import entity_registry as er
from homeassistant.util import dt as dt_util

from ..account.clients import (
    async_has_socks,
    async_make_client,
    async_make_cmpp_client,
    is_socks_proxy,
    is_usable_proxy,
)
from ..client import Account, Reason, SMS1680Error
from ..client.account import gateway_url
from ..client.cmpp.compose import SubmitSettings
from ..client.cmpp.proxy import NoTunnelError, ProxyProblem
from ..client.errors import InvalidSettingError, NoAnswerError
from ..client.text import Signature
from ..const import (
    CONF_CMPP,
    CONF_FALLBACK,
    CONF_FALLBACK_ACCOUNT,
    CONF_GATEWAY,
    CONF_HTTP,
    CONF_KEEP_TRYING,
    CONF_PASSWORD_FORM,
    CONF_PASSWORD_MD5,
    CONF_PRODUCT_ID,
    CONF_PROXY,
    CONF_QUIET_FROM,
    CONF_QUIET_TO,
    CONF_REPEAT,
    CONF_REPORT_WITHIN,
    CONF_SERVICE_ID,
    CONF_SIGNATURE,
    CONF_SOURCE_NUMBER,
    CONF_SP_ID,
    CONF_TIME_ZONE,
    DOMAIN,
    FORM_PLAIN_FOR_BALANCE,
    PLAIN_FORMS,
)
from ..deferred.policy import to_seconds
from .schemas import DELIVERY_FIELDS, FORM_GIVEN_AS_MD5, FORM_MD5

# The responses to a balance query. It has no code for a wrong product, only "failed".
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

# The responses to a login over CMPP (platform document, chapter 3.2).
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
_PROXY_ERRORS: Final[Mapping[ProxyProblem, str]] = {
    ProxyProblem.UNREACHABLE: "proxy_unreachable",
    ProxyProblem.NO_ANSWER: "proxy_no_answer",
    ProxyProblem.CREDENTIALS: "proxy_credentials",
    ProxyProblem.FORBIDDEN: "proxy_forbidden",
    ProxyProblem.NO_GATEWAY: "proxy_no_gateway",
    ProxyProblem.NOT_UNDERSTOOD: "proxy_not_understood",
}
_FIELD_ERRORS: Final = {
    CONF_SP_ID: "invalid_sp_id",
    CONF_SOURCE_NUMBER: "invalid_source_number",
    CONF_SERVICE_ID: "invalid_service_id",
}
_LOGIN_TIMEOUT: Final = 10.0  # seconds
_DURATIONS: Final = (CONF_KEEP_TRYING, CONF_REPORT_WITHIN)
_NOT_IN_HOST: Final = frozenset("/@?#[]\\")


def parse_http(given: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the data of the HTTP transport, and the errors by field.

    The data contains the MD5 of the password, or the password itself if the platform requires it.
    """
    errors: dict[str, str] = {}
    form = given.get(CONF_PASSWORD_FORM, FORM_MD5)
    password = given[CONF_PASSWORD]
    data = {
        CONF_USERNAME: given[CONF_USERNAME].strip(),
        CONF_PRODUCT_ID: given[CONF_PRODUCT_ID].strip(),
        CONF_GATEWAY: given[CONF_GATEWAY].strip(),
    }
    try:
        data[CONF_GATEWAY] = gateway_url(data[CONF_GATEWAY])
    except InvalidSettingError:
        errors[CONF_GATEWAY] = "invalid_gateway"
    for name in (CONF_USERNAME, CONF_PRODUCT_ID):
        if not data[name]:
            errors[name] = "empty"
        elif not data[name].isprintable():
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
        data |= {CONF_PASSWORD: password} if form in PLAIN_FORMS else {CONF_PASSWORD_MD5: account.password}
        if form in PLAIN_FORMS and form != FORM_PLAIN_FOR_BALANCE:  # which a plain password without a form stands for
            data[CONF_PASSWORD_FORM] = form
    return data, errors


def parse_cmpp(given: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the data of the CMPP transport, and the errors by field."""
    data = {
        CONF_HOST: _normalise_host(given[CONF_HOST].strip()),
        CONF_PORT: int(given[CONF_PORT]),
        CONF_SSL: given.get(CONF_SSL, False),
        CONF_VERIFY_SSL: given.get(CONF_VERIFY_SSL, True),
        CONF_SP_ID: given[CONF_SP_ID].strip(),
        CONF_PASSWORD: given[CONF_PASSWORD],
        CONF_SOURCE_NUMBER: given[CONF_SOURCE_NUMBER].strip(),
        CONF_SERVICE_ID: given.get(CONF_SERVICE_ID, "").strip(),
    }
    errors: dict[str, str] = {}
    if not _is_host(data[CONF_HOST]):
        errors[CONF_HOST] = "invalid_host"
    if not data[CONF_PASSWORD]:
        errors[CONF_PASSWORD] = "empty"
    valid = {CONF_SP_ID: "1", CONF_SOURCE_NUMBER: "1", CONF_SERVICE_ID: ""}
    for name, error in _FIELD_ERRORS.items():
        try:
            SubmitSettings(**{**valid, name: data[name]})
        except InvalidSettingError:
            errors[name] = error
    return data, errors


def _normalise_host(host: str) -> str:
    """Return the form of a host that identifies an account."""
    return host.lower().rstrip(".")


def _is_host(host: str) -> bool:
    """Return whether a text is a host name or an IP address without a port."""
    if ":" in host:
        try:
            IPv6Address(host)
        except ValueError:
            return False
    return bool(host) and not any(sign.isspace() or sign in _NOT_IN_HOST for sign in host)


def without_brackets(signature: str) -> str:
    """Return a signature without its 【】, as people copy it from a message."""
    name = signature.strip().removeprefix("【").removesuffix("】").strip()
    return name if "【" not in name else signature.strip()


def signature_errors(given: Mapping[str, Any]) -> dict[str, str]:
    """Return the errors of the signature by field. No signature is valid too."""
    if signature := given.get(CONF_SIGNATURE):
        try:
            Signature(signature)
        except InvalidSettingError:
            return {CONF_SIGNATURE: "invalid_signature"}
    return {}


async def async_proxy_errors(hass: HomeAssistant, given: Mapping[str, Any], *, over_cmpp: bool) -> dict[str, str]:
    """Return the errors of the proxy by field. No proxy is valid too. over_cmpp: whether the account has CMPP."""
    address = given.get(CONF_PROXY)
    if not is_usable_proxy(address):
        return {CONF_PROXY: "invalid_proxy"}
    if is_socks_proxy(address):
        if over_cmpp:
            return {CONF_PROXY: "socks_over_cmpp"}
        if not await async_has_socks(hass):
            return {CONF_PROXY: "no_socks"}
    return {}


def transport_id(name: str, data: Mapping[str, Any]) -> str:
    """Return the id of an account over one transport: address, user, and over HTTP the product."""
    if name == CONF_CMPP:
        return f"{_normalise_host(data[CONF_HOST])} {data[CONF_SP_ID]}"
    return f"{gateway_url(data[CONF_GATEWAY])} {data[CONF_USERNAME]} {data[CONF_PRODUCT_ID]}"


def account_id(data: Mapping[str, Any]) -> str:
    """Return the unique id of an account: the id over HTTP if it has that transport, otherwise over CMPP."""
    name = CONF_HTTP if CONF_HTTP in data else CONF_CMPP
    return transport_id(name, data[name])


async def async_check_http_account(
    hass: HomeAssistant, data: Mapping[str, Any], options: Mapping[str, Any]
) -> str | None:
    """Query the balance; return None on success, otherwise the key of the error."""
    try:
        client = await async_make_client(hass, data, options)
    except InvalidSettingError:
        # The data was validated before, so the proxy in the options is no longer usable.
        return "invalid_proxy"
    try:
        await client.balance()
    except SMS1680Error as error:
        return _ERRORS.get(error.reason, "not_understood") if error.reason else "not_understood"
    finally:
        await client.aclose()
    return None


async def async_check_cmpp_login(
    hass: HomeAssistant, data: Mapping[str, Any], options: Mapping[str, Any]
) -> str | None:
    """Log in and out again; return None on success, otherwise the key of the error."""
    proxy = options.get(CONF_PROXY)
    if errors := await async_proxy_errors(hass, options, over_cmpp=True):
        return errors[CONF_PROXY]
    through = {CONF_PROXY: proxy} if proxy else {}
    client = await async_make_cmpp_client(hass, data, through, login_timeout=_LOGIN_TIMEOUT)
    try:
        await client.try_login()
    except NoTunnelError as error:
        return _PROXY_ERRORS[error.problem]
    except SMS1680Error as error:
        if isinstance(error, NoAnswerError) and error.detail == ssl.SSLCertVerificationError.__name__:
            return "cmpp_certificate"
        return _CMPP_ERRORS.get(error.reason, "cmpp_not_understood") if error.reason else "cmpp_not_understood"
    finally:
        await client.aclose()
    return None


def delivery_settings(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the delivery settings of a recipient without empty ones."""
    settings = {str(name): given[str(name)] for name in DELIVERY_FIELDS if given.get(str(name))}
    if zone := settings.pop(CONF_TIME_ZONE, "").strip():
        settings[CONF_TIME_ZONE] = zone
    for name in _DURATIONS:
        if to_seconds(settings.get(name)) is None:
            settings.pop(name, None)
    # Only the choice against the default is stored.
    settings.pop(CONF_REPEAT, None)
    return settings if given.get(CONF_REPEAT, True) else {**settings, CONF_REPEAT: False}


def fallback_errors(
    hass: HomeAssistant, given: Mapping[str, Any], entry: ConfigEntry, subentry_id: str | None
) -> dict[str, str]:
    """Return the errors of a recipient's fallback by field: its own account and its own entities cannot be one.

    subentry_id: None for a new recipient.
    """
    errors: dict[str, str] = {}
    if given.get(CONF_FALLBACK_ACCOUNT) == entry.entry_id:
        errors[CONF_FALLBACK_ACCOUNT] = "own_account"
    entities = [er.async_get(hass).async_get(entity_id) for entity_id in given.get(CONF_FALLBACK, ())]
    if any(entity.config_subentry_id == subentry_id for entity in entities if entity and entity.platform == DOMAIN):
        errors[CONF_FALLBACK] = "own_entity"
    return errors


async def async_delivery_errors(given: Mapping[str, Any]) -> dict[str, str]:
    """Return the errors of the delivery settings by field."""
    settings = delivery_settings(given)
    errors: dict[str, str] = {}
    begin, end = settings.get(CONF_QUIET_FROM), settings.get(CONF_QUIET_TO)
    if (begin is None) != (end is None):
        errors[CONF_QUIET_TO if end is None else CONF_QUIET_FROM] = "both_times"
    elif begin is not None and dt_util.parse_time(begin) == dt_util.parse_time(end or ""):
        errors[CONF_QUIET_TO] = "same_time"
    zone = settings.get(CONF_TIME_ZONE)
    if zone is not None and await dt_util.async_get_time_zone(zone) is None:
        errors[CONF_TIME_ZONE] = "invalid_time_zone"
    return errors
