"""The options of an account: how it sends and receives, what it costs, the letter to the platform, and a test."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from ipaddress import ip_network
from typing import Any, Final, override

import voluptuous as vol
from homeassistant.components import webhook
from homeassistant.config_entries import ConfigEntryState, ConfigFlowResult, OptionsFlow
from homeassistant.const import CONF_WEBHOOK_ID
from homeassistant.core import callback
from homeassistant.helpers.selector import (
    BooleanSelector,
    NumberSelector,
    NumberSelectorConfig,
    NumberSelectorMode,
    SelectOptionDict,
    SelectSelector,
    SelectSelectorConfig,
    TextSelector,
    TextSelectorConfig,
)

from ..account.spending import DEFAULT_LIMITS, LIMITS
from ..client import InvalidMessageError
from ..client.cmpp.compose import full_number
from ..client.http.client import LARGEST_PACKET, PACKET_SIZE
from ..const import (
    CONF_AUTOMATIC_LIMIT,
    CONF_BALANCE_INTERVAL,
    CONF_CMPP,
    CONF_COMMAND_WORDS,
    CONF_CRITICAL_RESERVE,
    CONF_DAILY_LIMIT,
    CONF_EXTENSION,
    CONF_HOURLY_LIMIT,
    CONF_HTTP,
    CONF_KEEP_DAYS,
    CONF_KEEP_TEXTS,
    CONF_LISTENER_PORT,
    CONF_LOW_BALANCE,
    CONF_MOST_KEPT,
    CONF_NETWORKS,
    CONF_NUMBER_LIMIT,
    CONF_PACKET_SIZE,
    CONF_PRICE,
    CONF_PROXY,
    CONF_PUSH_ANSWER,
    CONF_PUSH_SECRET,
    CONF_QUESTION_EXTENSIONS,
    CONF_RATE,
    CONF_REPEAT_WINDOW,
    CONF_SAFE_TEXT,
    CONF_SIGNATURE,
    CONF_SIGNATURE_PLACE,
    CONF_SOURCE_NUMBER,
    DEFAULT_BALANCE_INTERVAL,
    DEFAULT_KEEP_DAYS,
    DEFAULT_KEEP_TEXTS,
    DEFAULT_LOW_BALANCE,
    DEFAULT_MOST_KEPT,
    DEFAULT_PUSH_ANSWER,
    DEFAULT_REPEAT_WINDOW,
)
from ..conversation.engine import ExtensionRange, InvalidRangeError
from ..inbound.endpoints import async_register_push
from ..recipients import recipients
from .onboarding_letter import make_letter, new_push_secret
from .self_test import SelfTest
from .validation import is_usable_proxy, signature_errors

CONF_RECIPIENT: Final = "recipient"
_LONGEST_ANSWER: Final = 64


def _number(least: float, most: float, step: float | None = 1) -> NumberSelector:
    config = NumberSelectorConfig(min=least, max=most, mode=NumberSelectorMode.BOX, step=step or "any")
    return NumberSelector(config)


_TEXT: Final = TextSelector()
_PLACES: Final = SelectSelector(
    SelectSelectorConfig(options=["front", "behind", "platform"], translation_key=CONF_SIGNATURE_PLACE)
)
_SENDING: Final = vol.Schema(
    {
        vol.Optional(CONF_SIGNATURE): _TEXT,
        vol.Optional(CONF_SIGNATURE_PLACE, default="front"): _PLACES,
        vol.Optional(CONF_RATE): _number(0.01, 10_000, None),
        vol.Optional(CONF_PACKET_SIZE, default=PACKET_SIZE): _number(1, LARGEST_PACKET),
        vol.Optional(CONF_SOURCE_NUMBER): _TEXT,
        vol.Optional(CONF_PROXY): _TEXT,
        vol.Optional(CONF_SAFE_TEXT): _TEXT,
    }
)
_OF_HTTP: Final = {CONF_PACKET_SIZE, CONF_PROXY}
_SENDING_BY_CMPP: Final = vol.Schema({key: value for key, value in _SENDING.schema.items() if str(key) not in _OF_HTTP})
_RECEIVING: Final = vol.Schema(
    {
        vol.Optional(CONF_PUSH_ANSWER, default=DEFAULT_PUSH_ANSWER): _TEXT,
        vol.Optional(CONF_NETWORKS): TextSelector(TextSelectorConfig(multiple=True)),
        vol.Optional(CONF_REPEAT_WINDOW, default=DEFAULT_REPEAT_WINDOW): _number(0, 3600),
        vol.Optional(CONF_LISTENER_PORT): _number(1, 65535),
    }
)
_CONVERSATION: Final = vol.Schema(
    {
        vol.Optional(CONF_QUESTION_EXTENSIONS): _TEXT,
        vol.Optional(CONF_COMMAND_WORDS): TextSelector(TextSelectorConfig(multiple=True)),
    }
)
_KEEPING: Final = vol.Schema(
    {
        vol.Optional(CONF_KEEP_DAYS, default=DEFAULT_KEEP_DAYS): _number(0, 3650),
        vol.Optional(CONF_MOST_KEPT, default=DEFAULT_MOST_KEPT): _number(100, 1_000_000),
        vol.Optional(CONF_KEEP_TEXTS, default=DEFAULT_KEEP_TEXTS): BooleanSelector(),
    }
)
_BALANCE: Final = vol.Schema(
    {
        vol.Optional(CONF_PRICE): _number(0, 100, None),
        vol.Optional(CONF_LOW_BALANCE, default=DEFAULT_LOW_BALANCE): _number(0, 10_000_000),
        vol.Optional(CONF_BALANCE_INTERVAL, default=DEFAULT_BALANCE_INTERVAL): _number(1, 1440),
    }
)
_MOST_PARTS: Final = 1_000_000
_SPENDING: Final = vol.Schema(
    {
        vol.Optional(CONF_HOURLY_LIMIT, default=DEFAULT_LIMITS.hour): _number(0, _MOST_PARTS),
        vol.Optional(CONF_DAILY_LIMIT, default=DEFAULT_LIMITS.day): _number(0, _MOST_PARTS),
        vol.Optional(CONF_CRITICAL_RESERVE, default=DEFAULT_LIMITS.reserve): _number(0, _MOST_PARTS),
        vol.Optional(CONF_NUMBER_LIMIT, default=DEFAULT_LIMITS.number): _number(0, _MOST_PARTS),
        vol.Optional(CONF_AUTOMATIC_LIMIT, default=DEFAULT_LIMITS.automatic): _number(0, _MOST_PARTS),
    }
)
_WHOLE: Final = {
    *LIMITS,
    CONF_PACKET_SIZE,
    CONF_REPEAT_WINDOW,
    CONF_LISTENER_PORT,
    CONF_KEEP_DAYS,
    CONF_MOST_KEPT,
    CONF_LOW_BALANCE,
    CONF_BALANCE_INTERVAL,
}
_NOTHING: Final = vol.Schema({})
_DIGITS: Final = frozenset("0123456789")
# Whether the report came, whether a reply did.
_RESULTS: Final = {
    (True, True): "test_passed",
    (True, False): "test_no_reply",
    (False, True): "test_no_report",
    (False, False): "test_nothing",
}


class Sms1680OptionsFlow(OptionsFlow):
    """The options' dialogs."""

    _test: SelfTest

    def __init__(self) -> None:
        self._stop_test: Callable[[], None] | None = None
        self._task: asyncio.Task[Any] | None = None
        self._stage = "sending"
        self._reported = False
        self._problem: str | None = None

    async def async_step_init(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:  # noqa: ARG002
        """Choose what to set, to see or to try."""
        return self.async_show_menu(
            step_id="init",
            menu_options=[
                "sending",
                "receiving",
                "keeping",
                "conversation",
                "balance",
                "spending",
                "letter",
                "renew_secret",
                "test",
            ],
        )

    async def async_step_sending(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Set how messages go out."""
        schema = _SENDING if CONF_HTTP in self.config_entry.data else _SENDING_BY_CMPP
        errors: dict[str, str] = {}
        if user_input is not None:
            errors = signature_errors(user_input)
            if not _DIGITS.issuperset(user_input.get(CONF_SOURCE_NUMBER, "")):
                errors[CONF_SOURCE_NUMBER] = "invalid_source_number"
            if not is_usable_proxy(user_input.get(CONF_PROXY)):
                errors[CONF_PROXY] = "invalid_proxy"
            if not errors:
                return self._save(schema, user_input)
        return self._form("sending", schema, user_input, errors)

    async def async_step_receiving(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Set how what the platform pushes is taken."""
        errors: dict[str, str] = {}
        if user_input is not None:
            given = {**user_input, CONF_NETWORKS: []}
            try:
                networks = [text.strip() for text in user_input.get(CONF_NETWORKS, []) if text.strip()]
                given[CONF_NETWORKS] = [str(ip_network(text, strict=False)) for text in networks]
            except ValueError:
                errors[CONF_NETWORKS] = "invalid_networks"
            answer = user_input.get(CONF_PUSH_ANSWER, DEFAULT_PUSH_ANSWER)
            if not answer.isprintable() or len(answer) > _LONGEST_ANSWER:
                errors[CONF_PUSH_ANSWER] = "invalid_answer"
            if not errors:
                return self._save(_RECEIVING, given)
        return self._form("receiving", _RECEIVING, user_input, errors)

    async def async_step_conversation(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Set what questions go out with, and what commands begin with."""
        errors: dict[str, str] = {}
        if user_input is not None:
            words = [word.strip() for word in user_input.get(CONF_COMMAND_WORDS, []) if word.strip()]
            given = {**user_input, CONF_COMMAND_WORDS: words}
            if any(word[-1].isdigit() for word in words):
                errors[CONF_COMMAND_WORDS] = "invalid_words"
            if error := self._range_error(user_input.get(CONF_QUESTION_EXTENSIONS)):
                errors[CONF_QUESTION_EXTENSIONS] = error
            if not errors:
                return self._save(_CONVERSATION, given)
        return self._form("conversation", _CONVERSATION, user_input, errors)

    async def async_step_keeping(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Set what is kept of messages, and how long."""
        if user_input is not None:
            return self._save(_KEEPING, user_input)
        return self._form("keeping", _KEEPING, None, {})

    async def async_step_spending(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Set how much may be spent."""
        if user_input is not None:
            return self._save(_SPENDING, user_input)
        return self._form("spending", _SPENDING, None, {})

    async def async_step_balance(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Set what a part costs and when the balance is low."""
        if user_input is not None:
            return self._save(_BALANCE, user_input)
        return self._form("balance", _BALANCE, None, {})

    async def async_step_letter(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Show the letter to the platform's staff."""
        if user_input is not None:
            return await self.async_step_init()
        letter = make_letter(self.hass, self.config_entry.data, self.config_entry.options)
        return self.async_show_form(
            step_id=letter.name, data_schema=_NOTHING, description_placeholders=letter.placeholders
        )

    async_step_letter_unreachable = async_step_letter

    async def async_step_renew_secret(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Make the push addresses anew, then show the letter with them."""
        if user_input is None:
            return self.async_show_form(step_id="renew_secret", data_schema=_NOTHING)
        data = {
            **self.config_entry.data,
            CONF_WEBHOOK_ID: webhook.async_generate_id(),
            CONF_PUSH_SECRET: new_push_secret(),
        }
        self.hass.config_entries.async_update_entry(self.config_entry, data=data)
        async_register_push(self.hass, self.config_entry)
        return await self.async_step_letter()

    async def async_step_test(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Choose who gets the test message."""
        entry = self.config_entry
        if entry.state is not ConfigEntryState.LOADED:
            return self.async_abort(reason="not_loaded")
        known = {subentry.subentry_id: subentry for subentry in recipients(entry)}
        if not known:
            return self.async_abort(reason="no_recipient")
        if user_input is not None and user_input[CONF_RECIPIENT] in known:
            self._task = None
            self._test = SelfTest(self.hass, entry, known[user_input[CONF_RECIPIENT]])
            self._test.start()
            self._stop_test = self._test.stop
            return await self.async_step_test_run()
        choices = [SelectOptionDict(value=key, label=subentry.title) for key, subentry in known.items()]
        schema = vol.Schema({vol.Required(CONF_RECIPIENT): SelectSelector(SelectSelectorConfig(options=choices))})
        return self.async_show_form(step_id="test", data_schema=schema)

    async def async_step_test_run(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:  # noqa: ARG002
        """Send the test message, wait for its delivery report, then for a reply to it."""
        if self._task is None:
            self._begin_stage("sending", self._test.async_send())
        elif self._task.done() and (ended := self._end_stage(self._task.result())):
            self._test.stop()
            return self.async_show_progress_done(next_step_id=ended)
        return self.async_show_progress(
            step_id="test_run", progress_action=f"test_{self._stage}", progress_task=self._task
        )

    async def async_step_test_failed(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Tell why the message was not accepted."""
        return await self._result("test_failed", user_input)

    async def async_step_test_undelivered(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Tell that the report came and what it said."""
        return await self._result("test_undelivered", user_input)

    async def async_step_test_passed(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Tell that all went well."""
        return await self._result("test_passed", user_input)

    async def async_step_test_no_reply(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Tell that the report came, and no reply."""
        return await self._result("test_no_reply", user_input)

    async def async_step_test_no_report(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Tell that the reply came, and no report."""
        return await self._result("test_no_report", user_input)

    async def async_step_test_nothing(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Tell that nothing came."""
        return await self._result("test_nothing", user_input)

    @callback
    @override
    def async_remove(self) -> None:
        """Hear no more once the dialog is closed; a message that is under way is sent all the same."""
        if self._stop_test is not None:
            self._stop_test()
        if self._task is not None:
            self._task.cancel()

    def _end_stage(self, result: Any) -> str | None:  # noqa: ANN401 - of three kinds of tasks
        """Take in what came of a stage; return the step that tells the result, or None where the test goes on."""
        if self._stage == "sending":
            self._problem = result
            if self._problem:
                return "test_failed"
            self._begin_stage("report", self._test.async_wait_for_report())
        elif self._stage == "report":
            self._reported = result
            self._problem = self._test.delivery_problem
            if self._problem:
                return "test_undelivered"
            self._begin_stage("reply", self._test.async_wait_for_reply())
        else:
            return _RESULTS[self._reported, result]
        return None

    def _begin_stage(self, stage: str, waiting: Coroutine[Any, Any, Any]) -> None:
        self._stage = stage
        # Not eager: one that is done at once would have the form's input taken for the next step's.
        self._task = self.hass.async_create_background_task(waiting, "sms1680 test", eager_start=False)

    async def _result(self, step_id: str, user_input: dict[str, Any] | None) -> ConfigFlowResult:
        if user_input is not None:
            return await self.async_step_init()
        placeholders = {"problem": self._problem or ""}
        return self.async_show_form(step_id=step_id, data_schema=_NOTHING, description_placeholders=placeholders)

    def _range_error(self, text: str | None) -> str | None:
        """Return what is wrong with a range of extensions; none at all is allowed."""
        if not text:
            return None
        try:
            extensions = ExtensionRange.parse(text)
        except InvalidRangeError:
            return "invalid_extensions"
        try:
            full_number(self.config_entry.data.get(CONF_CMPP, {}).get(CONF_SOURCE_NUMBER, ""), extensions.at(0))
        except InvalidMessageError:
            return "extensions_too_long"
        taken = (recipient.data.get(CONF_EXTENSION, "") for recipient in recipients(self.config_entry))
        return "extension_taken" if any(extension in extensions for extension in taken) else None

    def _form(
        self, step_id: str, schema: vol.Schema, shown: Mapping[str, Any] | None, errors: dict[str, str]
    ) -> ConfigFlowResult:
        filled = self.add_suggested_values_to_schema(schema, shown or self.config_entry.options)
        return self.async_show_form(step_id=step_id, data_schema=filled, errors=errors)

    def _save(self, schema: vol.Schema, given: Mapping[str, Any]) -> ConfigFlowResult:
        """Keep what was given; what was left empty is as if it had never been set."""
        here = {str(name) for name in schema.schema}
        others = {name: value for name, value in self.config_entry.options.items() if name not in here}
        values = {
            name: int(value) if name in _WHOLE else value for name, value in given.items() if value not in ("", [])
        }
        return self.async_create_entry(data={**others, **values})
