"""The YAML platform (`notify: - platform: sms1680`): for `alert:` and for automations that call `notify.<name>`."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final, override

import voluptuous as vol
from homeassistant.components.notify import (
    ATTR_DATA,
    ATTR_MESSAGE,
    ATTR_TARGET,
    ATTR_TITLE,
    PLATFORM_SCHEMA as NOTIFY_PLATFORM_SCHEMA,
    BaseNotificationService,
)
from homeassistant.config_entries import ConfigEntryState
from homeassistant.const import CONF_NAME, CONF_PASSWORD, CONF_PLATFORM, CONF_USERNAME, EVENT_HOMEASSISTANT_CLOSE
from homeassistant.core import Event, HomeAssistant, ServiceCall
from homeassistant.exceptions import ServiceValidationError
from homeassistant.helpers import config_validation as cv
from homeassistant.helpers.typing import ConfigType, VolDictType

from ..account.clients import is_usable_proxy
from ..account.journal import SendContext
from ..account.spending import LIMITS
from ..client import DEFAULT_GATEWAY, Account, InvalidMessageError, Receipt
from ..client.account import gateway_url
from ..client.masking import mask_text
from ..client.numbers import normalise_numbers, split_list, split_numbers
from ..client.text import Signature, join_names
from ..const import (
    CONF_GATEWAY,
    CONF_LONG_TEXT,
    CONF_PACKET_SIZE,
    CONF_PASSWORD_MD5,
    CONF_PRODUCT_ID,
    CONF_PROXY,
    CONF_RATE,
    CONF_SIGNATURE,
    CONF_SIGNATURE_PLACE,
    DOMAIN,
)
from ..coordinator import Sms1680ConfigEntry
from ..errors import send_error, validation_error
from ..outbound.message import MessageOptions, text_to
from ..outbound.pipeline import async_deliver
from ..outbound.recipients import (
    WrongTarget,
    accepts_critical,
    async_addressees_of_numbers,
    async_authorise,
    check_loaded,
    not_loaded_error,
    without_duplicates,
)
from ..outbound.unsent import Unsent, async_report_rejected, async_report_wrong
from ..recipients import Addressee, recipients, recipients_named
from .own_account import async_own_account, is_name, send_by_own_account
from .schemas import read_data

_LOGGER = logging.getLogger(__name__)

CONF_ACCOUNT: Final = "account"
CONF_RECIPIENTS: Final = "recipients"

_OWN_ACCOUNT: Final[VolDictType] = {
    vol.Optional(CONF_USERNAME): cv.string,
    vol.Exclusive(CONF_PASSWORD, "password"): cv.string,
    vol.Exclusive(CONF_PASSWORD_MD5, "password"): cv.string,
    vol.Optional(CONF_PRODUCT_ID): cv.string,
    vol.Optional(CONF_GATEWAY): cv.string,
    vol.Optional(CONF_SIGNATURE): vol.Any(cv.string, vol.All([cv.string], join_names)),
    vol.Optional(CONF_SIGNATURE_PLACE): vol.In(["front", "behind", "platform"]),
    vol.Optional(CONF_RATE): vol.All(vol.Coerce(float), vol.Range(min=0, min_included=False)),
    vol.Optional(CONF_PACKET_SIZE): vol.All(vol.Coerce(int), vol.Range(min=1, max=1000)),
    vol.Optional(CONF_PROXY): cv.string,
    vol.Optional(CONF_LONG_TEXT): vol.In(["cut", "split", "refuse"]),
    **{vol.Optional(name): cv.positive_int for name in LIMITS},
}


def _checked(config: ConfigType) -> ConfigType:
    """Validate which keys are present. Raises vol.Invalid that names the key.

    The path of the error is always the platform, because Home Assistant logs the value at the path.
    """
    own = sorted(str(name) for name in _OWN_ACCOUNT if str(name) in config)
    if CONF_ACCOUNT in config:
        if own:
            raise _invalid(
                own[0], f"is not allowed together with '{CONF_ACCOUNT}', which is the title of a configured account"
            )
        return config
    if not own:
        raise _invalid(
            CONF_ACCOUNT,
            f"is missing: the title of a configured account, or '{CONF_USERNAME}' and the other account keys",
        )
    for name in (CONF_USERNAME, CONF_PRODUCT_ID):
        if not config.get(name):
            raise _invalid(name, "is missing")
    if CONF_PASSWORD not in config and CONF_PASSWORD_MD5 not in config:
        raise _invalid(CONF_PASSWORD, "is missing")
    _check_values(config)
    return config


def _check_values(config: ConfigType) -> None:
    """Validate the values of an account in the YAML entry itself. Raises vol.Invalid that names the key."""
    key = CONF_PASSWORD
    try:
        _http_data(config)
        key = CONF_GATEWAY
        gateway_url(config.get(CONF_GATEWAY, DEFAULT_GATEWAY))
        key = CONF_SIGNATURE
        if CONF_SIGNATURE in config:
            Signature(config[CONF_SIGNATURE])
        if not is_usable_proxy(config.get(CONF_PROXY)):
            raise _invalid(CONF_PROXY, "is not an address that starts with http, https or socks5 and has a port")
        key = CONF_RECIPIENTS
        written = config.get(CONF_RECIPIENTS, [])
        if written and not any(number for number, _ in split_numbers(written)):
            normalise_numbers(written)  # raises for the first one
    except InvalidMessageError as error:
        raise _invalid(key, error.sentence()) from None


def _invalid(key: str, problem: str) -> vol.Invalid:
    return vol.Invalid(f"'{key}': {problem}", path=[CONF_PLATFORM])


def _http_data(config: ConfigType) -> dict[str, Any]:
    """Return the account keys as a config entry has them, with the password's MD5. Raises InvalidSettingError."""
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


type _Results = tuple[Sequence[tuple[str | None, Receipt]], Sequence[WrongTarget]]
type _Send = Callable[[HomeAssistant, Sequence[str], str, MessageOptions], Awaitable[_Results]]


async def async_get_service(hass: HomeAssistant, config: ConfigType) -> BaseNotificationService:
    """Return the service of a YAML entry. It is available whether an account is loaded or not."""
    if CONF_ACCOUNT in config:
        account = config[CONF_ACCOUNT]
        return NotifyService(config[CONF_RECIPIENTS], partial(_send_by_config_entry, account), account)
    account = await async_own_account(hass, _http_data(config), config)
    numbers = enumerate(split_numbers(config[CONF_RECIPIENTS]), 1)
    if wrong := [str(place) for place, (number, _) in numbers if number is None]:
        _LOGGER.warning(
            "Recipient %s of the notify platform %s is not a mainland mobile number. The others get its messages",
            ", ".join(wrong),
            mask_text(config.get(CONF_NAME, DOMAIN)),
        )

    async def close(_: Event) -> None:
        await account.client.aclose()

    hass.bus.async_listen_once(EVENT_HOMEASSISTANT_CLOSE, close)
    return NotifyService(config[CONF_RECIPIENTS], partial(send_by_own_account, account))


class NotifyService(BaseNotificationService):
    """`notify.<name>`: sends to `target`, by default to the recipients of the YAML entry.

    `data` accepts `at`, `extension` and `priority`, and ignores the keys of other services. account: the title of the
    config entry that sends, if one does.
    """

    def __init__(self, recipients: Sequence[str], send: _Send, account: str | None = None) -> None:
        self._recipients = recipients
        self._send = send
        self._account = account

    @override
    async def _async_notify_message_service(self, service: ServiceCall) -> None:
        """Allow a user who is not an administrator only the recipients of the YAML entry; automations may use any."""
        others = set(service.data.get(ATTR_TARGET) or ()).difference(self._recipients)
        await async_authorise(service, (), raw_numbers=bool(others))
        fields = {name: service.data.get(name) for name in (ATTR_TITLE, ATTR_TARGET, ATTR_DATA)}
        await self.async_send_message(service.data[ATTR_MESSAGE], context=service.context, **fields)

    @override
    async def async_send_message(self, message: str, **kwargs: Any) -> None:
        context = SendContext.of_call(self.hass, kwargs.get("context"))
        title, data, targets = kwargs.get(ATTR_TITLE), kwargs.get(ATTR_DATA) or {}, kwargs.get(ATTR_TARGET)
        if not (targets := self._recipients if targets is None else targets):
            raise validation_error("no_target")
        options = read_data(data, context)
        try:
            text = f"{title}\n{message}" if title else message
            results, wrong = await self._send(self.hass, targets, text, options)
        except ServiceValidationError as error:
            entry = _titled(self.hass, self._account)
            unsent = [Unsent.from_target(entry, target) for target in targets]
            async_report_rejected(self.hass, unsent, error, options.priority, context)
            raise
        if failure := send_error(self.hass, results, [(one.written, one.reason) for one in wrong]):
            raise failure


def _titled(hass: HomeAssistant, title: str | None) -> Sms1680ConfigEntry | None:
    """Return the only config entry that has this title."""
    entries: list[Sms1680ConfigEntry] = hass.config_entries.async_entries(DOMAIN)
    titled = [entry for entry in entries if entry.title == title]
    return titled[0] if len(titled) == 1 else None


async def _send_by_config_entry(
    title: str, hass: HomeAssistant, targets: Sequence[str], text: str, options: MessageOptions
) -> _Results:
    """Send through the account whose config entry has this title now. Targets can be names of its recipients."""
    entries: list[Sms1680ConfigEntry] = hass.config_entries.async_entries(DOMAIN)
    titled = [entry for entry in entries if entry.title == title]
    if not titled:
        raise validation_error("account_not_found", account=title, accounts=", ".join(entry.title for entry in entries))
    if len(titled) > 1:
        raise validation_error("accounts_of_one_name", account=title)
    (entry,) = titled
    if entry.state is not ConfigEntryState.LOADED:
        raise not_loaded_error(entry)
    addressees, wrong = await _async_addressees(hass, entry, targets)
    check_loaded(addressees)
    async_report_wrong(hass, entry, wrong, options.priority, options.context)
    critical: list[Addressee] = []
    normal: list[Addressee] = []
    for one in addressees:
        (critical if options.urgent and accepts_critical(hass, one) else normal).append(one)
    calls = [(critical, replace(options, priority="critical")), (normal, options)]
    sends = (async_deliver(hass, some, text_to(some, text), how) for some, how in calls if some)
    results = [result for answer in await asyncio.gather(*sends) for result in answer]
    return [(result.addressee.name, result.final_receipt) for result in results if not result.is_handled], wrong


async def _async_addressees(
    hass: HomeAssistant, entry: Sms1680ConfigEntry, targets: Iterable[str]
) -> tuple[list[Addressee], list[WrongTarget]]:
    """Return the addressees with these names or numbers, and the targets that are neither.

    A target can hold several, separated by commas. Raises ServiceValidationError without an addressee.
    """
    titles = {subentry.title for subentry in recipients(entry)}
    found: list[Addressee] = []
    wrong: list[WrongTarget] = []
    first_error: ServiceValidationError | None = None
    for target in targets:
        for piece in [target] if target in titles else split_list(target):
            try:
                named = _named(entry, piece)
                some, others, error = [named] if named else [], list[WrongTarget](), None
                if named is None:
                    some, others, error = await async_addressees_of_numbers(hass, entry, [piece])
            except ServiceValidationError as name_error:
                some, others, error = [], [WrongTarget(piece)], name_error
            found += some
            wrong += others
            first_error = first_error or error
    if not found:
        raise first_error or validation_error("no_target")
    return without_duplicates(found), wrong


def _named(entry: Sms1680ConfigEntry, name: str) -> Addressee | None:
    """Return the recipient with this name, None for a number.

    Raises ServiceValidationError if the name is unknown, or if two recipients share it.
    """
    named = recipients_named(entry, name)
    if len(named) > 1:
        raise validation_error("recipients_of_one_name", recipient=name, account=entry.title)
    if not named and is_name(name):
        raise validation_error("unknown_name", name=mask_text(name), account=entry.title)
    return Addressee.from_subentry(entry, named[0]) if named else None
