"""The YAML notify platform (`notify: - platform: sms1680`): for `alert:` and automations that call `notify.<name>`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, Final, override

import voluptuous as vol
from homeassistant.components.notify import (
    ATTR_DATA,
    ATTR_TARGET,
    ATTR_TITLE,
    PLATFORM_SCHEMA as NOTIFY_PLATFORM_SCHEMA,
    BaseNotificationService,
)
from homeassistant.config_entries import ConfigEntryState
from homeassistant.const import CONF_PASSWORD, CONF_PLATFORM, CONF_USERNAME, EVENT_HOMEASSISTANT_CLOSE
from homeassistant.core import Event, HomeAssistant, ServiceCall
from homeassistant.helpers import config_validation as cv
from homeassistant.helpers.typing import ConfigType, VolDictType

from ..account.clients import async_make_client, is_usable_proxy
from ..account.spending import LIMITS
from ..client import DEFAULT_GATEWAY, Account, AsyncClient, InvalidMessageError, Receipt, SendError, normalise_number
from ..client.account import gateway_url
from ..client.text import Signature
from ..const import (
    CONF_GATEWAY,
    CONF_PACKET_SIZE,
    CONF_PASSWORD_MD5,
    CONF_PRODUCT_ID,
    CONF_PROXY,
    CONF_RATE,
    CONF_SIGNATURE,
    CONF_SIGNATURE_PLACE,
    DOMAIN,
)
from ..context import is_automatic, sending_for
from ..coordinator import Sms1680ConfigEntry
from ..errors import invalid_message_error, send_error, validation_error
from ..outbound.message import Options, one_text
from ..outbound.pipeline import async_deliver
from ..outbound.recipients import addressees_of_numbers, async_authorise, without_duplicates
from ..recipients import Addressee, recipients
from .schemas import MESSAGE_OPTIONS, options_of

CONF_ACCOUNT: Final = "account"
CONF_RECIPIENTS: Final = "recipients"

_OWN_ACCOUNT: Final[VolDictType] = {
    vol.Optional(CONF_USERNAME): cv.string,
    vol.Exclusive(CONF_PASSWORD, "password"): cv.string,
    vol.Exclusive(CONF_PASSWORD_MD5, "password"): cv.string,
    vol.Optional(CONF_PRODUCT_ID): cv.string,
    vol.Optional(CONF_GATEWAY): cv.string,
    vol.Optional(CONF_SIGNATURE): cv.string,
    vol.Optional(CONF_SIGNATURE_PLACE): vol.In(["front", "behind", "platform"]),
    vol.Optional(CONF_RATE): vol.All(vol.Coerce(float), vol.Range(min=0, min_included=False)),
    vol.Optional(CONF_PACKET_SIZE): vol.All(vol.Coerce(int), vol.Range(min=1, max=1000)),
    vol.Optional(CONF_PROXY): cv.string,
    **{vol.Optional(name): cv.positive_int for name in LIMITS},
}
_DATA: Final = vol.Schema(MESSAGE_OPTIONS)


def _checked(config: ConfigType) -> ConfigType:
    """Refuse an account that can't be, naming the key.

    The error's path is always the platform: Home Assistant logs the value that a path leads to.
    """
    own = sorted(str(name) for name in _OWN_ACCOUNT if str(name) in config)
    if CONF_ACCOUNT in config:
        if own:
            raise _invalid(own[0], f"is not allowed beside '{CONF_ACCOUNT}', which is a configured account's title")
        return config
    if not own:
        raise _invalid(CONF_ACCOUNT, f"is missing: a configured account's title, or '{CONF_USERNAME}' and the rest")
    for name in (CONF_USERNAME, CONF_PRODUCT_ID):
        if not config.get(name):
            raise _invalid(name, "is missing")
    if CONF_PASSWORD not in config and CONF_PASSWORD_MD5 not in config:
        raise _invalid(CONF_PASSWORD, "is missing")
    _check_values(config)
    return config


def _check_values(config: ConfigType) -> None:
    """Refuse an account of the line's own that the core could not take, naming the key."""
    key = CONF_PASSWORD
    try:
        _way(config)
        key = CONF_GATEWAY
        gateway_url(config.get(CONF_GATEWAY, DEFAULT_GATEWAY))
        key = CONF_SIGNATURE
        if CONF_SIGNATURE in config:
            Signature(config[CONF_SIGNATURE])
        if not is_usable_proxy(config.get(CONF_PROXY)):
            raise _invalid(CONF_PROXY, "is no address with http or https in front and a port; SOCKS is not supported")
        key = CONF_RECIPIENTS
        for place, number in enumerate(config.get(CONF_RECIPIENTS, []), 1):
            normalise_number(number, f"number {place}")
    except InvalidMessageError as error:
        raise _invalid(key, error.sentence()) from None


def _invalid(key: str, problem: str) -> vol.Invalid:
    return vol.Invalid(f"'{key}': {problem}", path=[CONF_PLATFORM])


def _way(config: ConfigType) -> dict[str, Any]:
    """Return the account keys as an entry keeps its HTTP way: of the password the MD5. Raises InvalidSettingError."""
    account = Account(
        config[CONF_USERNAME],
        config.get(CONF_PASSWORD),
        password_md5=config.get(CONF_PASSWORD_MD5),
        product_id=config[CONF_PRODUCT_ID],
    )
    return {
        CONF_USERNAME: account.username,
        CONF_PASSWORD_MD5: account.password,
        CONF_PRODUCT_ID: account.product_id,
        CONF_GATEWAY: config.get(CONF_GATEWAY, DEFAULT_GATEWAY),
    }


PLATFORM_SCHEMA: Final = vol.All(
    NOTIFY_PLATFORM_SCHEMA.extend(
        {
            vol.Optional(CONF_ACCOUNT): cv.string,
            vol.Optional(CONF_RECIPIENTS, default=[]): vol.All(cv.ensure_list, [cv.string]),
            **_OWN_ACCOUNT,
        },
        extra=vol.PREVENT_EXTRA,
    ),
    _checked,
)


type _Results = Sequence[tuple[str | None, Receipt]]
type _Send = Callable[[HomeAssistant, Sequence[str], str, Options], Awaitable[_Results]]


async def async_get_service(hass: HomeAssistant, config: ConfigType) -> BaseNotificationService:
    """Return the service of one line of YAML. Nothing of it depends on an account that is up."""
    if CONF_ACCOUNT in config:
        return NotifyService(config[CONF_RECIPIENTS], partial(_by_configured_account, config[CONF_ACCOUNT]))
    client = await async_make_client(hass, _way(config), config)

    async def close(_: Event) -> None:
        await client.aclose()

    hass.bus.async_listen_once(EVENT_HOMEASSISTANT_CLOSE, close)
    return NotifyService(config[CONF_RECIPIENTS], partial(_by_own_account, client))


class NotifyService(BaseNotificationService):
    """`notify.<name>`: to `target`, else to the recipients of its line; `data` takes at, extension and priority."""

    def __init__(self, default: Sequence[str], send: _Send) -> None:
        self._default = default
        self._send = send

    @override
    async def _async_notify_message_service(self, service: ServiceCall) -> None:
        """Let a user who is no administrator send to the line's own recipients only; an automation may send to all."""
        others = set(service.data.get(ATTR_TARGET) or ()).difference(self._default)
        await async_authorise(service, (), raw_numbers=bool(others))
        with sending_for(self.hass, service.context):
            await super()._async_notify_message_service(service)

    @override
    async def async_send_message(self, message: str, **kwargs: Any) -> None:
        try:
            options = options_of(_DATA(kwargs.get(ATTR_DATA) or {}))
        except vol.Invalid as error:
            raise validation_error(
                "invalid_data", problem=error.error_message, field=".".join(map(str, error.path))
            ) from None
        title = kwargs.get(ATTR_TITLE)
        targets = kwargs.get(ATTR_TARGET)
        if not (targets := self._default if targets is None else targets):
            raise validation_error("no_target")
        text = f"{title}\n{message}" if title else message
        if failure := send_error(self.hass, await self._send(self.hass, targets, text, options)):
            raise failure


async def _by_configured_account(
    title: str, hass: HomeAssistant, targets: Sequence[str], text: str, options: Options
) -> _Results:
    """Send by the account of a config entry, found by its title now; it knows its recipients' names."""
    entries: list[Sms1680ConfigEntry] = hass.config_entries.async_entries(DOMAIN)
    titled = [entry for entry in entries if entry.title == title]
    if not titled:
        raise validation_error("account_not_found", account=title, accounts=", ".join(entry.title for entry in entries))
    if len(titled) > 1:
        raise validation_error("accounts_of_one_name", account=title)
    (entry,) = titled
    if entry.state is not ConfigEntryState.LOADED:
        raise validation_error("account_not_loaded", account=title)
    addressees = [addressee for target in targets for addressee in _receivers(hass, entry, target)]
    items = [(addressee, None) for addressee in without_duplicates(addressees)]
    sent = await async_deliver(hass, items, one_text(text), options)
    return [(one.addressee.name, one.final_receipt) for one in sent if not one.is_handled]


def _receivers(hass: HomeAssistant, entry: Sms1680ConfigEntry, target: str) -> list[Addressee]:
    """Return who is meant by a name or a number. Raises ServiceValidationError, also for a name that two share."""
    named = [subentry for subentry in recipients(entry) if subentry.title == target]
    if len(named) > 1:
        raise validation_error("recipients_of_one_name", recipient=target, account=entry.title)
    return [Addressee.from_subentry(entry, named[0])] if named else addressees_of_numbers(hass, entry, [target])


async def _by_own_account(
    client: AsyncClient, hass: HomeAssistant, targets: Sequence[str], text: str, options: Options
) -> _Results:
    """Send by the account that stands in the YAML itself; it knows numbers only."""
    try:
        receipts = await client.send(
            targets,
            text,
            at=options.at,
            extension=options.extension,
            priority=options.priority,
            automatic=is_automatic(),
        )
    except SendError as error:
        receipts = error.receipts
    except InvalidMessageError as error:
        raise invalid_message_error(hass, error) from None
    return [(None, receipt) for receipt in receipts]
