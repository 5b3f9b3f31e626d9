"""The repair issues of the integration: which kinds there are, and how they are created and deleted."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

from homeassistant.config_entries import ConfigEntry
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers import issue_registry as ir

from .client import Reason
from .const import CONF_CMPP, CONF_HTTP, DOMAIN

type _Entry = ConfigEntry[Any] | None

# What starts a link or HTML in Markdown. Backslashes would be visible in titles, which are no Markdown.
_MARKDOWN: Final = {"[": "［", "]": "］", "<": "＜", ">": "＞", "`": "｀", "://": "：//", "www.": "www．", "@": "＠"}
_MARKUP: Final = re.compile("|".join(map(re.escape, _MARKDOWN)), re.IGNORECASE)


def without_markdown(text: str) -> str:
    """Return a text that renders as no link and no HTML: it can contain what a push contained."""
    return _MARKUP.sub(lambda found: _MARKDOWN[found[0].lower()], text)


@dataclass(frozen=True)
class Repair:
    """A kind of repair issue.

    The id of an issue consists of the prefix (the translation key by default), the id of the account's entry, and a
    subject if one account can have several issues of this kind.

    transport: only an account that has this transport can have the issue.
    by_recipient: the subject is the subentry of a recipient.
    """

    key: str
    severity: ir.IssueSeverity = ir.IssueSeverity.ERROR
    fixable: bool = False
    persistent: bool = False
    prefix: str = ""
    transport: str | None = None
    by_recipient: bool = False

    @callback
    def async_create(
        self,
        hass: HomeAssistant,
        entry: _Entry,
        subject: str | None = None,
        data: dict[str, str | int | float | None] | None = None,
        **placeholders: str,
    ) -> None:
        """Create the issue of an account, or the global issue if `entry` is None; update an existing issue.

        data: for the dialog that fixes the issue. placeholders: of the translation, in addition to the account's name.
        """
        ir.async_create_issue(
            hass,
            DOMAIN,
            self.issue_id(entry, subject),
            data=data,
            is_fixable=self.fixable,
            is_persistent=self.persistent,
            severity=self.severity,
            translation_key=self.key,
            translation_placeholders={
                name: without_markdown(value)
                for name, value in {**({"account": entry.title} if entry else {}), **placeholders}.items()
            },
        )

    @callback
    def async_delete(self, hass: HomeAssistant, entry: _Entry, subject: str | None = None) -> None:
        """Delete the issue if it exists."""
        ir.async_delete_issue(hass, DOMAIN, self.issue_id(entry, subject))

    @callback
    def async_get(self, hass: HomeAssistant, entry: _Entry) -> ir.IssueEntry | None:
        """Return the issue, or None if it is not active."""
        issue = ir.async_get(hass).async_get_issue(DOMAIN, self.issue_id(entry))
        return issue if issue is not None and issue.active else None

    def issue_id(self, entry: _Entry, subject: str | None = None) -> str:
        """Return the id of an issue."""
        return "_".join(filter(None, (self.prefix or self.key, entry.entry_id if entry else None, subject)))


LOW_BALANCE: Final = Repair("low_balance", ir.IssueSeverity.WARNING, transport=CONF_HTTP)
# Problems at the platform that a person has to fix. Refused credentials start reauthentication instead.
PROBLEMS: Final = {
    reason: Repair(f"problem_{reason}", prefix=reason.value, transport=transport)
    for reason, transport in (
        (Reason.IP, CONF_HTTP),
        (Reason.SIGNATURE, None),
        (Reason.PRODUCT, None),
        (Reason.PERMISSION, CONF_HTTP),
        (Reason.SUSPENDED, CONF_CMPP),
    )
}
# Problems of the CMPP connection that a person has to fix. A network failure ends by itself.
CONNECTION_PROBLEMS: Final = {
    reason: Repair(key, transport=CONF_CMPP)
    for reason, key in (
        (Reason.SUSPENDED, "connection_suspended"),
        (Reason.IP, "connection_ip"),
        (Reason.VERSION, "connection_version"),
        (Reason.MALFORMED, "connection_refused"),
        (Reason.LOGIN, "connection_refused"),
        (Reason.WRONG_ADDRESS, "connection_wrong_address"),
    )
}
SPENDING_LIMIT: Final = Repair("spending_limit")
SPENDING_CLOSE: Final = Repair("spending_close", ir.IssueSeverity.WARNING)
UNAVAILABLE_NOTIFY: Final = Repair("missed", fixable=True, persistent=True)
DELAYED_LOST: Final = Repair("delayed_lost", fixable=True, persistent=True)
# One repair for each recipient: the later of the two replaces the earlier.
DELAYED_UNCERTAIN: Final = Repair("delayed_uncertain", fixable=True, persistent=True, prefix="delayed_lost")
CRITICAL_FAILED: Final = Repair("critical_failed", fixable=True, persistent=True)
DRILL_FAILED: Final = Repair("drill_failed", persistent=True)
REFUSED_PUSH: Final = Repair("refused_push", fixable=True, persistent=True)
LISTENER_PORT: Final = Repair("listener_port")
OPTED_OUT: Final = Repair("opted_out", ir.IssueSeverity.WARNING, fixable=True, persistent=True, by_recipient=True)
LOCKED_OUT: Final = Repair("locked_out", fixable=True, persistent=True, by_recipient=True)
SHORT_PIN: Final = Repair("short_pin", ir.IssueSeverity.WARNING, by_recipient=True)
_OF_AN_ACCOUNT: Final = (
    LOW_BALANCE,
    *PROBLEMS.values(),
    *CONNECTION_PROBLEMS.values(),
    SPENDING_LIMIT,
    SPENDING_CLOSE,
    UNAVAILABLE_NOTIFY,
    DELAYED_LOST,
    CRITICAL_FAILED,
    DRILL_FAILED,
    REFUSED_PUSH,
    LISTENER_PORT,
    OPTED_OUT,
    LOCKED_OUT,
    SHORT_PIN,
)

# These belong to no account.
STORE_UNAVAILABLE: Final = Repair("store_unavailable")
STORE_DAMAGED: Final = Repair("store_damaged", fixable=True, persistent=True)
STORE_RESTORED: Final = Repair("store_restored", fixable=True, persistent=True)
STORE_CUT: Final = Repair("store_cut", fixable=True, persistent=True)
STORE_FAILED: Final = Repair("store_failed", fixable=True, persistent=True)
MISSING_TARGETS: Final = Repair("missing_targets", ir.IssueSeverity.WARNING)


@callback
def async_show_issues(
    hass: HomeAssistant, entry: ConfigEntry[Any], repairs: Mapping[Reason, Repair], reasons: Collection[Reason | None]
) -> None:
    """Of these repairs, create those with one of the reasons and delete the others."""
    shown = {repair for reason, repair in repairs.items() if reason in reasons}
    for repair in repairs.values():
        if repair in shown:
            repair.async_create(hass, entry)
        else:
            repair.async_delete(hass, entry)


@callback
def async_prune_issues(hass: HomeAssistant, entry: ConfigEntry[Any]) -> None:
    """Delete the issues of transports and recipients that an account no longer has."""
    for repair in _OF_AN_ACCOUNT:
        if repair.transport is not None and repair.transport not in entry.data:
            repair.async_delete(hass, entry)
        if repair.by_recipient:
            prefix = f"{repair.issue_id(entry)}_"
            for issue_id in _issue_ids(hass):
                if issue_id.startswith(prefix) and issue_id.removeprefix(prefix) not in entry.subentries:
                    ir.async_delete_issue(hass, DOMAIN, issue_id)


@callback
def async_remove_issues(hass: HomeAssistant, entry: ConfigEntry[Any]) -> None:
    """Delete all issues of a removed account."""
    prefixes = tuple(f"{repair.issue_id(entry)}_" for repair in _OF_AN_ACCOUNT)
    for issue_id in _issue_ids(hass):
        if f"{issue_id}_".startswith(prefixes):
            ir.async_delete_issue(hass, DOMAIN, issue_id)


def _issue_ids(hass: HomeAssistant) -> list[str]:
    return [issue_id for domain, issue_id in ir.async_get(hass).issues if domain == DOMAIN]
