"""Setting an account up, signing in again, and changing how it is reached."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, override

import voluptuous as vol
from homeassistant.components import webhook
from homeassistant.config_entries import (
    SOURCE_REAUTH,
    SOURCE_USER,
    ConfigEntry,
    ConfigEntryState,
    ConfigFlow,
    ConfigFlowResult,
    ConfigSubentryFlow,
    OptionsFlow,
)
from homeassistant.const import (
    CONF_HOST,
    CONF_PASSWORD,
    CONF_PORT,
    CONF_SSL,
    CONF_USERNAME,
    CONF_VERIFY_SSL,
    CONF_WEBHOOK_ID,
)
from homeassistant.core import callback
from homeassistant.data_entry_flow import AbortFlow
from homeassistant.helpers.selector import (
    BooleanSelector,
    NumberSelector,
    NumberSelectorConfig,
    NumberSelectorMode,
    SelectSelector,
    SelectSelectorConfig,
    SelectSelectorMode,
    TextSelector,
    TextSelectorConfig,
    TextSelectorType,
)
from homeassistant.helpers.typing import VolDictType

from .client import DEFAULT_GATEWAY
from .client.cmpp.client import PORT
from .const import (
    CONF_CMPP,
    CONF_GATEWAY,
    CONF_HTTP,
    CONF_PRODUCT_ID,
    CONF_PUSH_SECRET,
    CONF_SERVICE_ID,
    CONF_SIGNATURE,
    CONF_SOURCE_NUMBER,
    CONF_SP_ID,
    CONF_TRANSPORT,
    DOMAIN,
    SUBENTRY_RECIPIENT,
)
from .flows.onboarding_letter import SHOWS_LETTER, make_letter, new_push_secret
from .flows.options import Sms1680OptionsFlow
from .flows.recipient import RecipientFlow
from .flows.validation import (
    CONF_PASSWORD_FORM,
    FORM_MD5,
    FORM_PLAIN_FOR_BALANCE,
    NOT_PERMITTED,
    PASSWORD_FORMS,
    account_id,
    async_check_cmpp_login,
    async_check_http_account,
    parse_cmpp,
    parse_http,
    signature_errors,
    transport_id,
)

CONF_ADD_HTTP: Final = "add_http"

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
_SIGNATURE: VolDictType = {vol.Optional(CONF_SIGNATURE): _TEXT}
_PORT = NumberSelector(NumberSelectorConfig(min=1, max=65535, mode=NumberSelectorMode.BOX))
_CMPP: VolDictType = {
    vol.Required(CONF_HOST): _TEXT,
    vol.Required(CONF_PORT, default=PORT): _PORT,
    vol.Optional(CONF_SSL, default=False): BooleanSelector(),
    vol.Optional(CONF_VERIFY_SSL, default=True): BooleanSelector(),
    vol.Required(CONF_SP_ID): _TEXT,
    **_PASSWORD,
    vol.Required(CONF_SOURCE_NUMBER): _TEXT,
    vol.Optional(CONF_SERVICE_ID): _TEXT,
}
# What a login takes; by the last two the platform tells whose it is.
_LOGIN = (CONF_HOST, CONF_PORT, CONF_SSL, CONF_VERIFY_SSL, CONF_SP_ID, CONF_PASSWORD)

# After these the form of the password may be what is wrong: then it is asked for too.
_MAY_BE_THE_FORM = {"invalid_auth", "md5_given", "md5_expected"}
_NOT_PERMITTED = {"base": NOT_PERMITTED}


class Sms1680ConfigFlow(ConfigFlow, domain=DOMAIN):
    """The dialogs of an account."""

    VERSION = 1
    MINOR_VERSION = 1

    def __init__(self) -> None:
        self._ways: dict[str, dict[str, Any]] = {}
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
        return self.async_show_menu(step_id="user", menu_options=[CONF_HTTP, CONF_CMPP])

    async def async_step_http(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Ask for the account and try it; behind the dialog of the CMPP way, for the HTTP way of the same account."""
        errors: dict[str, str] = {}
        fields = _WAY if CONF_CMPP in self._ways else {**_WAY, **_SIGNATURE}
        if user_input is not None:
            if CONF_CMPP not in self._ways:
                self._take_signature(user_input)
            errors = signature_errors(user_input) or await self._check_http(user_input, self._options)
            if not errors:
                return await self._create()
            if errors == _NOT_PERMITTED:
                return await self.async_step_unchecked()
        return self._form("http", fields, user_input, errors)

    async def async_step_cmpp(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Ask for the account's login over CMPP and try it."""
        errors: dict[str, str] = {}
        if user_input is not None:
            self._take_signature(user_input)
            errors = signature_errors(user_input) or await self._check_cmpp(user_input)
            if not errors:
                return await (self.async_step_http() if user_input.get(CONF_ADD_HTTP) else self._create())
        fields = {**_CMPP, **_SIGNATURE, vol.Optional(CONF_ADD_HTTP, default=False): BooleanSelector()}
        return self._form("cmpp", fields, user_input, errors)

    async def async_step_unchecked(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Warn that the account could not be tried, then save it."""
        if user_input is not None:
            if self.source == SOURCE_USER:
                return await self._create()
            if self.source == SOURCE_REAUTH:
                return self._change(self._get_reauth_entry(), reason="reauth_unchecked")
            return self._change(self._get_reconfigure_entry())
        return self.async_show_form(step_id="unchecked", data_schema=vol.Schema({}))

    async def async_step_reauth(self, entry_data: Mapping[str, Any]) -> ConfigFlowResult:
        """The platform refused the credentials of one of the ways."""
        if entry_data.get(CONF_TRANSPORT, CONF_HTTP) == CONF_HTTP and CONF_HTTP in entry_data:
            return await self.async_step_reauth_confirm()
        return await self.async_step_reauth_cmpp()

    async def async_step_reauth_confirm(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Ask for the password of the HTTP way anew."""
        entry = self._get_reauth_entry()
        errors: dict[str, str] = {}
        if user_input is not None:
            errors = await self._check_http({**entry.data[CONF_HTTP], **user_input}, entry.options)
            if not errors:
                return self._change(entry)
            if errors == _NOT_PERMITTED:
                return await self.async_step_unchecked()
        return self._form("reauth_confirm", {**_PASSWORD, **_PASSWORD_FORM}, user_input or _form_of(entry), errors)

    async def async_step_reauth_cmpp(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Ask for the password of the CMPP way anew."""
        entry = self._get_reauth_entry()
        errors: dict[str, str] = {}
        if user_input is not None:
            errors = await self._check_cmpp({**entry.data[CONF_CMPP], **user_input})
            if not errors:
                return self._change(entry)
        return self._form("reauth_cmpp", _PASSWORD, None, errors)

    async def async_step_reconfigure(
        self,
        user_input: dict[str, Any] | None = None,  # noqa: ARG002
    ) -> ConfigFlowResult:
        """Choose what to change."""
        data = self._get_reconfigure_entry().data
        ways = (CONF_HTTP, CONF_CMPP)
        options = [f"reconfigure_{way}" if way in data else f"add_{way}" for way in ways]
        if all(way in data for way in ways):
            options += [f"remove_{way}" for way in ways]
        return self.async_show_menu(step_id="reconfigure", menu_options=options)

    async def async_step_reconfigure_http(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Change the account's data over HTTP, or add that way."""
        entry = self._get_reconfigure_entry()
        errors: dict[str, str] = {}
        if user_input is not None:
            errors = await self._check_http(user_input, entry.options)
            if not errors:
                return self._change(entry)
            if errors == _NOT_PERMITTED:
                return await self.async_step_unchecked()
        shown = user_input or {**entry.data.get(CONF_HTTP, {}), **_form_of(entry)}
        return self._form("reconfigure_http", {**_WAY, **_PASSWORD_FORM}, shown, errors)

    async_step_add_http = async_step_reconfigure_http

    async def async_step_reconfigure_cmpp(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Change the account's login over CMPP, or add that way."""
        entry = self._get_reconfigure_entry()
        errors: dict[str, str] = {}
        if user_input is not None:
            errors = await self._check_cmpp(user_input, entry)
            if not errors:
                return self._change(entry)
        return self._form("reconfigure_cmpp", _CMPP, user_input or entry.data.get(CONF_CMPP), errors)

    async_step_add_cmpp = async_step_reconfigure_cmpp

    async def async_step_remove_http(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Do without the HTTP way."""
        return self._remove(CONF_HTTP, user_input)

    async def async_step_remove_cmpp(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Do without the CMPP way."""
        return self._remove(CONF_CMPP, user_input)

    async def _check_http(self, given: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, str]:
        """Take up an HTTP way that was given and try it; return what is wrong."""
        way, errors = parse_http(given)
        if errors:
            return errors
        self._take(CONF_HTTP, way)
        error = await async_check_http_account(self.hass, way, options)
        return {"base": error} if error else {}

    async def _check_cmpp(self, given: Mapping[str, Any], entry: ConfigEntry | None = None) -> dict[str, str]:
        """Take up a CMPP way that was given and try it; return what is wrong.

        A login by which the entry is connected is not tried: the platform may allow one connection only.
        """
        way, errors = parse_cmpp(given)
        if errors:
            return errors
        self._take(CONF_CMPP, way)
        if entry is not None and _is_connected_by(entry, way):
            return {}
        error = await async_check_cmpp_login(self.hass, way)
        return {"base": error} if error else {}

    def _take(self, name: str, way: dict[str, Any]) -> None:
        """Take up a way."""
        self._ways[name] = way
        self._refuse_known()

    def _refuse_known(self) -> None:
        """Raise AbortFlow where another entry has one of the ways: the same account twice would count and send twice.

        Looked at when a way is taken up, and again before anything is saved: dialogs may stand open side by side.
        """
        for other in self._async_current_entries():
            if other.entry_id == self.context.get("entry_id"):
                continue
            for name, way in self._ways.items():
                if (known := other.data.get(name)) and transport_id(name, known) == transport_id(name, way):
                    raise AbortFlow("already_configured")

    def _take_signature(self, given: Mapping[str, Any]) -> None:
        signature = given.get(CONF_SIGNATURE)
        self._options = {CONF_SIGNATURE: signature} if signature else {}

    def _form(
        self, step_id: str, fields: VolDictType, shown: Mapping[str, Any] | None, errors: dict[str, str]
    ) -> ConfigFlowResult:
        if _MAY_BE_THE_FORM.intersection(errors.values()) or CONF_PASSWORD_FORM in (shown or {}):
            fields = {**fields, **_PASSWORD_FORM}
        suggested = {name: value for name, value in (shown or {}).items() if name != CONF_PASSWORD}
        schema = self.add_suggested_values_to_schema(vol.Schema(fields), suggested)
        return self.async_show_form(step_id=step_id, data_schema=schema, errors=errors)

    async def _create(self) -> ConfigFlowResult:
        self._refuse_known()
        await self.async_set_unique_id(account_id(self._ways), raise_on_progress=False)
        self._abort_if_unique_id_configured()
        data = {
            **self._ways,
            CONF_WEBHOOK_ID: webhook.async_generate_id(),
            CONF_PUSH_SECRET: new_push_secret(),
        }
        letter = make_letter(self.hass, data, self._options)
        name = self._ways[CONF_HTTP][CONF_PRODUCT_ID] if CONF_HTTP in data else self._ways[CONF_CMPP][CONF_SP_ID]
        return self.async_create_entry(
            title=self._options.get(CONF_SIGNATURE) or f"SMS 1680 {name}",
            data=data,
            options=self._options,
            # Over CMPP alone what comes in needs no address.
            description=letter.name if CONF_HTTP in data else "connected",
            description_placeholders=letter.placeholders if CONF_HTTP in data else None,
        )

    def _change(self, entry: ConfigEntry, removed: str | None = None, reason: str = "") -> ConfigFlowResult:
        """Take the ways into an entry and reload it exactly once: the update listener does, where something changed."""
        self._refuse_known()
        data = {name: value for name, value in entry.data.items() if name != removed} | self._ways
        changed = self.hass.config_entries.async_update_entry(entry, data=data, unique_id=account_id(data))
        if not (changed and entry.update_listeners):
            self.hass.config_entries.async_schedule_reload(entry.entry_id)
        return self.async_abort(reason=reason or f"{self.source}_successful")

    def _remove(self, name: str, user_input: dict[str, Any] | None) -> ConfigFlowResult:
        if user_input is None:
            return self.async_show_form(step_id=f"remove_{name}", data_schema=vol.Schema({}))
        return self._change(self._get_reconfigure_entry(), removed=name)

    async def async_on_create_entry(self, result: ConfigFlowResult) -> ConfigFlowResult:
        """Go on with the dialog of the first recipient, where Home Assistant can do that (2026.6 and later)."""
        from homeassistant.config_entries import FlowType  # noqa: PLC0415 - 2025.10 and later

        context: Any = {"source": SOURCE_USER, SHOWS_LETTER: CONF_HTTP in self._ways}
        dialog = await self.hass.config_entries.subentries.async_init(
            (result["result"].entry_id, SUBENTRY_RECIPIENT), context=context
        )
        result["next_flow"] = (FlowType.CONFIG_SUBENTRIES_FLOW, dialog["flow_id"])
        return result


def _form_of(entry: ConfigEntry) -> dict[str, str]:
    """Return the form in which an entry's password goes out."""
    plain = CONF_PASSWORD in entry.data.get(CONF_HTTP, {})
    return {CONF_PASSWORD_FORM: FORM_PLAIN_FOR_BALANCE if plain else FORM_MD5}


def _is_connected_by(entry: ConfigEntry, way: Mapping[str, Any]) -> bool:
    """Tell whether an entry is connected by the login of a way."""
    if entry.state is not ConfigEntryState.LOADED or CONF_CMPP not in entry.data:
        return False
    connection = entry.runtime_data.health.connection
    known, _ = parse_cmpp(entry.data[CONF_CMPP])
    return connection.connected and all(known[name] == way[name] for name in _LOGIN)
