"""The triggers `sms1680.message_received`, `delivery_report` and `command`, where Home Assistant has the new shape.

They listen to the bus events, so that they work whether an account is set up yet or not, and pass on the event's
context. Only known recipients count, unless told `from: anyone`; nothing redelivered, unless told so; nothing that
answered a question or was a command, unless told so; and never a word for opting out, nor a command without its right
code.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from typing import Any, Final, cast, override

import voluptuous as vol
from homeassistant.core import CALLBACK_TYPE, Event, HomeAssistant, callback
from homeassistant.helpers import config_validation as cv, device_registry as dr
from homeassistant.helpers.typing import ConfigType, VolDictType

from .client import ReportState, mask_number
from .const import ATTR_CONFIG_ENTRY_ID, DOMAIN, EVENT_COMMAND, EVENT_DELIVERY_REPORT, EVENT_MESSAGE_RECEIVED
from .conversation.engine import plain
from .conversation.engine.commands import AuthResult
from .inbound.registry import async_get_registry
from .store.db import comparable_number

try:
    from homeassistant.helpers.trigger import Trigger
except ImportError:  # before 2025.7
    HAS_NEW_SHAPE = False
else:
    HAS_NEW_SHAPE = hasattr(Trigger, "async_attach_runner")  # 2025.12

CONF_OPTIONS: Final = "options"  # homeassistant.const has it from 2025.10 on
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

FROM_RECIPIENTS: Final = "recipients"
FROM_ANYONE: Final = "anyone"


def _regex(value: object) -> str:
    """Validate a regular expression; Home Assistant's own validator would make it something that is no text."""
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


def is_wanted(hass: HomeAssistant, options: Mapping[str, Any], data: Mapping[str, Any]) -> bool:
    """Tell whether an event is one that a trigger with these options waits for."""
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
        and _is_one_of(options.get(CONF_NUMBER), data["number"])
        and _is_one_of(options.get(CONF_EXTENSION), data.get("extension"))
        and _is_one_of(options.get(CONF_STATE), data.get("state"))
        and _is_text(options, data.get("content", ""))
    )


def is_wanted_command(hass: HomeAssistant, options: Mapping[str, Any], data: Mapping[str, Any]) -> bool:
    """Tell whether a command is one that a trigger with these options waits for."""
    return _is_of_recipient(hass, options.get(CONF_RECIPIENT), data) and all(
        _is_one_of([plain(value) for value in options.get(name, [])], plain(data[name]))
        for name in (CONF_WORD, CONF_TEXT)
    )


def _is_handled(data: Mapping[str, Any]) -> bool:
    """Tell whether an uplink answered a question, or was a command."""
    return data.get("question") is not None or data.get("command") == AuthResult.ACCEPTED


def _is_one_of(wanted: list[str] | None, value: str | None) -> bool:
    return not wanted or value in wanted


def _is_of_recipient(hass: HomeAssistant, wanted: list[str] | None, data: Mapping[str, Any]) -> bool:
    """Recipients are named by their device, as the editor does, or by their name, as people do."""
    if not wanted:
        return True
    identifier = (DOMAIN, f"{data[ATTR_CONFIG_ENTRY_ID]}_{data['subentry_id']}")
    devices = dr.async_get(hass)
    return any(
        value == data["recipient"] or ((device := devices.async_get(value)) and identifier in device.identifiers)
        for value in wanted
    )


def _is_text(options: Mapping[str, Any], content: str) -> bool:
    text = _plain(content)
    contains = options.get(CONF_CONTAINS)
    if contains and _plain(contains) not in text:
        return False
    matches = options.get(CONF_MATCHES)
    return not matches or any(re.fullmatch(matches, form, re.IGNORECASE) for form in (text, content.strip()))


def _plain(text: str) -> str:
    """Return a text without the differences that people at a phone don't see: width, case, blanks around it."""
    return unicodedata.normalize("NFKC", text).casefold().strip()


if HAS_NEW_SHAPE:
    from homeassistant.helpers.automation import move_top_level_schema_fields_to_options
    from homeassistant.helpers.trigger import TriggerActionRunner, TriggerConfig

    class _EventTrigger(Trigger):
        """A trigger that listens to one of the bus events."""

        event: str
        options: VolDictType
        wanted: Callable[[HomeAssistant, Mapping[str, Any], Mapping[str, Any]], bool] = staticmethod(is_wanted)

        @override
        @classmethod
        async def async_validate_complete_config(cls, hass: HomeAssistant, complete_config: ConfigType) -> ConfigType:
            """Take the options beside the trigger's name too, as people write them."""
            moved = move_top_level_schema_fields_to_options(complete_config, cast(Any, cls.options))
            return await super().async_validate_complete_config(hass, moved)

        @override
        @classmethod
        async def async_validate_config(cls, hass: HomeAssistant, config: ConfigType) -> ConfigType:
            return cast(ConfigType, vol.Schema({vol.Optional(CONF_OPTIONS, default=dict): cls.options})(config))

        def __init__(self, hass: HomeAssistant, config: TriggerConfig) -> None:
            super().__init__(hass, config)
            self._options = config.options or {}

        @override
        async def async_attach_runner(
            self, run_action: TriggerActionRunner, did_not_trigger: object = None
        ) -> CALLBACK_TYPE:
            receivers = async_get_registry(self._hass)
            forget_extensions = receivers.async_watch_extensions(self._options.get(CONF_EXTENSION, []))

            @callback
            def heard(event: Event[dict[str, Any]]) -> None:
                if self.wanted(self._hass, self._options, event.data):
                    who = event.data["recipient"] or mask_number(event.data["number"])
                    run_action(dict(event.data), f"SMS 1680: {who}", event.context)

            stop_listening = self._hass.bus.async_listen(self.event, heard)

            @callback
            def detach() -> None:
                stop_listening()
                forget_extensions()

            return detach

    class MessageReceived(_EventTrigger):
        """Someone replied, or wrote."""

        event = EVENT_MESSAGE_RECEIVED
        options = _MESSAGE

    class DeliveryReportReceived(_EventTrigger):
        """The platform said what became of a message."""

        event = EVENT_DELIVERY_REPORT
        options = _REPORT

    class CommandReceived(_EventTrigger):
        """A recipient commanded, with a right code."""

        event = EVENT_COMMAND
        options = _COMMAND
        wanted = staticmethod(is_wanted_command)

    async def async_get_triggers(hass: HomeAssistant) -> dict[str, type[Trigger]]:  # noqa: ARG001
        """Return the triggers, by the names under which they stand in triggers.yaml."""
        return {
            "message_received": MessageReceived,
            "delivery_report": DeliveryReportReceived,
            "command": CommandReceived,
        }

else:

    async def async_validate_trigger_config(hass: HomeAssistant, config: ConfigType) -> ConfigType:  # noqa: ARG001
        """Say what to do where the new shape is missing."""
        raise vol.Invalid(
            "The triggers of SMS 1680 need Home Assistant 2025.12 or later. Use an event trigger with the event type "
            f"{EVENT_MESSAGE_RECEIVED}, {EVENT_DELIVERY_REPORT} or {EVENT_COMMAND} here"
        )
