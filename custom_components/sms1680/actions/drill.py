"""Drills: whether a question went out, arrived and was answered, told as a repair that the next good one lifts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers import issue_registry as ir

from ..client import Outcome, Receipt, ReportState, mask_number
from ..const import DOMAIN
from ..coordinator import Sms1680ConfigEntry
from ..errors import language

_ISSUE: Final = "drill_failed"
_NO_REPORT: Final = ("no report of its delivery", "没有送达的状态报告")
_NO_ANSWER: Final = ("no answer", "没有回复")


@dataclass(frozen=True, repr=False)
class Drilled:
    """What came of a drill for one person. told: as the action answers it. receipt: None where nothing was sent."""

    entry: Sms1680ConfigEntry
    told: Mapping[str, Any]
    receipt: Receipt | None


@callback
def async_tell_drill(hass: HomeAssistant, people: Iterable[Drilled]) -> None:
    """Raise a repair for the accounts that someone in a drill did not get a message from, or did not answer."""
    lines: dict[str, list[str]] = {}
    titles: dict[str, str] = {}
    chinese = language(hass) == "zh"
    for person in people:
        entry, told, receipt = person.entry, person.told, person.receipt
        titles[entry.entry_id] = entry.title
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
    for entry_id, title in titles.items():
        issue = f"{_ISSUE}_{entry_id}"
        if entry_id in lines:
            ir.async_create_issue(
                hass,
                DOMAIN,
                issue,
                is_fixable=False,
                is_persistent=True,
                severity=ir.IssueSeverity.ERROR,
                translation_key=_ISSUE,
                translation_placeholders={"account": title, "details": "\n".join(lines[entry_id])},
            )
        else:
            ir.async_delete_issue(hass, DOMAIN, issue)
