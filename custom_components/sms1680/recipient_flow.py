"""Adding and changing a recipient: a person or a phone that gets messages and may answer."""

from __future__ import annotations

from typing import Any, Final, override

import voluptuous as vol
from homeassistant.config_entries import ConfigSubentryFlow, SubentryFlowResult
from homeassistant.const import CONF_NAME
from homeassistant.core import callback
from homeassistant.helpers.selector import (
    EntitySelector,
    EntitySelectorConfig,
    TextSelector,
    TextSelectorConfig,
    TextSelectorType,
)

from .client import InvalidMessageError, normalise_number
from .const import CONF_EXTENSION, CONF_NUMBER, CONF_PERSON
from .letter import SHOWS_LETTER, make_letter

_LONGEST_EXTENSION: Final = 20
_RECIPIENT = vol.Schema(
    {
        vol.Required(CONF_NAME): TextSelector(),
        vol.Required(CONF_NUMBER): TextSelector(TextSelectorConfig(type=TextSelectorType.TEL)),
        vol.Optional(CONF_PERSON): EntitySelector(EntitySelectorConfig(domain="person")),
        vol.Optional(CONF_EXTENSION): TextSelector(),
    }
)


class RecipientFlow(ConfigSubentryFlow):
    """The dialogs of a recipient."""

    @callback
    @override
    def async_create_entry(self, **shown: Any) -> SubentryFlowResult:
        """Show the letter to the platform at the end of a dialog that took the place of the account's last page."""
        if self.context.get(SHOWS_LETTER):
            entry = self._get_entry()
            letter = make_letter(self.hass, entry.data, entry.options)
            shown |= {"description": letter.name, "description_placeholders": letter.placeholders}
        return super().async_create_entry(**shown)

    def __init__(self) -> None:
        self._recipient: dict[str, Any] = {}

    async def async_step_user(self, user_input: dict[str, Any] | None = None) -> SubentryFlowResult:
        """Ask for a new recipient."""
        errors: dict[str, str] = {}
        if user_input is not None:
            errors = self._check(user_input, None)
            if not errors:
                return self.async_create_entry(
                    title=user_input[CONF_NAME].strip(), data=self._recipient, unique_id=self._recipient[CONF_NUMBER]
                )
        return self._form("user", user_input, errors)

    async def async_step_reconfigure(self, user_input: dict[str, Any] | None = None) -> SubentryFlowResult:
        """Change a recipient."""
        subentry = self._get_reconfigure_subentry()
        errors: dict[str, str] = {}
        if user_input is not None:
            errors = self._check(user_input, subentry.subentry_id)
            if not errors:
                return self.async_update_and_abort(
                    self._get_entry(),
                    subentry,
                    title=user_input[CONF_NAME].strip(),
                    data=self._recipient,
                    unique_id=self._recipient[CONF_NUMBER],
                )
        return self._form("reconfigure", user_input or {CONF_NAME: subentry.title, **subentry.data}, errors)

    def _form(self, step_id: str, shown: dict[str, Any] | None, errors: dict[str, str]) -> SubentryFlowResult:
        schema = self.add_suggested_values_to_schema(_RECIPIENT, shown)
        return self.async_show_form(step_id=step_id, data_schema=schema, errors=errors)

    def _check(self, given: dict[str, Any], own_id: str | None) -> dict[str, str]:
        """Take up what was given; return what is wrong with it."""
        errors: dict[str, str] = {}
        recipient: dict[str, Any] = {CONF_PERSON: given[CONF_PERSON]} if given.get(CONF_PERSON) else {}
        if not given[CONF_NAME].strip():
            errors[CONF_NAME] = "empty"
        try:
            recipient[CONF_NUMBER] = normalise_number(given[CONF_NUMBER])
        except InvalidMessageError:
            errors[CONF_NUMBER] = "invalid_number"
        else:
            others = (other for other in self._get_entry().subentries.values() if other.subentry_id != own_id)
            if any(other.unique_id == recipient[CONF_NUMBER] for other in others):
                errors[CONF_NUMBER] = "already_configured"
        if extension := given.get(CONF_EXTENSION, "").strip():
            recipient[CONF_EXTENSION] = extension
            if not (extension.isascii() and extension.isdigit() and len(extension) <= _LONGEST_EXTENSION):
                errors[CONF_EXTENSION] = "invalid_extension"
        self._recipient = recipient
        return errors
