"""Drills: whether a question went out, arrived and was answered, told as a repair that the next good one lifts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from homeassistant.core import HomeAssistant, callback

from ..client import Outcome, Receipt, ReportState, mask_number
from ..coordinator import Sms1680ConfigEntry
from ..errors import language
from ..issues import DRILL_FAILED

_NO_REPORT: Final = ("no report of its delivery", "没有送达的状态报告")
_NO_ANSWER: Final = ("no answer", "没有回复")


@dataclass(frozen=True, repr=False)
class DrillResult:
    """What came of a drill for one person. told: as the action answers it. receipt: None where nothing was sent."""

    entry: Sms1680ConfigEntry
    told: Mapping[str, Any]
    receipt: Receipt | None


@callback
def async_report_drill(hass: HomeAssistant, people: Iterable[DrillResult]) -> None:
    """Raise a repair for the accounts that someone in a drill did not get a message from, or did not answer."""
    lines: dict[str, list[str]] = {}
    entries: dict[str, Sms1680ConfigEntry] = {}
    chinese = language(hass) == "zh"
    for person in people:
        entry, told, receipt = person.entry, person.told, person.receipt
        entries[entry.entry_id] = entry
        missing = [
            words[chinese]
            for words, is_there in (
                (_NO_REPORT, told["delivery"] == ReportState.DELIVERED),
                (_NO_ANSWER, told["elapsed"] is not None),
            )
            if not is_there
        ]
        if missing and receipt is not None and receipt.outcome is not Outcome.ACCEPTED:
            missing.append(receipt.sentence(language(hass)))
        if missing:
            name = told["recipient"] or mask_number(told["number"])
            between = ("; ", "；")[chinese]
            lines.setdefault(entry.entry_id, []).append(f"{name}: {between.join(missing)}")
    for entry_id, entry in entries.items():
        if entry_id in lines:
            DRILL_FAILED.async_create(hass, entry, details="\n".join(lines[entry_id]))
        else:
            DRILL_FAILED.async_delete(hass, entry)
