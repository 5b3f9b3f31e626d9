"""Dialogs for adding and changing a recipient: a person or phone that gets messages, replies, and may send commands."""

import hmac
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

import pyotp
import voluptuous as vol
from homeassistant.config_entries import SOURCE_RECONFIGURE, ConfigSubentryFlow, SubentryFlowResult
from homeassistant.const import CONF_CODE, CONF_NAME, CONF_PIN
from homeassistant.helpers.selector import QrCodeSelector, QrCodeSelectorConfig, QrErrorCorrectionLevel
from homeassistant.util import dt as dt_util

from ..client import InvalidMessageError, normalise_number
from ..const import (
    CONF_ASSIST,
    CONF_ASSIST_AGENT,
    CONF_ASSIST_CODE,
    CONF_ASSIST_HOURLY,
    CONF_ASSIST_PARTS,
    CONF_COMMAND_WORDS,
    CONF_COMMANDS,
    CONF_EXTENSION,
    CONF_NUMBER,
    CONF_PERSON,
    CONF_QUESTION_EXTENSIONS,
    CONF_TOTP_SECRET,
)
from ..conversation.command_auth import COMMANDS_NONE, COMMANDS_PIN, COMMANDS_TOTP
from ..conversation.engine import ExtensionRange
from ..conversation.engine.commands import is_pin, is_weak_pin
from .onboarding_letter import CONF_LETTER, SHOWS_LETTER, letter_form, make_letter
from .schemas import CODE, RECIPIENT, RECIPIENT_SECTIONS
from .validation import async_delivery_errors, delivery_settings, fallback_errors

_MAX_EXTENSION_LENGTH: Final = 20
_SECRETS: Final = (CONF_PIN, CONF_TOTP_SECRET)
_SECTION_OF: Final = {str(field): name for name, fields in RECIPIENT_SECTIONS.items() for field in fields}


class RecipientFlow(ConfigSubentryFlow):
    """The dialogs of a recipient."""

    def __init__(self) -> None:
        self._name = ""
        self._recipient: dict[str, Any] = {}
        self._stored: dict[str, Any] = {}
        self._secret = pyotp.random_base32()
        self._letter_shown = False

    async def async_step_user(self, user_input: dict[str, Any] | None = None) -> SubentryFlowResult:
        """Add a recipient. If this dialog replaced the last page of the account's dialog, show the letter first."""
        if user_input is None and self.context.get(SHOWS_LETTER) and not self._letter_shown:
            return await self.async_step_letter()
        errors: dict[str, str] = {}
        given = None if user_input is None else _without_sections(user_input)
        if given is not None:
            errors = self._check(given, None) | await async_delivery_errors(given)
            if not errors:
                return await self._async_warn_or_next()
        return self._form("user", given, errors)

    async def async_step_letter(self, user_input: dict[str, Any] | None = None) -> SubentryFlowResult:
        """Show the letter to the platform's staff."""
        if user_input is not None:
            return await self.async_step_user()
        self._letter_shown = True
        entry = self._get_entry()
        name, placeholders = make_letter(self.hass, entry.data, entry.options)
        form = letter_form(placeholders[CONF_LETTER])
        return self.async_show_form(step_id=name, data_schema=form, last_step=False)

    async_step_letter_unreachable = async_step_letter

    async def async_step_reconfigure(self, user_input: dict[str, Any] | None = None) -> SubentryFlowResult:
        """Change a recipient."""
        subentry = self._get_reconfigure_subentry()
        self._stored = {name: subentry.data[name] for name in _SECRETS if name in subentry.data}
        errors: dict[str, str] = {}
        given = None if user_input is None else _without_sections(user_input)
        if given is not None:
            errors = self._check(given, subentry.subentry_id) | await async_delivery_errors(given)
            if not errors:
                return await self._async_warn_or_next(subentry.data)
        shown = {name: value for name, value in subentry.data.items() if name not in _SECRETS}
        return self._form("reconfigure", given or {CONF_NAME: subentry.title, **shown}, errors)

    async def async_step_assist_without_code(self, user_input: dict[str, Any] | None = None) -> SubentryFlowResult:
        """Explain what it means that texts to Assist need no code."""
        if user_input is not None:
            return await self._async_next()
        placeholders = {"recipient": self._name}
        return self.async_show_form(
            step_id="assist_without_code", data_schema=vol.Schema({}), description_placeholders=placeholders
        )

    async def async_step_pin(self, user_input: dict[str, Any] | None = None) -> SubentryFlowResult:
        """Ask for the PIN; if the field is left empty, keep the stored PIN."""
        errors: dict[str, str] = {}
        if user_input is not None:
            pin = user_input.get(CONF_PIN, "").strip() or self._stored.get(CONF_PIN, "")
            if not is_pin(pin) and pin != self._stored.get(CONF_PIN):
                errors[CONF_PIN] = "invalid_pin"
            elif is_weak_pin(pin, self._recipient[CONF_NUMBER]):
                errors[CONF_PIN] = "weak_pin"
            else:
                self._recipient[CONF_PIN] = pin
                return self._save()
        schema = vol.Schema({vol.Optional(CONF_PIN): CODE})
        return self.async_show_form(
            step_id="pin", data_schema=schema, errors=errors, description_placeholders={"words": self._words}
        )

    async def async_step_totp(self, user_input: dict[str, Any] | None = None) -> SubentryFlowResult:
        """Show the secret for an authenticator app, and ask for a code to verify it."""
        errors: dict[str, str] = {}
        codes = pyotp.TOTP(self._secret)
        if user_input is not None:
            given = "".join(user_input[CONF_CODE].split())
            now = dt_util.utcnow()
            if any(hmac.compare_digest(codes.at(now, step).encode(), given.encode()) for step in (-1, 0, 1)):
                self._recipient[CONF_TOTP_SECRET] = self._secret
                return self._save()
            errors[CONF_CODE] = "wrong_code"
        uri = codes.provisioning_uri(name=self._name, issuer_name="SMS 1680")
        schema = vol.Schema(
            {
                vol.Optional("qr_code"): QrCodeSelector(
                    QrCodeSelectorConfig(data=uri, scale=5, error_correction_level=QrErrorCorrectionLevel.QUARTILE)
                ),
                vol.Required(CONF_CODE): CODE,
            }
        )
        return self.async_show_form(
            step_id="totp",
            data_schema=schema,
            errors=errors,
            description_placeholders={"secret": self._secret, "words": self._words},
        )

    @property
    def _words(self) -> str:
        """The words that start a command of this account."""
        return ", ".join(self._get_entry().options.get(CONF_COMMAND_WORDS) or ()) or "-"

    async def _async_warn_or_next(self, before: Mapping[str, Any] = MappingProxyType({})) -> SubentryFlowResult:
        """Warn if texts to Assist need no code, unless it was so before."""
        if _needs_no_code(self._recipient) and not _needs_no_code(before):
            return await self.async_step_assist_without_code()
        return await self._async_next()

    async def _async_next(self) -> SubentryFlowResult:
        """Ask for the PIN or a code if the recipient may send commands, otherwise save."""
        commands = self._recipient.get(CONF_COMMANDS)
        if commands == COMMANDS_PIN:
            return await self.async_step_pin()
        if commands == COMMANDS_TOTP:
            if CONF_TOTP_SECRET not in self._stored:
                return await self.async_step_totp()
            self._recipient[CONF_TOTP_SECRET] = self._stored[CONF_TOTP_SECRET]
        return self._save()

    def _save(self) -> SubentryFlowResult:
        if self.source == SOURCE_RECONFIGURE:
            return self.async_update_and_abort(
                self._get_entry(),
                self._get_reconfigure_subentry(),
                title=self._name,
                data=self._recipient,
                unique_id=self._recipient[CONF_NUMBER],
            )
        return self.async_create_entry(title=self._name, data=self._recipient, unique_id=self._recipient[CONF_NUMBER])

    def _form(self, step_id: str, shown: dict[str, Any] | None, errors: dict[str, str]) -> SubentryFlowResult:
        schema = self.add_suggested_values_to_schema(RECIPIENT, None if shown is None else _with_sections(shown))
        # The frontend shows an error of a section above it, and none of a field inside.
        shown_errors: dict[str, str] = {}
        for name, error in errors.items():
            shown_errors.setdefault(_SECTION_OF.get(name, name), error)
        return self.async_show_form(step_id=step_id, data_schema=schema, errors=shown_errors)

    def _check(self, given: dict[str, Any], own_id: str | None) -> dict[str, str]:
        """Set the recipient from the input; return the errors by field."""
        errors: dict[str, str] = {}
        others = [other for other in self._get_entry().subentries.values() if other.subentry_id != own_id]
        recipient: dict[str, Any] = {CONF_PERSON: given[CONF_PERSON]} if given.get(CONF_PERSON) else {}
        self._name = given[CONF_NAME].strip()
        if not self._name:
            errors[CONF_NAME] = "empty"
        elif any(other.title == self._name for other in others):
            errors[CONF_NAME] = "name_taken"
        try:
            recipient[CONF_NUMBER] = normalise_number(given[CONF_NUMBER])
        except InvalidMessageError:
            errors[CONF_NUMBER] = "invalid_number"
        else:
            if any(other.unique_id == recipient[CONF_NUMBER] for other in others):
                errors[CONF_NUMBER] = "already_configured"
        if extension := given.get(CONF_EXTENSION, "").strip():
            recipient[CONF_EXTENSION] = extension
            if not (extension.isascii() and extension.isdigit() and len(extension) <= _MAX_EXTENSION_LENGTH):
                errors[CONF_EXTENSION] = "invalid_extension"
            elif self._is_for_questions(extension):
                errors[CONF_EXTENSION] = "question_extension"
        if given.get(CONF_COMMANDS, COMMANDS_NONE) != COMMANDS_NONE:
            recipient[CONF_COMMANDS] = given[CONF_COMMANDS]
        recipient |= _assist_settings(given) | delivery_settings(given)
        errors |= _assist_errors(recipient)
        errors |= fallback_errors(self.hass, given, self._get_entry(), own_id)
        self._recipient = recipient
        return errors

    def _is_for_questions(self, extension: str) -> bool:
        questions: str | None = self._get_entry().options.get(CONF_QUESTION_EXTENSIONS)
        return questions is not None and extension in ExtensionRange.parse(questions)


def _needs_no_code(recipient: Mapping[str, Any]) -> bool:
    """Return whether everybody who forges the recipient's number can talk to Assist."""
    return bool(recipient.get(CONF_ASSIST)) and not recipient.get(CONF_ASSIST_CODE, True)


def _assist_errors(recipient: Mapping[str, Any]) -> dict[str, str]:
    has_code = CONF_COMMANDS in recipient
    needs_code = recipient.get(CONF_ASSIST) and recipient[CONF_ASSIST_CODE]
    return {CONF_ASSIST_CODE: "code_needed"} if needs_code and not has_code else {}


def _assist_settings(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a recipient who may talk to Assist, no settings for others."""
    if not given.get(CONF_ASSIST):
        return {}
    settings = {
        CONF_ASSIST: True,
        CONF_ASSIST_CODE: given[CONF_ASSIST_CODE],
        CONF_ASSIST_PARTS: int(given[CONF_ASSIST_PARTS]),
        CONF_ASSIST_HOURLY: int(given[CONF_ASSIST_HOURLY]),
    }
    return settings | ({CONF_ASSIST_AGENT: given[CONF_ASSIST_AGENT]} if given.get(CONF_ASSIST_AGENT) else {})


def _with_sections(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of the form, each in its section."""
    shown = {name: value for name, value in values.items() if name not in _SECTION_OF}
    sections = {
        name: {str(field): values[str(field)] for field in fields if str(field) in values}
        for name, fields in RECIPIENT_SECTIONS.items()
    }
    return shown | sections


def _without_sections(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values that were entered, without the sections of the form."""
    fields = {name: value for name, value in given.items() if name not in RECIPIENT_SECTIONS}
    for name in RECIPIENT_SECTIONS:
        fields |= given.get(name, {})
    return fields
