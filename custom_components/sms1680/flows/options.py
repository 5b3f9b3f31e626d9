"""The options of an account, the letter to the platform's staff, and a test message."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from ipaddress import ip_network
from typing import Any, Final, override

import voluptuous as vol
from homeassistant.components import webhook
from homeassistant.config_entries import ConfigEntryState, ConfigFlowResult, OptionsFlow
from homeassistant.const import CONF_WEBHOOK_ID
from homeassistant.core import callback
from homeassistant.helpers.selector import SelectOptionDict, SelectSelector, SelectSelectorConfig

from ..account.clients import async_has_redis, is_server_address
from ..client import InvalidMessageError
from ..client.cmpp.compose import full_number
from ..const import (
    CONF_CMPP,
    CONF_COMMAND_WORDS,
    CONF_EXTENSION,
    CONF_HTTP,
    CONF_LISTENER_PORT,
    CONF_LONG_TEXT,
    CONF_NETWORKS,
    CONF_PUSH_ANSWER,
    CONF_PUSH_SECRET,
    CONF_QUESTION_EXTENSIONS,
    CONF_SHARED_STATE,
    CONF_SIGNATURE,
    CONF_SINGLE_ROWS,
    CONF_SOURCE_NUMBER,
    DEFAULT_PUSH_ANSWER,
)
from ..conversation.engine import ExtensionRange, InvalidRangeError
from ..inbound.endpoints import async_register_push
from ..recipients import recipients
from .onboarding_letter import CONF_LETTER, letter_form, make_letter, new_push_secret
from .own_port import async_open_own_port
from .schemas import BALANCE, CONVERSATION, INTEGERS, RECEIVING, SENDING, SENDING_OVER_CMPP, SPENDING, STORAGE
from .self_test import SelfTest
from .validation import async_proxy_errors, signature_errors, without_brackets

CONF_RECIPIENT: Final = "recipient"
_MAX_ANSWER_LENGTH: Final = 64
_EMPTY: Final = vol.Schema({})
_DIGITS: Final = frozenset("0123456789")
# By whether the delivery report and the reply arrived.
_RESULTS: Final = {
    (True, True): "test_passed",
    (True, False): "test_no_reply",
    (False, True): "test_no_report",
    (False, False): "test_nothing",
}


class Sms1680OptionsFlow(OptionsFlow):
    """The dialogs of the options."""

    _test: SelfTest

    def __init__(self) -> None:
        self._stop_test: Callable[[], None] | None = None
        self._task: asyncio.Task[Any] | None = None
        self._stage = "sending"
        self._reported = False
        self._problem: str | None = None
        self._result = ""

    async def async_step_init(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:  # noqa: ARG002
        """Show the menu of the options."""
        options = ["sending", "receiving", "keeping", "conversation", "balance", "spending"]
        data, port = self.config_entry.data, self.config_entry.options.get(CONF_LISTENER_PORT)
        own_port = ["own_port"] if CONF_HTTP in data and not port else []
        options += ["letter", *own_port, "renew_secret", "test"]
        return self.async_show_menu(step_id="init", menu_options=options)

    async def async_step_sending(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Set how messages are sent."""
        schema = SENDING if CONF_HTTP in self.config_entry.data else SENDING_OVER_CMPP
        errors: dict[str, str] = {}
        if user_input is not None:
            errors = signature_errors(user_input)
            if not _DIGITS.issuperset(user_input.get(CONF_SOURCE_NUMBER, "")):
                errors[CONF_SOURCE_NUMBER] = "invalid_source_number"
            over_cmpp = CONF_CMPP in self.config_entry.data
            errors |= await async_proxy_errors(self.hass, user_input, over_cmpp=over_cmpp)
            if not is_server_address(state := user_input.get(CONF_SHARED_STATE)):
                errors[CONF_SHARED_STATE] = "invalid_shared_state"
            elif state and not await async_has_redis(self.hass):
                errors[CONF_SHARED_STATE] = "no_redis"
            if not errors:
                user_input = {**user_input, CONF_SIGNATURE: without_brackets(user_input.get(CONF_SIGNATURE, ""))}
                # Only the choices against these defaults are stored.
                defaults = {CONF_SINGLE_ROWS: True, CONF_LONG_TEXT: "cut"}
                given = {name: value for name, value in user_input.items() if defaults.get(name, ...) != value}
                return self._save(schema, given)
        return self._form("sending", schema, user_input, errors)

    async def async_step_receiving(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Set how pushes from the platform are received."""
        errors: dict[str, str] = {}
        if user_input is not None:
            given = {**user_input, CONF_NETWORKS: []}
            try:
                networks = [text.strip() for text in user_input.get(CONF_NETWORKS, []) if text.strip()]
                given[CONF_NETWORKS] = [str(ip_network(text, strict=False)) for text in networks]
            except ValueError:
                errors[CONF_NETWORKS] = "invalid_networks"
            answer = user_input.get(CONF_PUSH_ANSWER, DEFAULT_PUSH_ANSWER)
            if not answer.isprintable() or len(answer) > _MAX_ANSWER_LENGTH:
                errors[CONF_PUSH_ANSWER] = "invalid_answer"
            if not errors:
                return self._save(RECEIVING, given)
        return self._form("receiving", RECEIVING, user_input, errors)

    async def async_step_conversation(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Set the extensions of questions and the words that start a command."""
        errors: dict[str, str] = {}
        if user_input is not None:
            words = [word.strip() for word in user_input.get(CONF_COMMAND_WORDS, []) if word.strip()]
            given = {**user_input, CONF_COMMAND_WORDS: words}
            if any(word[-1].isdigit() for word in words):
                errors[CONF_COMMAND_WORDS] = "invalid_words"
            if error := self._range_error(user_input.get(CONF_QUESTION_EXTENSIONS)):
                errors[CONF_QUESTION_EXTENSIONS] = error
            if not errors:
                return self._save(CONVERSATION, given)
        return self._form("conversation", CONVERSATION, user_input, errors)

    async def async_step_keeping(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Set which messages are stored, and for how long."""
        return self._save_or_form("keeping", STORAGE, user_input)

    async def async_step_spending(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Set the spending limits."""
        return self._save_or_form("spending", SPENDING, user_input)

    async def async_step_balance(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Set the price of a part, and the threshold of a low balance."""
        return self._save_or_form("balance", BALANCE, user_input)

    async def async_step_letter(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Show the letter to the platform's staff."""
        if user_input is not None:
            return await self.async_step_init()
        name, placeholders = make_letter(self.hass, self.config_entry.data, self.config_entry.options)
        return self.async_show_form(step_id=name, data_schema=letter_form(placeholders[CONF_LETTER]))

    async_step_letter_unreachable = async_step_letter

    async def async_step_own_port(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Give the account a port of its own, then show the letter with the new addresses."""
        if user_input is not None:
            return await self.async_step_init()
        shown = await async_open_own_port(self.hass, self.config_entry)
        form = letter_form(shown[CONF_LETTER])
        return self.async_show_form(step_id="own_port", data_schema=form, description_placeholders=shown)

    async def async_step_renew_secret(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Replace the secrets of the push addresses, then show the letter with the new addresses."""
        if user_input is None:
            return self.async_show_form(step_id="renew_secret", data_schema=_EMPTY)
        data = {
            **self.config_entry.data,
            CONF_WEBHOOK_ID: webhook.async_generate_id(),
            CONF_PUSH_SECRET: new_push_secret(),
        }
        self.hass.config_entries.async_update_entry(self.config_entry, data=data)
        async_register_push(self.hass, self.config_entry)
        return await self.async_step_letter()

    async def async_step_test(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Choose the recipient of the test message."""
        entry = self.config_entry
        if entry.state is not ConfigEntryState.LOADED:
            return self.async_abort(reason="not_loaded")
        by_id = {subentry.subentry_id: subentry for subentry in recipients(entry)}
        if not by_id:
            return self.async_abort(reason="no_recipient")
        if user_input is not None and user_input[CONF_RECIPIENT] in by_id:
            self._task = None
            self._test = SelfTest(self.hass, entry, by_id[user_input[CONF_RECIPIENT]])
            self._test.start()
            self._stop_test = self._test.stop
            return await self.async_step_test_run()
        choices = [SelectOptionDict(value=key, label=subentry.title) for key, subentry in by_id.items()]
        schema = vol.Schema({vol.Required(CONF_RECIPIENT): SelectSelector(SelectSelectorConfig(options=choices))})
        return self.async_show_form(step_id="test", data_schema=schema)

    async def async_step_test_run(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:  # noqa: ARG002
        """Send the test message, wait for its delivery report, then for a reply."""
        if self._task is None:
            self._begin_stage("sending", self._test.async_send())
        elif self._task.done() and (result := self._end_stage(self._task.result())):
            self._test.stop()
            self._result = result
            return self.async_show_progress_done(next_step_id=result)
        return self.async_show_progress(
            step_id="test_run", progress_action=f"test_{self._stage}", progress_task=self._task
        )

    async def async_step_test_failed(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Show the result of the test."""
        if user_input is not None:
            return await self.async_step_init()
        placeholders = {"problem": self._problem or ""}
        return self.async_show_form(step_id=self._result, data_schema=_EMPTY, description_placeholders=placeholders)

    async_step_test_undelivered = async_step_test_failed
    async_step_test_passed = async_step_test_failed
    async_step_test_no_reply = async_step_test_failed
    async_step_test_no_report = async_step_test_failed
    async_step_test_nothing = async_step_test_failed

    @callback
    @override
    def async_remove(self) -> None:
        """Stop the test when the dialog is closed. A message in flight is still sent."""
        if self._stop_test is not None:
            self._stop_test()
        if self._task is not None:
            self._task.cancel()

    def _end_stage(self, result: Any) -> str | None:  # noqa: ANN401 - of three kinds of tasks
        """Process the result of a stage; return the result of the test as a step, None if the test continues."""
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
        # Not eager: if the task ended at once, the next step would receive the input of this form.
        self._task = self.hass.async_create_background_task(waiting, "sms1680 test", eager_start=False)

    def _range_error(self, text: str | None) -> str | None:
        """Return the error of a range of extensions. No range is valid too."""
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

    def _save_or_form(self, step_id: str, schema: vol.Schema, user_input: Mapping[str, Any] | None) -> ConfigFlowResult:
        return self._form(step_id, schema, None, {}) if user_input is None else self._save(schema, user_input)

    def _save(self, schema: vol.Schema, given: Mapping[str, Any]) -> ConfigFlowResult:
        """Save the options of a form; empty ones are removed."""
        in_form = {str(name) for name in schema.schema}
        others = {name: value for name, value in self.config_entry.options.items() if name not in in_form}
        values = {
            name: int(value) if name in INTEGERS else value for name, value in given.items() if value not in ("", [])
        }
        return self.async_create_entry(data={**others, **values})
