"""The fields that several actions and the YAML platform share."""

import json
import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final, override

import voluptuous as vol
from homeassistant.core import ServiceCall
from homeassistant.helpers import config_validation as cv
from homeassistant.helpers.typing import VolDictType
from homeassistant.util import dt as dt_util

from ..account.journal import SendContext
from ..client import InvalidMessageError
from ..client.masking import mask_text
from ..client.plan import check_extension, check_time
from ..const import (
    CONF_FALLBACK,
    CONF_FALLBACK_ACCOUNT,
    CONF_FALLBACK_ACTIONS,
    CONF_KEEP_TRYING,
    CONF_REPEAT,
    CONF_REPORT_WITHIN,
    CONF_SAFE_TEXT,
)
from ..deferred.policy import DeliveryPolicy
from ..outbound.message import MessageOptions
from ..outbound.recipients import async_authorise

_LOGGER = logging.getLogger(__name__)

ATTR_AT: Final = "at"
ATTR_EXTENSION: Final = "extension"
ATTR_PRIORITY: Final = "priority"

PRIORITY: Final[VolDictType] = {vol.Optional(ATTR_PRIORITY, default="normal"): vol.In(["normal", "critical"])}
MESSAGE_OPTIONS: Final[VolDictType] = {
    vol.Optional(ATTR_AT): cv.datetime,
    # The core refuses an integer with an explanation: YAML reads 012 as 10.
    vol.Optional(ATTR_EXTENSION): vol.Any(str, int),
    **PRIORITY,
}


# The names of a critical priority in other notify services. A group or an alert sends one `data:` to all of them.
_URGENT: Final = frozenset({"high", "highest", "urgent", "emergency", "max", "maximum", "alarm", "time-sensitive"})


class MaskedSchema(vol.Schema):
    """A schema whose errors quote no number: Home Assistant's validators quote what they refuse, and it is logged."""

    @override
    def __call__(self, data: Any, **options: Any) -> Any:
        try:
            return super().__call__(data, **options)
        except vol.MultipleInvalid as error:
            masked = [vol.Invalid(mask_text(one.error_message), path=one.path) for one in error.errors]
            raise vol.MultipleInvalid(masked) from None


def actions(value: Any) -> list[dict[str, Any]]:  # noqa: ANN401 - any user input
    """Validate a script sequence and return it unchanged, so that it can be stored."""
    given: list[dict[str, Any]] = cv.ensure_list(value)
    cv.SCRIPT_SCHEMA(given)
    try:
        json.dumps(given)
    except (TypeError, ValueError):
        raise vol.Invalid(
            "These actions contain a value that cannot be stored; put dates and times in quotes"
        ) from None
    return given


POLICY: Final[VolDictType] = {
    vol.Optional(CONF_SAFE_TEXT): cv.string,
    vol.Optional(CONF_KEEP_TRYING): cv.positive_time_period,
    vol.Optional(CONF_FALLBACK_ACCOUNT): cv.string,
    vol.Optional(CONF_FALLBACK): cv.entities_domain("notify"),
    vol.Optional(CONF_FALLBACK_ACTIONS): actions,
    vol.Optional(CONF_REPORT_WITHIN): cv.positive_time_period,
    vol.Optional(CONF_REPEAT): cv.boolean,
}


def call_context(call: ServiceCall) -> SendContext:
    """Return the context of the messages that a call sends."""
    return SendContext.of_call(call.hass, call.context)


def message_options(data: Mapping[str, Any], context: SendContext) -> MessageOptions:
    """Return the options in validated data; a time without a zone is in Home Assistant's own zone."""
    at = data.get(ATTR_AT)
    if at is not None and at.tzinfo is None:
        at = at.replace(tzinfo=dt_util.get_default_time_zone())
    return MessageOptions(at, data.get(ATTR_EXTENSION), data[ATTR_PRIORITY], context=context)


def read_data(data: Mapping[Any, Any], context: SendContext) -> MessageOptions:
    """Return the options in the `data:` of a notify call. Other services can have keys in it, too.

    Unknown keys are ignored. A wrong value of a key of this integration is left out with a warning: the message is
    worth more than its option.
    """
    options = MessageOptions(context=context)
    ignored = [str(name) for name in data if name not in (ATTR_AT, ATTR_EXTENSION, ATTR_PRIORITY)]
    if ignored:
        _LOGGER.debug("Keys in the data of a notify call are for other services: %s", mask_text(", ".join(ignored)))
    priority = str(data.get(ATTR_PRIORITY, "")).strip().lower()
    if priority == "critical":
        options = replace(options, priority="critical")
    elif priority in _URGENT:
        options = replace(options, urgent=True)
    try:
        if (at := data.get(ATTR_AT)) is not None:
            at = cv.datetime(at)
            at = at.replace(tzinfo=dt_util.get_default_time_zone()) if at.tzinfo is None else at
            check_time(at, dt_util.utcnow())
            options = replace(options, at=at)
    except (vol.Invalid, InvalidMessageError):
        _LOGGER.warning("`at` in the data of a notify call is not a time in the future: the message is sent now")
    try:
        check_extension(data.get(ATTR_EXTENSION))
        options = replace(options, extension=data.get(ATTR_EXTENSION))
    except InvalidMessageError:
        _LOGGER.warning(
            "`extension` in the data of a notify call is not 1 to 20 digits in quotes: the message is sent without it"
        )
    return options


async def async_policy_of(call: ServiceCall) -> DeliveryPolicy:
    """Return the policy that a call asks for.

    Raises Unauthorized if the caller has no permission for the fallback. Another account requires the permission of raw
    numbers.
    """
    policy = DeliveryPolicy.from_settings(call.data, call.data.get(CONF_SAFE_TEXT))
    if fallback := policy.fallback:
        await async_authorise(call, fallback.entities, raw_numbers=fallback.account is not None)
    return policy
