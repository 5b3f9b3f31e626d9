"""Constants: the domain, the keys of entries, subentries and options, defaults, events and signals."""

from typing import Final

DOMAIN: Final = "sms1680"
SUBENTRY_RECIPIENT: Final = "recipient"
SUBENTRY_GROUP: Final = "group"

# The data of an entry: a mapping for each transport (at least one), and the two secrets of the push addresses.
CONF_HTTP: Final = "http"
CONF_CMPP: Final = "cmpp"
CONF_SP_ID: Final = "sp_id"
CONF_SERVICE_ID: Final = "service_id"
# The transport that a reauthentication dialog is about.
CONF_TRANSPORT: Final = "transport"
# Only with a plain password; without it, the password is plain for the balance.
CONF_PASSWORD_FORM: Final = "password_form"  # noqa: S105 - a name, as the next
FORM_PLAIN: Final = "plain"
FORM_PLAIN_FOR_MESSAGES: Final = "plain_for_messages"
FORM_PLAIN_FOR_BALANCE: Final = "plain_for_balance"
PLAIN_FORMS: Final = (FORM_PLAIN, FORM_PLAIN_FOR_MESSAGES, FORM_PLAIN_FOR_BALANCE)
CONF_PRODUCT_ID: Final = "product_id"
CONF_GATEWAY: Final = "gateway"
CONF_PASSWORD_MD5: Final = "password_md5"  # noqa: S105
CONF_PUSH_SECRET: Final = "push_secret"  # noqa: S105

# The data of a recipient's subentry.
CONF_NUMBER: Final = "number"
CONF_PERSON: Final = "person"
CONF_EXTENSION: Final = "extension"
CONF_COMMANDS: Final = "commands"
CONF_TOTP_SECRET: Final = "totp_secret"  # noqa: S105
CONF_ASSIST: Final = "assist"
CONF_ASSIST_AGENT: Final = "assist_agent"
CONF_ASSIST_CODE: Final = "assist_code"  # a text needs a code unless this is false
CONF_ASSIST_HOURLY: Final = "assist_hourly"  # answers
CONF_ASSIST_PARTS: Final = "assist_parts"  # of an answer
CONF_QUIET_FROM: Final = "quiet_from"
CONF_QUIET_TO: Final = "quiet_to"
CONF_TIME_ZONE: Final = "time_zone"
# These are also fields of the action `send_message`.
CONF_KEEP_TRYING: Final = "keep_trying"
CONF_FALLBACK_ACCOUNT: Final = "fallback_account"
CONF_FALLBACK: Final = "fallback"
CONF_FALLBACK_ACTIONS: Final = "fallback_actions"
CONF_REPORT_WITHIN: Final = "report_within"
CONF_REPEAT: Final = "repeat"

# The data of a duty group's subentry. Times are in minutes.
CONF_MEMBERS: Final = "members"
CONF_ROTA: Final = "rota"
CONF_CALENDAR: Final = "calendar"
CONF_SCHEDULES: Final = "schedules"
CONF_NEXT_AFTER: Final = "next_after"
CONF_ALL_AFTER: Final = "all_after"
CONF_REPEAT_EVERY: Final = "repeat_every"
CONF_REPEAT_FOR: Final = "repeat_for"
ROTA_ALWAYS: Final = "always"
ROTA_CALENDAR: Final = "calendar"
ROTA_SCHEDULE: Final = "schedule"

# The options of an entry. All are optional.
CONF_SIGNATURE: Final = "signature"
CONF_SIGNATURE_PLACE: Final = "signature_place"
CONF_RATE: Final = "rate"
CONF_PACKET_SIZE: Final = "packet_size"
CONF_SINGLE_ROWS: Final = "single_rows"
CONF_LONG_TEXT: Final = "long_text"
CONF_PROXY: Final = "proxy"
CONF_SHARED_STATE: Final = "shared_state"
CONF_QUESTION_EXTENSIONS: Final = "question_extensions"
CONF_COMMAND_WORDS: Final = "command_words"
CONF_SOURCE_NUMBER: Final = "source_number"
CONF_PUSH_ANSWER: Final = "push_answer"
CONF_NETWORKS: Final = "networks"
CONF_LISTENER_PORT: Final = "listener_port"
CONF_REPEAT_WINDOW: Final = "repeat_window"
CONF_PRICE: Final = "price"
CONF_LOW_BALANCE: Final = "low_balance"
CONF_BALANCE_INTERVAL: Final = "balance_interval"
CONF_KEEP_DAYS: Final = "keep_days"
CONF_MOST_KEPT: Final = "most_kept"
CONF_KEEP_TEXTS: Final = "keep_texts"
CONF_SAFE_TEXT: Final = "safe_text"
CONF_HOURLY_LIMIT: Final = "hourly_limit"
CONF_DAILY_LIMIT: Final = "daily_limit"
CONF_CRITICAL_RESERVE: Final = "critical_reserve"
CONF_NUMBER_LIMIT: Final = "number_limit"
CONF_AUTOMATIC_LIMIT: Final = "automatic_limit"
CONF_SHOW_PANEL: Final = "show_panel"

DEFAULT_ASSIST_HOURLY: Final = 10
DEFAULT_ASSIST_PARTS: Final = 2
DEFAULT_PUSH_ANSWER: Final = "0"
DEFAULT_REPEAT_WINDOW: Final = 5  # seconds
DEFAULT_LOW_BALANCE: Final = 100  # parts
DEFAULT_BALANCE_INTERVAL: Final = 60  # minutes
DEFAULT_KEEP_DAYS: Final = 30  # 0: store nothing on disk
DEFAULT_MOST_KEPT: Final = 50_000  # of each kind: sent messages, received messages, delivery reports
DEFAULT_KEEP_TEXTS: Final = True

# homeassistant.const has this since 2025.10.
ATTR_CONFIG_ENTRY_ID: Final = "config_entry_id"

EVENT_MESSAGE_RECEIVED: Final = "sms1680_message_received"
EVENT_DELIVERY_REPORT: Final = "sms1680_delivery_report"
EVENT_MESSAGE_SENT: Final = "sms1680_message_sent"
EVENT_MESSAGE_FAILED: Final = "sms1680_message_failed"
EVENT_DELAYED_MESSAGE: Final = "sms1680_delayed_message"
EVENT_SPENDING_LIMIT: Final = "sms1680_spending_limit"
EVENT_COMMAND: Final = "sms1680_command"
EVENT_ALARM: Final = "sms1680_alarm"

# {channel} can be any word: some platforms put the product ID there.
PUSH_PATH: Final = "/api/sms1680/{secret}/{channel}"

# Dispatcher signals: the store was damaged and recreated; deferred messages were deleted (carries a list of rows).
SIGNAL_STORE_RECREATED: Final = f"{DOMAIN}_store_recreated"
SIGNAL_DEFERRED_DELETED: Final = f"{DOMAIN}_deferred_deleted"


def signal_recipient_added(entry_id: str) -> str:
    """Return the dispatcher signal of a new recipient, which carries the subentry."""
    return f"{DOMAIN}_{entry_id}_recipient_added"


def signal_group_added(entry_id: str) -> str:
    """Return the dispatcher signal of a new duty group, which carries the subentry."""
    return f"{DOMAIN}_{entry_id}_group_added"


def signal_alarm(entry_id: str) -> str:
    """Return the dispatcher signal of a step of an alarm, which carries the data of the bus event."""
    return f"{DOMAIN}_{entry_id}_alarm"


def signal_duty(entry_id: str) -> str:
    """Return the dispatcher signal of changed duties, which carries the subentry id of the group."""
    return f"{DOMAIN}_{entry_id}_duty"


def signal_statistics(entry_id: str) -> str:
    """Return the dispatcher signal of changed statistics, which carries nothing."""
    return f"{DOMAIN}_{entry_id}_statistics"


def signal_health(entry_id: str) -> str:
    """Return the dispatcher signal of a changed account health, which carries nothing."""
    return f"{DOMAIN}_{entry_id}_health"


def signal_delivery(entry_id: str, subentry_id: str | None = None) -> str:
    """Return the dispatcher signal of a changed delivery state, which carries a `DeliveryUpdate`.

    subentry_id: only those of this recipient, None for all.
    """
    of_account = f"{DOMAIN}_{entry_id}_delivery"
    return of_account if subentry_id is None else f"{of_account}_{subentry_id}"


def signal_waiting(entry_id: str) -> str:
    """Return the dispatcher signal of a changed queue of waiting messages, which carries nothing."""
    return f"{DOMAIN}_{entry_id}_waiting"
