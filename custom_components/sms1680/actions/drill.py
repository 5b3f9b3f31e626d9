"""Drills: a repair names everybody who did not get or did not answer the question; a passed drill deletes it."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from homeassistant.core import HomeAssistant, callback

from ..client import Outcome, ReportState, mask_number
from ..client.masking import mask_text
from ..coordinator import Sms1680ConfigEntry
from ..errors import DropReason, language
from ..issues import DRILL_FAILED
from ..outbound.recipients import WrongTarget
from .question_run import AskedPhone

_NO_REPORT: Final = ("no report of its delivery", "没有送达的状态报告")
_NO_ANSWER: Final = ("no answer", "没有回复")


@callback
def async_report_drill(
    hass: HomeAssistant, results: Iterable[tuple[AskedPhone, Mapping[str, Any]]], wrong: Iterable[WrongTarget]
) -> None:
    """Create the repair of each account with a phone that failed the drill, and delete it for the other accounts.

    results: each phone with its part of the action's response. wrong: the invalid targets, which count for the account
    of the first phone.
    """
    entries: dict[str, Sms1680ConfigEntry] = {}
    failures: dict[str, list[str]] = {}
    lang = language(hass)
    chinese = lang == "zh"
    for phone, response in results:
        entry = phone.addressee.entry
        entries[entry.entry_id] = entry
        missing = []
        if response["delivery"] != ReportState.DELIVERED:
            missing.append(_NO_REPORT[chinese])
        if response["elapsed"] is None:
            missing.append(_NO_ANSWER[chinese])
        if not missing:
            continue
        if phone.result is not None and phone.result.receipt.outcome is not Outcome.ACCEPTED:
            missing.append(phone.result.receipt.sentence(lang))
        name = response["recipient"] or mask_number(response["number"])
        failures.setdefault(entry.entry_id, []).append(f"{name}: {('; ', '；')[chinese].join(missing)}")
    for target in wrong:
        mask = mask_number if target.reason == "number" else mask_text
        told = f"{mask(target.written)}: {DropReason(target.reason).sentence(lang)}"
        failures.setdefault(next(iter(entries)), []).append(told)
    for entry_id, entry in entries.items():
        if entry_id in failures:
            DRILL_FAILED.async_create(hass, entry, details="\n".join(failures[entry_id]))
        else:
            DRILL_FAILED.async_delete(hass, entry)
