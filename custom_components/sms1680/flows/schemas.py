"""The forms of all dialogs: accounts, options and recipients."""

from typing import Final

import voluptuous as vol
from homeassistant.const import (
    CONF_HOST,
    CONF_NAME,
    CONF_PASSWORD,
    CONF_PORT,
    CONF_SSL,
    CONF_USERNAME,
    CONF_VERIFY_SSL,
    UnitOfTime,
)
from homeassistant.data_entry_flow import section
from homeassistant.helpers.selector import (
    ActionSelector,
    BooleanSelector,
    ConfigEntrySelector,
    ConfigEntrySelectorConfig,
    ConversationAgentSelector,
    DurationSelector,
    EntitySelector,
    EntitySelectorConfig,
    NumberSelector,
    NumberSelectorConfig,
    NumberSelectorMode,
    SelectSelector,
    SelectSelectorConfig,
    SelectSelectorMode,
    TextSelector,
    TextSelectorConfig,
    TextSelectorType,
    TimeSelector,
)
from homeassistant.helpers.typing import VolDictType

from ..account.spending import DEFAULT_LIMITS, LIMITS
from ..client import DEFAULT_GATEWAY
from ..client.cmpp.client import PORT
from ..client.http.client import LARGEST_PACKET, PACKET_SIZE
from ..const import (
    CONF_ASSIST,
    CONF_ASSIST_AGENT,
    CONF_ASSIST_CODE,
    CONF_ASSIST_HOURLY,
    CONF_ASSIST_PARTS,
    CONF_BALANCE_INTERVAL,
    CONF_COMMAND_WORDS,
    CONF_COMMANDS,
    CONF_EXTENSION,
    CONF_FALLBACK,
    CONF_FALLBACK_ACCOUNT,
    CONF_FALLBACK_ACTIONS,
    CONF_GATEWAY,
    CONF_KEEP_DAYS,
    CONF_KEEP_TEXTS,
    CONF_KEEP_TRYING,
    CONF_LISTENER_PORT,
    CONF_LONG_TEXT,
    CONF_LOW_BALANCE,
    CONF_MOST_KEPT,
    CONF_NETWORKS,
    CONF_NUMBER,
    CONF_PACKET_SIZE,
    CONF_PASSWORD_FORM,
    CONF_PERSON,
    CONF_PRICE,
    CONF_PRODUCT_ID,
    CONF_PROXY,
    CONF_PUSH_ANSWER,
    CONF_QUESTION_EXTENSIONS,
    CONF_QUIET_FROM,
    CONF_QUIET_TO,
    CONF_RATE,
    CONF_REPEAT,
    CONF_REPEAT_WINDOW,
    CONF_REPORT_WITHIN,
    CONF_SAFE_TEXT,
    CONF_SERVICE_ID,
    CONF_SHARED_STATE,
    CONF_SHOW_PANEL,
    CONF_SIGNATURE,
    CONF_SIGNATURE_PLACE,
    CONF_SINGLE_ROWS,
    CONF_SOURCE_NUMBER,
    CONF_SP_ID,
    CONF_TIME_ZONE,
    DEFAULT_ASSIST_HOURLY,
    DEFAULT_ASSIST_PARTS,
    DEFAULT_BALANCE_INTERVAL,
    DEFAULT_KEEP_DAYS,
    DEFAULT_KEEP_TEXTS,
    DEFAULT_LOW_BALANCE,
    DEFAULT_MOST_KEPT,
    DEFAULT_PUSH_ANSWER,
    DEFAULT_REPEAT_WINDOW,
    DOMAIN,
    PLAIN_FORMS,
)
from ..conversation.command_auth import COMMANDS_NONE, COMMANDS_PIN, COMMANDS_TOTP

FORM_MD5: Final = "md5"
FORM_GIVEN_AS_MD5: Final = "given_as_md5"
_MAX_PARTS: Final = 1_000_000
_CURRENCY: Final = "CNY"


def _number(minimum: float, maximum: float, step: float | None = 1, unit: str = "") -> NumberSelector:
    config = NumberSelectorConfig(min=minimum, max=maximum, mode=NumberSelectorMode.BOX, step=step or "any")
    if unit:
        config["unit_of_measurement"] = unit
    return NumberSelector(config)


_TEXT: Final = TextSelector()
_TEXTS: Final = TextSelector(TextSelectorConfig(multiple=True))
_PASSWORD: Final = TextSelector(TextSelectorConfig(type=TextSelectorType.PASSWORD))
_URL: Final = TextSelector(TextSelectorConfig(type=TextSelectorType.URL))
_PASSWORD_FORMS: Final = SelectSelector(
    SelectSelectorConfig(
        options=[FORM_MD5, *PLAIN_FORMS, FORM_GIVEN_AS_MD5],
        mode=SelectSelectorMode.DROPDOWN,
        translation_key=CONF_PASSWORD_FORM,
    )
)
_SIGNATURE_PLACES: Final = SelectSelector(
    SelectSelectorConfig(options=["front", "behind", "platform"], translation_key=CONF_SIGNATURE_PLACE)
)
_LONG_TEXTS: Final = SelectSelector(
    SelectSelectorConfig(options=["cut", "split", "refuse"], translation_key=CONF_LONG_TEXT)
)
_COMMANDS: Final = SelectSelector(
    SelectSelectorConfig(options=[COMMANDS_NONE, COMMANDS_PIN, COMMANDS_TOTP], translation_key=CONF_COMMANDS)
)

# Accounts
PASSWORD_FIELDS: Final[VolDictType] = {vol.Required(CONF_PASSWORD): _PASSWORD}
PASSWORD_FORM_FIELDS: Final[VolDictType] = {vol.Optional(CONF_PASSWORD_FORM, default=FORM_MD5): _PASSWORD_FORMS}
HTTP_FIELDS: Final[VolDictType] = {
    vol.Required(CONF_USERNAME): _TEXT,
    **PASSWORD_FIELDS,
    vol.Required(CONF_PRODUCT_ID): _TEXT,
    vol.Required(CONF_GATEWAY, default=DEFAULT_GATEWAY): _URL,
}
SIGNATURE_FIELDS: Final[VolDictType] = {vol.Optional(CONF_SIGNATURE): _TEXT}
PROXY_FIELDS: Final[VolDictType] = {vol.Optional(CONF_PROXY): _TEXT}
CMPP_FIELDS: Final[VolDictType] = {
    vol.Required(CONF_HOST): _TEXT,
    vol.Required(CONF_PORT, default=PORT): _number(1, 65535),
    vol.Optional(CONF_SSL, default=False): BooleanSelector(),
    vol.Optional(CONF_VERIFY_SSL, default=True): BooleanSelector(),
    vol.Required(CONF_SP_ID): _TEXT,
    **PASSWORD_FIELDS,
    vol.Required(CONF_SOURCE_NUMBER): _TEXT,
    vol.Optional(CONF_SERVICE_ID): _TEXT,
}

# Options
_HTTP_OPTIONS: Final = {CONF_PACKET_SIZE, CONF_SINGLE_ROWS}
SENDING: Final = vol.Schema(
    {
        vol.Optional(CONF_SIGNATURE): _TEXT,
        vol.Optional(CONF_SIGNATURE_PLACE, default="front"): _SIGNATURE_PLACES,
        vol.Optional(CONF_LONG_TEXT, default="cut"): _LONG_TEXTS,
        vol.Optional(CONF_RATE): _number(0.01, 10_000, None, "/s"),
        vol.Optional(CONF_PACKET_SIZE, default=PACKET_SIZE): _number(1, LARGEST_PACKET),
        vol.Optional(CONF_SINGLE_ROWS, default=True): BooleanSelector(),
        vol.Optional(CONF_SOURCE_NUMBER): _TEXT,
        vol.Optional(CONF_PROXY): _TEXT,
        vol.Optional(CONF_SHARED_STATE): _PASSWORD,
        vol.Optional(CONF_SAFE_TEXT): _TEXT,
    }
)
SENDING_OVER_CMPP: Final = vol.Schema(
    {key: value for key, value in SENDING.schema.items() if str(key) not in _HTTP_OPTIONS}
)
RECEIVING: Final = vol.Schema(
    {
        vol.Optional(CONF_PUSH_ANSWER, default=DEFAULT_PUSH_ANSWER): _TEXT,
        vol.Optional(CONF_NETWORKS): _TEXTS,
        vol.Optional(CONF_REPEAT_WINDOW, default=DEFAULT_REPEAT_WINDOW): _number(0, 3600, unit=UnitOfTime.SECONDS),
        vol.Optional(CONF_LISTENER_PORT): _number(1, 65535),
    }
)
CONVERSATION: Final = vol.Schema(
    {vol.Optional(CONF_QUESTION_EXTENSIONS): _TEXT, vol.Optional(CONF_COMMAND_WORDS): _TEXTS}
)
STORAGE: Final = vol.Schema(
    {
        vol.Optional(CONF_KEEP_DAYS, default=DEFAULT_KEEP_DAYS): _number(0, 3650, unit=UnitOfTime.DAYS),
        vol.Optional(CONF_MOST_KEPT, default=DEFAULT_MOST_KEPT): _number(100, 1_000_000),
        vol.Optional(CONF_KEEP_TEXTS, default=DEFAULT_KEEP_TEXTS): BooleanSelector(),
        vol.Optional(CONF_SHOW_PANEL, default=True): BooleanSelector(),
    }
)
BALANCE: Final = vol.Schema(
    {
        vol.Optional(CONF_PRICE): _number(0, 100, None, _CURRENCY),
        vol.Optional(CONF_LOW_BALANCE, default=DEFAULT_LOW_BALANCE): _number(0, 10_000_000),
        vol.Optional(CONF_BALANCE_INTERVAL, default=DEFAULT_BALANCE_INTERVAL): _number(
            1, 1440, unit=UnitOfTime.MINUTES
        ),
    }
)
SPENDING: Final = vol.Schema(
    {
        vol.Optional(name, default=getattr(DEFAULT_LIMITS, field)): _number(0, _MAX_PARTS)
        for name, field in LIMITS.items()
    }
)
# Options that are stored as integers; number selectors return floats.
INTEGERS: Final = {
    *LIMITS,
    CONF_PACKET_SIZE,
    CONF_REPEAT_WINDOW,
    CONF_LISTENER_PORT,
    CONF_KEEP_DAYS,
    CONF_MOST_KEPT,
    CONF_LOW_BALANCE,
    CONF_BALANCE_INTERVAL,
}

# Recipients
QUIET_HOURS_FIELDS: Final[VolDictType] = {
    vol.Optional(CONF_QUIET_FROM): TimeSelector(),
    vol.Optional(CONF_QUIET_TO): TimeSelector(),
    vol.Optional(CONF_TIME_ZONE): TextSelector(),
}
FAILURE_FIELDS: Final[VolDictType] = {
    vol.Optional(CONF_KEEP_TRYING): DurationSelector(),
    vol.Optional(CONF_FALLBACK_ACCOUNT): ConfigEntrySelector(ConfigEntrySelectorConfig(integration=DOMAIN)),
    vol.Optional(CONF_FALLBACK): EntitySelector(EntitySelectorConfig(domain="notify", multiple=True)),
    vol.Optional(CONF_FALLBACK_ACTIONS): ActionSelector(),
    vol.Optional(CONF_REPORT_WITHIN): DurationSelector(),
    vol.Optional(CONF_REPEAT, default=True): BooleanSelector(),
}
DELIVERY_FIELDS: Final[VolDictType] = {**QUIET_HOURS_FIELDS, **FAILURE_FIELDS}
_REPLIES_FIELDS: Final[VolDictType] = {
    vol.Optional(CONF_PERSON): EntitySelector(EntitySelectorConfig(domain="person")),
    vol.Optional(CONF_EXTENSION): TextSelector(),
    vol.Optional(CONF_COMMANDS, default=COMMANDS_NONE): _COMMANDS,
}
_ASSIST_FIELDS: Final[VolDictType] = {
    vol.Optional(CONF_ASSIST, default=False): BooleanSelector(),
    vol.Optional(CONF_ASSIST_AGENT): ConversationAgentSelector(),
    vol.Optional(CONF_ASSIST_CODE, default=True): BooleanSelector(),
    vol.Optional(CONF_ASSIST_PARTS, default=DEFAULT_ASSIST_PARTS): _number(1, 7),
    vol.Optional(CONF_ASSIST_HOURLY, default=DEFAULT_ASSIST_HOURLY): _number(1, 100),
}
# A newcomer needs only the name and the number, so the other fields are in collapsed sections.
RECIPIENT_SECTIONS: Final = {
    "replies": _REPLIES_FIELDS,
    "assist": _ASSIST_FIELDS,
    "quiet_hours": QUIET_HOURS_FIELDS,
    "failure": FAILURE_FIELDS,
}
RECIPIENT: Final = vol.Schema(
    {
        vol.Required(CONF_NAME): TextSelector(),
        vol.Required(CONF_NUMBER): TextSelector(TextSelectorConfig(type=TextSelectorType.TEL)),
        **{
            vol.Optional(name): section(vol.Schema(fields), {"collapsed": True})
            for name, fields in RECIPIENT_SECTIONS.items()
        },
    }
)
CODE: Final = TextSelector(TextSelectorConfig(type=TextSelectorType.PASSWORD, autocomplete="one-time-code"))
