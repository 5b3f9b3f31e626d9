"""The triggers `sms1680.message_received`, `delivery_report`, `command` and `message_failed`.

They need Home Assistant 2025.12 or later. They listen to the bus events, so they work before an account is set up, and
they pass on the event's context. A target selects recipients; that of an account stands for all of its recipients, and
that of a duty group for its members. By default, they ignore unknown senders, redelivered items, answers to questions,
commands and failures of automatic messages. Options include these. They always ignore requests to opt out, and commands
without a valid code.
"""

import re
import unicodedata
from collections.abc import Callable, Mapping
from typing import Any, Final, cast, override

import voluptuous as vol
from homeassistant.const import CONF_TARGET
from homeassistant.core import CALLBACK_TYPE, Event, HomeAssistant, ServiceCall, callback
from homeassistant.helpers import config_validation as cv, device_registry as dr, entity_registry as er
from homeassistant.helpers.typing import ConfigType, VolDictType

from .client import ReportState, mask_number
from .const import (
    ATTR_CONFIG_ENTRY_ID,
    CONF_MEMBERS,
    DOMAIN,
    EVENT_COMMAND,
    EVENT_DELIVERY_REPORT,
    EVENT_MESSAGE_FAILED,
    EVENT_MESSAGE_RECEIVED,
)
from .conversation.engine import plain, visible
from .conversation.engine.commands import AuthResult
from .deferred.failure import FailureCause
from .inbound.registry import async_get_registry
from .outbound.recipients import select
from .outbound.target_fields import TARGET_FIELDS
from .store.db import comparable_number

try:
    from homeassistant.helpers.trigger import Trigger
except ImportError:  # before 2025.7
    SUPPORTS_TRIGGERS = False
else:
    SUPPORTS_TRIGGERS = hasattr(Trigger, "async_attach_runner")  # 2025.12

CONF_OPTIONS: Final = "options"  # in homeassistant.const since 2025.10
CONF_RECIPIENT: Final = "recipient"
CONF_NUMBER: Final = "number"
CONF_FROM: Final = "from"
CONF_CONTAINS: Final = "contains"
CONF_MATCHES: Final = "matches"
CONF_EXTENSION: Final = "extension"
CONF_STATE: Final = "state"
CONF_REDELIVERED: Final = "redelivered"
CONF_HANDLED: Final = "handled"
CONF_WORD: Final = "word"
CONF_TEXT: Final = "text"
CONF_PRIORITY: Final = "priority"
CONF_CAUSE: Final = "cause"
CONF_AUTOMATIC: Final = "automatic"

FROM_RECIPIENTS: Final = "recipients"
FROM_ANYONE: Final = "anyone"


def _regex(value: object) -> str:
    """Validate a regular expression, and return it as a string. Home Assistant's validator returns a pattern."""
    cv.is_regex(value)
    return cv.string(value)


_TEXTS = vol.All(cv.ensure_list, [cv.string])
_COMMON: VolDictType = {
    vol.Optional(CONF_RECIPIENT): _TEXTS,
    vol.Optional(CONF_NUMBER): vol.All(_TEXTS, [comparable_number]),
    vol.Optional(CONF_FROM, default=FROM_RECIPIENTS): vol.In([FROM_RECIPIENTS, FROM_ANYONE]),
    vol.Optional(CONF_REDELIVERED, default=False): cv.boolean,
}
_MESSAGE: VolDictType = {
    **_COMMON,
    vol.Optional(CONF_CONTAINS): cv.string,
    vol.Optional(CONF_MATCHES): _regex,
    vol.Optional(CONF_EXTENSION): _TEXTS,
    vol.Optional(CONF_HANDLED, default=False): cv.boolean,
}
_REPORT: VolDictType = {
    **_COMMON,
    vol.Optional(CONF_STATE): vol.All(cv.ensure_list, [vol.In([state.value for state in ReportState])]),
}
_COMMAND: VolDictType = {
    vol.Optional(CONF_RECIPIENT): _TEXTS,
    vol.Optional(CONF_WORD): _TEXTS,
    vol.Optional(CONF_TEXT): _TEXTS,
}
# By default, failures of automatic messages are ignored: a message about a failure could fail, too, and so on.
_FAILURE: VolDictType = {
    vol.Optional(CONF_RECIPIENT): _TEXTS,
    vol.Optional(CONF_NUMBER): vol.All(_TEXTS, [comparable_number]),
    vol.Optional(CONF_PRIORITY): vol.All(cv.ensure_list, [vol.In(["normal", "critical"])]),
    vol.Optional(CONF_CAUSE): vol.All(cv.ensure_list, [vol.In([cause.value for cause in FailureCause])]),
    vol.Optional(CONF_AUTOMATIC, default=False): cv.boolean,
}


def matches_message(hass: HomeAssistant, options: Mapping[str, Any], data: Mapping[str, Any]) -> bool:
    """Return whether an event matches a trigger's options."""
    if data["redelivered"] and not options[CONF_REDELIVERED]:
        return False
    if data["subentry_id"] is None and options[CONF_FROM] != FROM_ANYONE:
        return False
    if data.get("opted_out") or data.get("command") in (AuthResult.REFUSED, AuthResult.LOCKED_OUT):
        return False
    if _is_handled(data) and not options.get(CONF_HANDLED):
        return False
    return (
        _is_of_recipient(hass, options.get(CONF_RECIPIENT), data)
        and all(_is_in(options.get(name), data.get(name)) for name in (CONF_NUMBER, CONF_EXTENSION, CONF_STATE))
        and _has_text(options, data.get("content", ""))
    )


def matches_command(hass: HomeAssistant, options: Mapping[str, Any], data: Mapping[str, Any]) -> bool:
    """Return whether a command matches a trigger's options."""
    return _is_of_recipient(hass, options.get(CONF_RECIPIENT), data) and all(
        _is_in([plain(value) for value in options.get(name, [])], plain(data[name])) for name in (CONF_WORD, CONF_TEXT)
    )


def matches_failure(hass: HomeAssistant, options: Mapping[str, Any], data: Mapping[str, Any]) -> bool:
    """Return whether an undelivered message matches a trigger's options."""
    if data["automatic"] and not options[CONF_AUTOMATIC]:
        return False
    return (
        _is_of_recipient(hass, options.get(CONF_RECIPIENT), data)
        and _is_in(options.get(CONF_NUMBER), comparable_number(data["number"]))
        and all(_is_in(options.get(name), data[name]) for name in (CONF_PRIORITY, CONF_CAUSE))
    )


def _is_handled(data: Mapping[str, Any]) -> bool:
    """Return whether an uplink answered a question, or was a command."""
    return data.get("question") is not None or data.get("command") == AuthResult.ACCEPTED


def _is_in(wanted: list[str] | None, value: str | None) -> bool:
    return not wanted or value in wanted


def _is_of_recipient(hass: HomeAssistant, wanted: list[str] | None, data: Mapping[str, Any]) -> bool:
    """Return whether an event belongs to one of the recipients, which are device ids or names.

    The device of an account stands for all recipients of the account.
    """
    if not wanted:
        return True
    if data["subentry_id"] is None:
        return False
    entry_id = data[ATTR_CONFIG_ENTRY_ID]
    identifiers = {(DOMAIN, entry_id), (DOMAIN, f"{entry_id}_{data['subentry_id']}")}
    devices = dr.async_get(hass)
    return any(
        value == data["recipient"] or ((device := devices.async_get(value)) and identifiers & device.identifiers)
        for value in wanted
    )


def is_targeted(hass: HomeAssistant, target: Mapping[str, Any] | None, data: Mapping[str, Any]) -> bool:
    """Return whether an event belongs to a recipient that a trigger's target selects. No target selects everything."""
    if not target:
        return True
    if data["subentry_id"] is None:
        return False
    selected = select(hass, ServiceCall(hass, DOMAIN, "", dict(target)))
    entities = er.async_get(hass)
    entry = hass.config_entries.async_get_entry(data[ATTR_CONFIG_ENTRY_ID])
    for entity_id in selected.referenced | selected.indirectly_referenced:
        entity = entities.async_get(entity_id)
        if entry is None or entity is None or entity.config_entry_id != entry.entry_id:
            continue
        if entity.config_subentry_id in (None, data["subentry_id"]):
            return True
        subentry = entry.subentries.get(entity.config_subentry_id)
        if subentry is not None and data["subentry_id"] in subentry.data.get(CONF_MEMBERS, ()):
            return True
    return False


def _has_text(options: Mapping[str, Any], content: str) -> bool:
    """Return whether a text matches. Both forms count: `plain`, and the one with punctuation, blanks and signatures."""
    forms = (plain(content), visible(content).casefold())
    contains, matches = options.get(CONF_CONTAINS), options.get(CONF_MATCHES)
    if contains:
        wanted = (plain(contains), unicodedata.normalize("NFKC", contains).casefold().strip())
        whole = unicodedata.normalize("NFKC", content).casefold()
        if not (wanted[0] and wanted[0] in forms[0]) and wanted[1] not in whole:
            return False
    return not matches or any(re.fullmatch(matches, form, re.IGNORECASE) for form in (*forms, content.strip()))


if SUPPORTS_TRIGGERS:
    from homeassistant.helpers.automation import move_top_level_schema_fields_to_options
    from homeassistant.helpers.trigger import TriggerActionRunner, TriggerConfig

    class _EventTrigger(Trigger):
        """A trigger that listens to one of the bus events."""

        event: str
        options: VolDictType
        matches: Callable[[HomeAssistant, Mapping[str, Any], Mapping[str, Any]], bool] = staticmethod(matches_message)

        @override
        @classmethod
        async def async_validate_complete_config(cls, hass: HomeAssistant, complete_config: ConfigType) -> ConfigType:
            """Also accept options at the top level, next to the trigger's name."""
            moved = move_top_level_schema_fields_to_options(complete_config, cast(Any, cls.options))
            return await super().async_validate_complete_config(hass, moved)

        @override
        @classmethod
        async def async_validate_config(cls, hass: HomeAssistant, config: ConfigType) -> ConfigType:
            fields = {vol.Optional(CONF_TARGET): TARGET_FIELDS, vol.Optional(CONF_OPTIONS, default=dict): cls.options}
            return cast(ConfigType, vol.Schema(fields)(config))

        def __init__(self, hass: HomeAssistant, config: TriggerConfig) -> None:
            super().__init__(hass, config)
            self._options = config.options or {}
            self._target = config.target

        @override
        async def async_attach_runner(
            self, run_action: TriggerActionRunner, did_not_trigger: object = None
        ) -> CALLBACK_TYPE:
            extensions = self._options.get(CONF_EXTENSION, [])
            unwatch_extensions = async_get_registry(self._hass).async_watch_extensions(extensions)

            @callback
            def on_event(event: Event[dict[str, Any]]) -> None:
                if not self.matches(self._hass, self._options, event.data):
                    return
                if is_targeted(self._hass, self._target, event.data):
                    sender = event.data["recipient"] or mask_number(event.data["number"])
                    run_action(dict(event.data), f"SMS 1680: {sender}", event.context)

            stop_listening = self._hass.bus.async_listen(self.event, on_event)

            @callback
            def detach() -> None:
                stop_listening()
                unwatch_extensions()

            return detach

    class MessageReceived(_EventTrigger):
        """A message was received."""

        event = EVENT_MESSAGE_RECEIVED
        options = _MESSAGE

    class DeliveryReportReceived(_EventTrigger):
        """A delivery report was received."""

        event = EVENT_DELIVERY_REPORT
        options = _REPORT

    class CommandReceived(_EventTrigger):
        """A recipient sent a command with a valid code."""

        event = EVENT_COMMAND
        options = _COMMAND
        matches = staticmethod(matches_command)

    class MessageFailed(_EventTrigger):
        """A message was not delivered."""

        event = EVENT_MESSAGE_FAILED
        options = _FAILURE
        matches = staticmethod(matches_failure)

    async def async_get_triggers(hass: HomeAssistant) -> dict[str, type[Trigger]]:  # noqa: ARG001
        """Return the triggers by their names in triggers.yaml."""
        return {
            "message_received": MessageReceived,
            "delivery_report": DeliveryReportReceived,
            "command": CommandReceived,
            "message_failed": MessageFailed,
        }

else:

    async def async_validate_trigger_config(hass: HomeAssistant, config: ConfigType) -> ConfigType:  # noqa: ARG001
        """Explain what to use in older versions of Home Assistant."""
        raise vol.Invalid(
            "The triggers of SMS 1680 need Home Assistant 2025.12 or later. Use an event trigger with the event type "
            f"{EVENT_MESSAGE_RECEIVED}, {EVENT_DELIVERY_REPORT}, {EVENT_COMMAND} or {EVENT_MESSAGE_FAILED} here"
        )
