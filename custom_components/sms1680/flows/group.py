"""Dialogs for adding and changing a duty group."""

from typing import Any, Final

import voluptuous as vol
from homeassistant.config_entries import SOURCE_RECONFIGURE, ConfigSubentryFlow, SubentryFlowResult
from homeassistant.const import CONF_NAME
from homeassistant.helpers.selector import (
    EntitySelector,
    EntitySelectorConfig,
    NumberSelector,
    NumberSelectorConfig,
    NumberSelectorMode,
    SelectOptionDict,
    SelectSelector,
    SelectSelectorConfig,
    TextSelector,
)

from ..const import (
    CONF_ALL_AFTER,
    CONF_CALENDAR,
    CONF_MEMBERS,
    CONF_NEXT_AFTER,
    CONF_REPEAT_EVERY,
    CONF_REPEAT_FOR,
    CONF_ROTA,
    CONF_SCHEDULES,
    ROTA_ALWAYS,
    ROTA_CALENDAR,
    ROTA_SCHEDULE,
)
from ..recipients import recipients


def _minutes(lowest: int) -> NumberSelector:
    return NumberSelector(
        NumberSelectorConfig(min=lowest, max=1440, step=1, mode=NumberSelectorMode.BOX, unit_of_measurement="min")
    )


# The fields in minutes, with their lowest values and defaults.
_TIMES: Final = {
    CONF_NEXT_AFTER: (1, 5),
    CONF_ALL_AFTER: (1, 5),
    CONF_REPEAT_EVERY: (0, 10),
    CONF_REPEAT_FOR: (1, 120),
}
_ROTAS: Final = [ROTA_ALWAYS, ROTA_CALENDAR, ROTA_SCHEDULE]


class GroupFlow(ConfigSubentryFlow):
    """The dialogs of a duty group."""

    async def async_step_user(self, user_input: dict[str, Any] | None = None) -> SubentryFlowResult:
        """Add a group."""
        if not recipients(self._get_entry()):
            return self.async_abort(reason="no_recipient")
        return self._save_or_show("user", user_input, {})

    async def async_step_reconfigure(self, user_input: dict[str, Any] | None = None) -> SubentryFlowResult:
        """Change a group."""
        subentry = self._get_reconfigure_subentry()
        return self._save_or_show("reconfigure", user_input, {CONF_NAME: subentry.title, **subentry.data})

    def _save_or_show(self, step_id: str, given: dict[str, Any] | None, stored: dict[str, Any]) -> SubentryFlowResult:
        errors = {} if given is None else self._errors(given)
        if given is not None and not errors:
            return self._save(given)
        schema = self.add_suggested_values_to_schema(self._schema, given or stored)
        return self.async_show_form(step_id=step_id, data_schema=schema, errors=errors)

    @property
    def _own_id(self) -> str | None:
        return self._get_reconfigure_subentry().subentry_id if self.source == SOURCE_RECONFIGURE else None

    @property
    def _schema(self) -> vol.Schema:
        members = [
            SelectOptionDict(value=subentry.subentry_id, label=subentry.title)
            for subentry in recipients(self._get_entry())
        ]
        return vol.Schema(
            {
                vol.Required(CONF_NAME): TextSelector(),
                vol.Required(CONF_MEMBERS): SelectSelector(SelectSelectorConfig(options=members, multiple=True)),
                vol.Required(CONF_ROTA, default=ROTA_ALWAYS): SelectSelector(
                    SelectSelectorConfig(options=_ROTAS, translation_key="rota")
                ),
                vol.Optional(CONF_CALENDAR): EntitySelector(EntitySelectorConfig(domain="calendar")),
                vol.Optional(CONF_SCHEDULES): EntitySelector(EntitySelectorConfig(domain="schedule", multiple=True)),
                **{vol.Required(name, default=default): _minutes(lowest) for name, (lowest, default) in _TIMES.items()},
            }
        )

    def _errors(self, given: dict[str, Any]) -> dict[str, str]:
        """Return the errors in the input, by field."""
        name, rota = given[CONF_NAME].strip(), given[CONF_ROTA]
        subentries = self._get_entry().subentries.values()
        errors = {}
        if not name:
            errors[CONF_NAME] = "empty"
        elif any(one.title == name and one.subentry_id != self._own_id for one in subentries):
            errors[CONF_NAME] = "name_taken"
        if not given[CONF_MEMBERS]:
            errors[CONF_MEMBERS] = "no_members"
        if rota == ROTA_CALENDAR and not given.get(CONF_CALENDAR):
            errors[CONF_CALENDAR] = "no_calendar"
        if rota == ROTA_SCHEDULE and not given.get(CONF_SCHEDULES):
            errors[CONF_SCHEDULES] = "no_schedules"
        return errors

    def _save(self, given: dict[str, Any]) -> SubentryFlowResult:
        name = given[CONF_NAME].strip()
        data = {
            **{key: value for key, value in given.items() if key != CONF_NAME and value},
            **{key: int(given[key]) for key in _TIMES},
        }
        if self.source == SOURCE_RECONFIGURE:
            return self.async_update_and_abort(
                self._get_entry(), self._get_reconfigure_subentry(), title=name, data=data
            )
        return self.async_create_entry(title=name, data=data)
