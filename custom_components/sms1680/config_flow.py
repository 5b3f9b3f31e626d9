"""Dialogs for adding an account, reauthentication and reconfiguration."""

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
from homeassistant.const import CONF_HOST, CONF_PASSWORD, CONF_PORT, CONF_SSL, CONF_VERIFY_SSL, CONF_WEBHOOK_ID
from homeassistant.core import callback
from homeassistant.data_entry_flow import AbortFlow
from homeassistant.helpers.selector import BooleanSelector
from homeassistant.helpers.typing import VolDictType

from .const import (
    CONF_CMPP,
    CONF_HTTP,
    CONF_PASSWORD_FORM,
    CONF_PRODUCT_ID,
    CONF_PROXY,
    CONF_PUSH_SECRET,
    CONF_SIGNATURE,
    CONF_SP_ID,
    CONF_TRANSPORT,
    DOMAIN,
    FORM_PLAIN_FOR_BALANCE,
    SUBENTRY_GROUP,
    SUBENTRY_RECIPIENT,
)
from .flows.group import GroupFlow
from .flows.onboarding_letter import SHOWS_LETTER, make_letter, new_push_secret
from .flows.options import Sms1680OptionsFlow
from .flows.recipient import RecipientFlow
from .flows.schemas import (
    CMPP_FIELDS,
    FORM_MD5,
    HTTP_FIELDS,
    PASSWORD_FIELDS,
    PASSWORD_FORM_FIELDS,
    PROXY_FIELDS,
    SIGNATURE_FIELDS,
)
from .flows.validation import (
    NOT_PERMITTED,
    account_id,
    async_check_cmpp_login,
    async_check_http_account,
    async_proxy_errors,
    parse_cmpp,
    parse_http,
    signature_errors,
    transport_id,
    without_brackets,
)

CONF_ADD_HTTP: Final = "add_http"
# The fields that a login over CMPP depends on. The platform identifies the account by the last two.
_LOGIN: Final = (CONF_HOST, CONF_PORT, CONF_SSL, CONF_VERIFY_SSL, CONF_SP_ID, CONF_PASSWORD)
# These errors may be caused by the form of the password, which is asked for in that case.
_MAYBE_PASSWORD_FORM: Final = {"invalid_auth", "md5_given", "md5_expected"}
# These errors may be caused by an address that the platform does not know. A proxy with a fixed one is asked for.
_MAYBE_PROXY: Final = {"ip", "cannot_connect", "no_answer", "cmpp_ip", "cmpp_cannot_connect"}
_NOT_PERMITTED: Final = {"base": NOT_PERMITTED}


class Sms1680ConfigFlow(ConfigFlow, domain=DOMAIN):
    """The dialogs of an account."""

    VERSION = 1
    MINOR_VERSION = 1

    def __init__(self) -> None:
        self._transports: dict[str, dict[str, Any]] = {}
        self._options: dict[str, Any] = {}

    @classmethod
    @callback
    @override
    def async_get_supported_subentry_types(cls, config_entry: ConfigEntry) -> dict[str, type[ConfigSubentryFlow]]:
        return {SUBENTRY_RECIPIENT: RecipientFlow, SUBENTRY_GROUP: GroupFlow}

    @staticmethod
    @callback
    @override
    def async_get_options_flow(config_entry: ConfigEntry) -> OptionsFlow:
        return Sms1680OptionsFlow()

    @override
    async def async_step_user(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Choose the transport."""
        return self.async_show_menu(step_id="user", menu_options=[CONF_HTTP, CONF_CMPP])

    async def async_step_http(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Ask for the account over HTTP and check it. After the CMPP step, the signature is already known."""
        errors: dict[str, str] = {}
        fields = HTTP_FIELDS if CONF_CMPP in self._transports else {**HTTP_FIELDS, **SIGNATURE_FIELDS}
        if user_input is not None:
            errors = await self._set_options(user_input) or await self._check_http(user_input, self._options)
            if not errors:
                return await self._create()
            if errors == _NOT_PERMITTED:
                return await self.async_step_unchecked()
        return self._form("http", fields, user_input, errors)

    async def async_step_cmpp(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Ask for the login over CMPP and check it."""
        errors: dict[str, str] = {}
        if user_input is not None:
            errors = await self._set_options(user_input, over_cmpp=True)
            errors = errors or await self._check_cmpp(user_input, self._options)
            if not errors:
                return await (self.async_step_http() if user_input.get(CONF_ADD_HTTP) else self._create())
        fields = {**CMPP_FIELDS, **SIGNATURE_FIELDS, vol.Optional(CONF_ADD_HTTP, default=False): BooleanSelector()}
        return self._form("cmpp", fields, user_input, errors)

    async def async_step_unchecked(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Warn that the account could not be checked, then save it."""
        if user_input is not None:
            if self.source == SOURCE_USER:
                return await self._create()
            if self.source == SOURCE_REAUTH:
                return self._change(self._get_reauth_entry(), reason="reauth_unchecked")
            return self._change(self._get_reconfigure_entry())
        return self.async_show_form(step_id="unchecked", data_schema=vol.Schema({}))

    async def async_step_reauth(self, entry_data: Mapping[str, Any]) -> ConfigFlowResult:
        """Handle credentials that the platform refused for one of the transports."""
        if entry_data.get(CONF_TRANSPORT, CONF_HTTP) == CONF_HTTP and CONF_HTTP in entry_data:
            return await self.async_step_reauth_confirm()
        return await self.async_step_reauth_cmpp()

    async def async_step_reauth_confirm(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Ask for the current password over HTTP."""
        entry = self._get_reauth_entry()
        errors: dict[str, str] = {}
        if user_input is not None:
            errors = await self._check_http({**entry.data[CONF_HTTP], **user_input}, entry.options)
            if not errors:
                return self._change(entry)
            if errors == _NOT_PERMITTED:
                return await self.async_step_unchecked()
        fields = {**PASSWORD_FIELDS, **PASSWORD_FORM_FIELDS}
        return self._form("reauth_confirm", fields, user_input, errors, _password_form(entry))

    async def async_step_reauth_cmpp(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Ask for the current password over CMPP."""
        entry = self._get_reauth_entry()
        errors: dict[str, str] = {}
        if user_input is not None:
            errors = await self._check_cmpp({**entry.data[CONF_CMPP], **user_input}, entry.options)
            if not errors:
                return self._change(entry)
        return self._form("reauth_cmpp", PASSWORD_FIELDS, user_input, errors)

    async def async_step_reconfigure(
        self,
        user_input: dict[str, Any] | None = None,  # noqa: ARG002
    ) -> ConfigFlowResult:
        """Choose which transport to change, add or remove."""
        data = self._get_reconfigure_entry().data
        transports = (CONF_HTTP, CONF_CMPP)
        options = [f"reconfigure_{name}" if name in data else f"add_{name}" for name in transports]
        if all(name in data for name in transports):
            options += [f"remove_{name}" for name in transports]
        return self.async_show_menu(step_id="reconfigure", menu_options=options)

    async def async_step_reconfigure_http(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Change or add the account over HTTP."""
        entry = self._get_reconfigure_entry()
        errors: dict[str, str] = {}
        if user_input is not None:
            errors = await self._check_http(user_input, entry.options)
            if not errors:
                return self._change(entry)
            if errors == _NOT_PERMITTED:
                return await self.async_step_unchecked()
        stored = {**entry.data.get(CONF_HTTP, {}), **_password_form(entry)}
        return self._form("reconfigure_http", {**HTTP_FIELDS, **PASSWORD_FORM_FIELDS}, user_input, errors, stored)

    async_step_add_http = async_step_reconfigure_http

    async def async_step_reconfigure_cmpp(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Change or add the login over CMPP."""
        entry = self._get_reconfigure_entry()
        errors: dict[str, str] = {}
        if user_input is not None:
            errors = await self._check_cmpp(user_input, entry.options, entry)
            if not errors:
                return self._change(entry)
        return self._form("reconfigure_cmpp", CMPP_FIELDS, user_input, errors, entry.data.get(CONF_CMPP))

    async_step_add_cmpp = async_step_reconfigure_cmpp

    async def async_step_remove_http(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Remove the HTTP transport."""
        return self._remove(CONF_HTTP, user_input)

    async def async_step_remove_cmpp(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Remove the CMPP transport."""
        return self._remove(CONF_CMPP, user_input)

    async def _check_http(self, given: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, str]:
        """Check the account over HTTP and remember it; return the errors."""
        data, errors = parse_http(given)
        if errors:
            return errors
        self._set_transport(CONF_HTTP, data)
        error = await async_check_http_account(self.hass, data, options)
        return {"base": error} if error else {}

    async def _check_cmpp(
        self, given: Mapping[str, Any], options: Mapping[str, Any], entry: ConfigEntry | None = None
    ) -> dict[str, str]:
        """Check the login over CMPP and remember it; return the errors.

        The login of the current connection is not checked: the platform may allow only one connection.
        """
        data, errors = parse_cmpp(given)
        if errors:
            return errors
        self._set_transport(CONF_CMPP, data)
        if entry is not None and _is_connected_with(entry, data):
            return {}
        error = await async_check_cmpp_login(self.hass, data, options)
        return {"base": error} if error else {}

    def _set_transport(self, name: str, data: dict[str, Any]) -> None:
        self._transports[name] = data
        self._abort_if_known()

    def _abort_if_known(self) -> None:
        """Raise AbortFlow if another entry has one of these transports: it would count and send everything twice.

        Called for each new transport and again before saving, because several dialogs can be open at once.
        """
        for other in self._async_current_entries():
            if other.entry_id == self.context.get("entry_id"):
                continue
            for name, data in self._transports.items():
                if (known := other.data.get(name)) and transport_id(name, known) == transport_id(name, data):
                    raise AbortFlow("already_configured")

    async def _set_options(self, given: Mapping[str, Any], *, over_cmpp: bool = False) -> dict[str, str]:
        """Remember the options of a new account; return the errors. The HTTP step after CMPP changes what it asks."""
        asked = {CONF_SIGNATURE: without_brackets(given.get(CONF_SIGNATURE, "")), CONF_PROXY: given.get(CONF_PROXY)}
        before = {} if over_cmpp or CONF_CMPP not in self._transports else self._options
        self._options = {**before, **{name: value for name, value in asked.items() if value}}
        over_cmpp = over_cmpp or CONF_CMPP in self._transports
        return signature_errors(given) | await async_proxy_errors(self.hass, given, over_cmpp=over_cmpp)

    def _form(
        self,
        step_id: str,
        fields: VolDictType,
        given: Mapping[str, Any] | None,
        errors: dict[str, str],
        stored: Mapping[str, Any] | None = None,
    ) -> ConfigFlowResult:
        """Show a form with what was given, otherwise with what is stored.

        A password that was just given needs no second entry after an error of another field. A stored one is not shown.
        """
        shown = given or {name: value for name, value in (stored or {}).items() if name != CONF_PASSWORD}
        if _MAYBE_PASSWORD_FORM.intersection(errors.values()) or CONF_PASSWORD_FORM in shown:
            fields = {**fields, **PASSWORD_FORM_FIELDS}
        if self.source == SOURCE_USER and (_MAYBE_PROXY.intersection(errors.values()) or shown.get(CONF_PROXY)):
            fields = {**fields, **PROXY_FIELDS}
        if CONF_PASSWORD in errors:
            shown = {name: value for name, value in shown.items() if name != CONF_PASSWORD}
        schema = self.add_suggested_values_to_schema(vol.Schema(fields), shown)
        return self.async_show_form(step_id=step_id, data_schema=schema, errors=errors)

    async def _create(self) -> ConfigFlowResult:
        self._abort_if_known()
        await self.async_set_unique_id(account_id(self._transports), raise_on_progress=False)
        self._abort_if_unique_id_configured()
        secrets = {CONF_WEBHOOK_ID: webhook.async_generate_id(), CONF_PUSH_SECRET: new_push_secret()}
        data: dict[str, Any] = {**self._transports, **secrets}
        letter, placeholders = make_letter(self.hass, data, self._options)
        name = data[CONF_HTTP][CONF_PRODUCT_ID] if CONF_HTTP in data else data[CONF_CMPP][CONF_SP_ID]
        return self.async_create_entry(
            title=f"SMS 1680 {name}",  # not the signature: Home Assistant puts the title into diagnostics
            data=data,
            options=self._options,
            # Over CMPP alone, nothing is pushed to an address.
            description=letter if CONF_HTTP in data else "connected",
            description_placeholders=placeholders if CONF_HTTP in data else None,
        )

    def _change(self, entry: ConfigEntry, removed: str | None = None, reason: str = "") -> ConfigFlowResult:
        """Update an entry and reload it exactly once: if something changed, its update listener does so."""
        self._abort_if_known()
        data = {name: value for name, value in entry.data.items() if name != removed} | self._transports
        changed = self.hass.config_entries.async_update_entry(entry, data=data, unique_id=account_id(data))
        if not (changed and entry.update_listeners):
            self.hass.config_entries.async_schedule_reload(entry.entry_id)
        return self.async_abort(reason=reason or f"{self.source}_successful")

    def _remove(self, name: str, user_input: dict[str, Any] | None) -> ConfigFlowResult:
        if user_input is None:
            return self.async_show_form(step_id=f"remove_{name}", data_schema=vol.Schema({}))
        return self._change(self._get_reconfigure_entry(), removed=name)

    async def async_on_create_entry(self, result: ConfigFlowResult) -> ConfigFlowResult:
        """Continue with the dialog of the first recipient (Home Assistant 2026.6 and later)."""
        from homeassistant.config_entries import FlowType  # noqa: PLC0415 - 2025.10 and later

        context: Any = {"source": SOURCE_USER, SHOWS_LETTER: CONF_HTTP in self._transports}
        dialog = await self.hass.config_entries.subentries.async_init(
            (result["result"].entry_id, SUBENTRY_RECIPIENT), context=context
        )
        result["next_flow"] = (FlowType.CONFIG_SUBENTRIES_FLOW, dialog["flow_id"])
        return result


def _password_form(entry: ConfigEntry) -> dict[str, str]:
    """Return the form of an entry's password."""
    http = entry.data.get(CONF_HTTP, {})
    form = http.get(CONF_PASSWORD_FORM, FORM_PLAIN_FOR_BALANCE) if CONF_PASSWORD in http else FORM_MD5
    return {CONF_PASSWORD_FORM: form}


def _is_connected_with(entry: ConfigEntry, data: Mapping[str, Any]) -> bool:
    """Return whether an entry is connected with this login over CMPP."""
    if entry.state is not ConfigEntryState.LOADED or CONF_CMPP not in entry.data:
        return False
    connection = entry.runtime_data.health.connection
    known, _ = parse_cmpp(entry.data[CONF_CMPP])
    return connection.connected and all(known[name] == data[name] for name in _LOGIN)
