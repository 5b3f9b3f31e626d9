"""Build the data of the events `sms1680_message_received` and `sms1680_delivery_report`."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from homeassistant.config_entries import ConfigEntry, ConfigSubentry
from homeassistant.util import dt as dt_util

from ..client import DeliveryReport, Reply, ReportState
from ..const import ATTR_CONFIG_ENTRY_ID
from ..conversation.engine import plain
from ..store.db import DeliveryUpdate
from .models import Incoming

_FRESH = timedelta(minutes=2)  # older items are marked as redelivered: a stale "1" must not open a garage door
# Extensions of questions have at most this many digits. A longer one is a recipient's own or includes an access number.
LONGEST_EXTENSION = 9


def common_data(entry: ConfigEntry[Any], incoming: Incoming, recipient: ConfigSubentry | None) -> dict[str, Any]:
    """Return the fields that both events have."""
    return {
        ATTR_CONFIG_ENTRY_ID: entry.entry_id,
        "number": incoming.number,
        "recipient": recipient.title if recipient else None,
        "subentry_id": recipient.subentry_id if recipient else None,
        "redelivered": incoming.repeat or incoming.earlier or dt_util.utcnow() - incoming.received_at > _FRESH,
    }


def uplink_data(reply: Reply, incoming: Incoming, extension: str) -> dict[str, Any]:
    """Return the fields of an uplink."""
    return {
        "id": reply.message_id or incoming.seen.id,
        "content": reply.content,
        "plain": plain(reply.content),
        "extension": extension,
        "received_at": incoming.received_at.isoformat(),
        "via": str(incoming.via),
        "incomplete": reply.incomplete,
    }


def report_data(report: DeliveryReport, update: DeliveryUpdate | None, language: str) -> dict[str, Any]:
    """Return the fields of a delivery report. language: Home Assistant's, for the reason's sentence."""
    reason = None
    if report.state is not ReportState.DELIVERED:
        reason = report.sentence("zh" if language.startswith("zh") else "en")
    return {
        "message_id": (update and update.message_id) or report.message_id,
        "status": report.status,
        "state": report.state.value,
        # The report of the last segment settles a message of several segments.
        "settled": update.settled if update else report.state is not ReportState.PENDING,
        "reason": reason,
        "automatic": update is not None and update.automatic,
    }


def resolve_extension(address: str, known: Iterable[str], source_numbers: Iterable[str] = ()) -> str:
    """Return the extension in the address that a reply was sent to.

    Platforms pass on either the extension alone or the whole access number followed by it. If the address starts with
    one of our access numbers, the rest is the extension, which can be empty. An address that is too short for an access
    number is an extension. For a longer address, return the longest known extension that the address ends with.
    """
    for source_number in sorted(filter(None, source_numbers), key=len, reverse=True):
        if address.startswith(source_number):
            return address.removeprefix(source_number)
    if len(address) <= LONGEST_EXTENSION:
        return address
    return max(
        (extension for extension in known if extension and address.endswith(extension)), key=len, default=address
    )
