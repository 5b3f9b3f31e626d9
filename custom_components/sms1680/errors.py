"""What a person is told when a message did not go out as it should: Home Assistant's errors, translated."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any, Final

from homeassistant.core import HomeAssistant
from homeassistant.exceptions import HomeAssistantError, ServiceValidationError

from .client import Outcome, Reason, Receipt, Repeat, ReportState, SMS1680Error, mask_number
from .client.outcomes import Language
from .const import DOMAIN

# The most serious first: it names the error.
_ERRORS: Final = {
    Outcome.UNKNOWN: "outcome_unknown",
    Outcome.REFUSED: "outcome_refused",
    Outcome.NOT_SENT: "outcome_not_sent",
}
_REPEAT: Final[dict[Repeat, tuple[str, str]]] = {
    Repeat.NO: ("It must not be repeated.", "请勿重发。"),
    Repeat.YES: ("It may be sent again.", "可以重发。"),
    Repeat.BY_A_PERSON: ("Only a person should repeat it.", "只应由人工决定重发。"),
    Repeat.AFTER_CORRECTION: ("It may be sent again after the correction.", "更正后可以重发。"),
    Repeat.AFTER_TOPPING_UP: ("It may be sent again after topping up.", "充值后可以重发。"),
    Repeat.OTHER_TEXT: ("It may be sent with another text.", "更换内容后可以再发。"),
    Repeat.NEVER_BY_ITSELF: ("Ask before you repeat it: it may have arrived.", "重发前请先确认是否已收到。"),
}


class DropReason(StrEnum):
    """Why a message that was kept for later was not tried any more, where that was ours to say."""

    TOO_LATE = "too_late"
    RECIPIENT_REMOVED = "recipient_removed"
    UNREADABLE = "unreadable"

    def sentence(self, spoken: Language) -> str:
        """Return it in one of the two languages."""
        return _DROP_SENTENCES[self][spoken == "zh"]


_NO_REPORT: Final = ("No report came in time; it may still arrive.", "期限内没有收到状态报告，可能仍会送达。")
_DROP_SENTENCES: Final = {
    DropReason.TOO_LATE: (
        "It was not sent: its time had passed while this program was not running.",
        "没有发出：程序未运行期间已错过发送时间。",
    ),
    DropReason.RECIPIENT_REMOVED: (
        "It was not sent: the recipient was removed meanwhile.",
        "没有发出：该接收人已被删除。",
    ),
    DropReason.UNREADABLE: (
        "It was not sent: it was kept by another version of this program, and can't be read by this one.",
        "没有发出：它由本程序的另一版本保存，当前版本无法读取。",
    ),
}


def language(hass: HomeAssistant) -> Language:
    """Return the core's language that suits Home Assistant's."""
    return "zh" if hass.config.language.lower().startswith("zh") else "en"


def send_error(hass: HomeAssistant, results: Iterable[tuple[str | None, Receipt]]) -> HomeAssistantError | None:
    """Return the one error of a message: whom it failed for, why, and whether it may be repeated; None for no one.

    results: the recipient's name, if it has one, and the receipt.
    """
    bad = [(name, receipt) for name, receipt in results if receipt.outcome in _ERRORS]
    for outcome, key in _ERRORS.items():
        if any(receipt.outcome is outcome for _, receipt in bad):
            details = "\n".join(_line(name, receipt, language(hass)) for name, receipt in bad)
            return _error(key, {"details": details})
    return None


def not_delivered_error(
    hass: HomeAssistant, results: Iterable[tuple[str | None, Receipt, Mapping[str, Any] | None]]
) -> HomeAssistantError | None:
    """Return the error of a message that was waited for and is not with everybody; None where it is.

    results: the recipient's name, if it has one, the receipt, and the data of the last delivery report, if one came.
    """
    spoken = language(hass)
    late = _NO_REPORT[spoken == "zh"]
    lines = []
    for name, receipt, report in results:
        if report is None or not report["settled"]:
            what = late
        elif report["state"] != ReportState.DELIVERED:
            what = report["reason"] or late
        else:
            continue
        lines.append(f"{f'{name} ' if name else ''}{mask_number(receipt.number)}: {what}")
    return _error("not_delivered", {"details": "\n".join(lines)}) if lines else None


def invalid_message_error(hass: HomeAssistant, error: SMS1680Error) -> ServiceValidationError:
    """Return the error of a message that can't be sent as it stands; nothing was sent."""
    return validation_error("invalid_message", problem=error.sentence(language(hass)))


def balance_error(hass: HomeAssistant, error: SMS1680Error) -> HomeAssistantError:
    """Return the error of a question to the platform (the balance) that got no answer or a refusal."""
    return _error("no_balance", {"problem": error.sentence(language(hass))})


def validation_error(key: str, **placeholders: str) -> ServiceValidationError:
    """Return the error of a call that is wrong in itself."""
    return ServiceValidationError(
        translation_domain=DOMAIN, translation_key=key, translation_placeholders=placeholders or None
    )


def _error(key: str, placeholders: dict[str, str]) -> HomeAssistantError:
    return HomeAssistantError(translation_domain=DOMAIN, translation_key=key, translation_placeholders=placeholders)


def _line(name: str | None, receipt: Receipt, spoken: Language) -> str:
    # The word that was refused is what its writer needs; any other answer of the platform's stays out of the logs.
    word = f" ({receipt.detail})" if receipt.reason is Reason.FORBIDDEN_WORDS and receipt.detail else ""
    repeat = _REPEAT[receipt.repeat][1 if spoken == "zh" else 0]
    return f"{f'{name} ' if name else ''}{receipt.sentence(spoken)}{word} {repeat}"
