"""Setting an account up, signing in again, and changing how it is reached."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, override

import voluptuous as vol
from homeassistant.components import webhook
from homeassistant.config_entries import (
    SOURCE_USER,
    ConfigEntry,
    ConfigFlow,
    ConfigFlowResult,
    ConfigSubentryFlow,
    OptionsFlow,
    SubentryFlowContext,
)
from homeassistant.const import CONF_PASSWORD, CONF_USERNAME, CONF_WEBHOOK_ID
from homeassistant.core import callback
from homeassistant.data_entry_flow import AbortFlow
from homeassistant.helpers.selector import (
    SelectSelector,
    SelectSelectorConfig,
    SelectSelectorMode,
    TextSelector,
    TextSelectorConfig,
    TextSelectorType,
)
from homeassistant.helpers.typing import VolDictType

from .checks import (
    CONF_PASSWORD_FORM,
    FORM_MD5,
    FORM_PLAIN_FOR_BALANCE,
    NOT_PERMITTED,
    PASSWORD_FORMS,
    async_try,
    http_way,
    signature_errors,
    way_id,
)
from .client import DEFAULT_GATEWAY
from .const import (
    CONF_GATEWAY,
    CONF_HTTP,
    CONF_PRODUCT_ID,
    CONF_PUSH_SECRET,
    CONF_SIGNATURE,
    DOMAIN,
    SUBENTRY_RECIPIENT,
)
from .letter import SHOWS_LETTER, make_letter, new_push_secret
from .options_flow import Sms1680OptionsFlow
from .recipient_flow import RecipientFlow

_TEXT = TextSelector()
_SECRET = TextSelector(TextSelectorConfig(type=TextSelectorType.PASSWORD))
_ADDRESS = TextSelector(TextSelectorConfig(type=TextSelectorType.URL))
_FORMS = SelectSelector(
    SelectSelectorConfig(options=PASSWORD_FORMS, mode=SelectSelectorMode.DROPDOWN, translation_key=CONF_PASSWORD_FORM)
)
_PASSWORD: VolDictType = {vol.Required(CONF_PASSWORD): _SECRET}
_PASSWORD_FORM: VolDictType = {vol.Optional(CONF_PASSWORD_FORM, default=FORM_MD5): _FORMS}
_WAY: VolDictType = {
    vol.Required(CONF_USERNAME): _TEXT,
    **_PASSWORD,
    vol.Required(CONF_PRODUCT_ID): _TEXT,
    vol.Required(CONF_GATEWAY, default=DEFAULT_GATEWAY): _ADDRESS,
}
_ACCOUNT: VolDictType = {**_WAY, vol.Optional(CONF_SIGNATURE): _TEXT}

# After these the form of the password may be what is wrong: then it is asked for too.
_MAY_BE_THE_FORM = {"invalid_auth", "md5_given", "md5_expected"}
_NOT_PERMITTED = {"base": NOT_PERMITTED}


class Sms1680ConfigFlow(ConfigFlow, domain=DOMAIN):
    """The dialogs of an account."""

    VERSION = 1
    MINOR_VERSION = 1

    def __init__(self) -> None:
        self._way: dict[str, Any] = {}
        self._options: dict[str, Any] = {}

    @classmethod
    @callback
    @override
    def async_get_supported_subentry_types(cls, config_entry: ConfigEntry) -> dict[str, type[ConfigSubentryFlow]]:
        return {SUBENTRY_RECIPIENT: RecipientFlow}

    @staticmethod
    @callback
    @override
    def async_get_options_flow(config_entry: ConfigEntry) -> OptionsFlow:
        return Sms1680OptionsFlow()

    @override
    async def async_step_user(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Choose how the platform is reached."""
        return self.async_show_menu(step_id="user", menu_options=["http"])

    async def async_step_http(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Ask for the account and try it."""
        errors: dict[str, str] = {}
        if user_input is not None:
            signature = user_input.get(CONF_SIGNATURE)
            self._options = {CONF_SIGNATURE: signature} if signature else {}
            errors = signature_errors(user_input) or await self._check(user_input, self._options)
            if not errors:
                return self._create()
            if errors == _NOT_PERMITTED:
                return await self.async_step_unchecked()
        return self._form("http", _ACCOUNT, user_input, errors)

    async def async_step_unchecked(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Warn that the account could not be tried, then save it."""
        if user_input is not None:
            return self._create() if self.source == SOURCE_USER else self._change(self._get_reconfigure_entry())
        return self.async_show_form(step_id="unchecked", data_schema=vol.Schema({}))

    async def async_step_reauth(self, entry_data: Mapping[str, Any]) -> ConfigFlowResult:  # noqa: ARG002
        """The platform refused the credentials."""
        return await self.async_step_reauth_confirm()

    async def async_step_reauth_confirm(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Ask for the password anew."""
        entry = self._get_reauth_entry()
        errors: dict[str, str] = {}
        if user_input is not None:
            errors = await self._check({**entry.data[CONF_HTTP], **user_input}, entry.options)
            if not errors or errors == _NOT_PERMITTED:
                return self._change(entry)
        return self._form("reauth_confirm", {**_PASSWORD, **_PASSWORD_FORM}, user_input or _form_of(entry), errors)

    async def async_step_reconfigure(
        self,
        user_input: dict[str, Any] | None = None,  # noqa: ARG002
    ) -> ConfigFlowResult:
        """Choose what to change."""
        return self.async_show_menu(step_id="reconfigure", menu_options=["reconfigure_http"])

    async def async_step_reconfigure_http(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Change the account's data."""
        entry = self._get_reconfigure_entry()
        errors: dict[str, str] = {}
        if user_input is not None:
            errors = await self._check(user_input, entry.options)
            if not errors:
                return self._change(entry)
            if errors == _NOT_PERMITTED:
                return await self.async_step_unchecked()
        shown = user_input or {**entry.data[CONF_HTTP], **_form_of(entry)}
        return self._form("reconfigure_http", {**_WAY, **_PASSWORD_FORM}, shown, errors)

    async def _check(self, given: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, str]:
        """Take up a way that was given and try it; return what is wrong."""
        self._way, errors = http_way(given)
        if errors:
            return errors
        other = await self.async_set_unique_id(way_id(self._way), raise_on_progress=False)
        if other is not None and other.entry_id != self.context.get("entry_id"):
            raise AbortFlow("already_configured")
        error = await async_try(self.hass, self._way, options)
        return {"base": error} if error else {}

    def _form(
        self, step_id: str, fields: VolDictType, shown: Mapping[str, Any] | None, errors: dict[str, str]
    ) -> ConfigFlowResult:
        if _MAY_BE_THE_FORM.intersection(errors.values()) or CONF_PASSWORD_FORM in (shown or {}):
            fields = {**fields, **_PASSWORD_FORM}
        suggested = {name: value for name, value in (shown or {}).items() if name != CONF_PASSWORD}
        schema = self.add_suggested_values_to_schema(vol.Schema(fields), suggested)
        return self.async_show_form(step_id=step_id, data_schema=schema, errors=errors)

    def _create(self) -> ConfigFlowResult:
        data = {
            CONF_HTTP: self._way,
            CONF_WEBHOOK_ID: webhook.async_generate_id(),
            CONF_PUSH_SECRET: new_push_secret(),
        }
        letter = make_letter(self.hass, data, self._options)
        return self.async_create_entry(
            title=self._options.get(CONF_SIGNATURE) or f"SMS 1680 {self._way[CONF_PRODUCT_ID]}",
            data=data,
            options=self._options,
            description=letter.name,
            description_placeholders=letter.placeholders,
        )

    def _change(self, entry: ConfigEntry) -> ConfigFlowResult:
        """Take the way into an entry and reload it exactly once: the update listener does, where something changed."""
        changed = self.hass.config_entries.async_update_entry(
            entry, data={**entry.data, CONF_HTTP: self._way}, unique_id=way_id(self._way)
        )
        if not (changed and entry.update_listeners):
            self.hass.config_entries.async_schedule_reload(entry.entry_id)
        return self.async_abort(reason=f"{self.source}_successful")

    async def async_on_create_entry(self, result: ConfigFlowResult) -> ConfigFlowResult:
        """Go on with the dialog of the first recipient, where Home Assistant can do that (2026.6 and later)."""
        from homeassistant.config_entries import FlowType  # noqa: PLC0415 - 2025.10 and later

        dialog = await self.hass.config_entries.subentries.async_init(
            (result["result"].entry_id, SUBENTRY_RECIPIENT),
            context=SubentryFlowContext(source=SOURCE_USER, **{SHOWS_LETTER: True}),  # type: ignore[typeddict-unknown-key]
        )
        result["next_flow"] = (FlowType.CONFIG_SUBENTRIES_FLOW, dialog["flow_id"])
        return result


def _form_of(entry: ConfigEntry) -> dict[str, str]:
    """Return the form in which an entry's password goes out."""
    plain = CONF_PASSWORD in entry.data[CONF_HTTP]
    return {CONF_PASSWORD_FORM: FORM_PLAIN_FOR_BALANCE if plain else FORM_MD5}
