"""Home Assistant's translated errors for messages that were not sent or not delivered."""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any, Final

from homeassistant.core import HomeAssistant
from homeassistant.exceptions import ConfigEntryNotReady, HomeAssistantError, ServiceValidationError

from .client import Outcome, Reason, Receipt, Repeat, ReportState, SMS1680Error, mask_number
from .client.masking import mask_mobiles, mask_text
from .client.outcomes import Language
from .const import DOMAIN

# The most serious outcome comes first and determines the error.
_ERRORS: Final = {
    Outcome.UNKNOWN: "outcome_unknown",
    Outcome.REFUSED: "outcome_refused",
    Outcome.NOT_SENT: "outcome_not_sent",
}
_REPEAT: Final[dict[Repeat, tuple[str, str]]] = {
    Repeat.NO: ("It must not be repeated.", "请勿重发。"),
    Repeat.YES: ("It may be sent again.", "可以重发。"),
    Repeat.BY_A_PERSON: ("Only a person should repeat it.", "只应由人工决定重发。"),
    Repeat.AFTER_CORRECTION: ("Then it may be sent again.", "之后可以重发。"),
    Repeat.AFTER_TOPPING_UP: ("Then it may be sent again.", "之后可以重发。"),
    Repeat.OTHER_TEXT: ("It may be sent with another text.", "更换内容后可以再发。"),
    Repeat.NEVER_BY_ITSELF: ("Ask the recipient before you repeat it.", "重发前请先向接收人确认。"),
}
_FORBIDDEN: Final = ("The text contains words that the platform forbids{}.", "短信含有禁用词语{}。")
# The sentences of these reasons say it themselves.
_SAY_WHETHER_TO_REPEAT: Final = frozenset(
    {
        Reason.FAILED,
        Reason.TOO_FAST,
        Reason.TOO_LONG,
        Reason.HOURLY_LIMIT,
        Reason.DAILY_LIMIT,
        Reason.NUMBER_LIMIT,
    }
)


class DropReason(StrEnum):
    """Why a message was dropped without an attempt, or a deferred one without a further attempt."""

    TOO_LATE = "too_late"
    RECIPIENT_REMOVED = "recipient_removed"
    UNREADABLE = "unreadable"
    ACCOUNT_NOT_FOUND = "account_not_found"
    ACCOUNT_AMBIGUOUS = "account_ambiguous"
    ACCOUNT_NOT_LOADED = "account_not_loaded"
    ACCOUNT_DISABLED = "account_disabled"
    RECIPIENT_DISABLED = "recipient_disabled"
    INVALID_CALL = "invalid_call"
    NUMBER = "number"
    RECIPIENT = "recipient"

    def sentence(self, lang: Language) -> str:
        """Return the reason as a sentence."""
        return _DROP_SENTENCES[self][lang == "zh"]


_NO_REPORT: Final = ("No report came in time; it may still arrive.", "期限内没有收到状态报告，可能仍会送达。")
_DROP_SENTENCES: Final = {
    DropReason.TOO_LATE: (
        "Its time passed while Home Assistant was not running.",
        "程序未运行期间已错过发送时间。",
    ),
    DropReason.RECIPIENT_REMOVED: (
        "The recipient was removed.",
        "该接收人已被删除。",
    ),
    DropReason.UNREADABLE: (
        "Another version of this integration stored it in a form that this version cannot read.",
        "它由本程序的另一版本保存，当前版本无法读取。",
    ),
    DropReason.ACCOUNT_NOT_FOUND: (
        "The account does not exist.",
        "该账户不存在。",
    ),
    DropReason.ACCOUNT_AMBIGUOUS: (
        "There are several accounts, and the call does not say which one to use.",
        "有多个账户，而调用没有指明使用哪一个。",
    ),
    DropReason.ACCOUNT_NOT_LOADED: (
        "The account was not loaded.",
        "该账户未加载。",
    ),
    DropReason.ACCOUNT_DISABLED: (
        "The account is disabled.",
        "该账户已禁用。",
    ),
    DropReason.RECIPIENT_DISABLED: (
        "The notify entity of the recipient is disabled.",
        "该接收人的通知实体已禁用。",
    ),
    DropReason.NUMBER: (
        "This is not a mainland mobile number.",
        "这不是中国大陆手机号码。",
    ),
    DropReason.RECIPIENT: (
        "This is not a recipient.",
        "这不是接收人。",
    ),
    DropReason.INVALID_CALL: (
        "The call is invalid. Home Assistant's log has the details.",
        "调用无效，详情见 Home Assistant 日志。",
    ),
}


def language(hass: HomeAssistant) -> Language:
    """Return the language of the core's sentences that matches Home Assistant's language."""
    return "zh" if hass.config.language.lower().startswith("zh") else "en"


def send_error(
    hass: HomeAssistant, results: Iterable[tuple[str | None, Receipt]], wrong: Iterable[tuple[str, str]] = ()
) -> HomeAssistantError | None:
    """Return one error for all failed recipients, or None.

    The error names each recipient, the reason, and whether sending can be repeated.
    results: for each number the recipient's name, if it has one, and the receipt. wrong: each target that could not
    receive the message, as the call names it, and the `DropReason`.
    """
    failed = [(name, receipt) for name, receipt in results if receipt.outcome in _ERRORS]
    lang, colon = language(hass), "：" if language(hass) == "zh" else ": "
    lines = [f"{mask_text(written)}{colon}{DropReason(reason).sentence(lang)}" for written, reason in wrong]
    for outcome, key in _ERRORS.items():
        if any(receipt.outcome is outcome for _, receipt in failed):
            mixed = any(receipt.outcome is not outcome for _, receipt in failed)
            of_numbers = [_line(name, receipt, lang, with_result=mixed) for name, receipt in failed]
            return action_error(key, details="\n".join([*of_numbers, *lines]))
    return action_error("outcome_refused", details="\n".join(lines)) if lines else None


def not_delivered_error(
    hass: HomeAssistant, results: Iterable[tuple[str | None, Receipt, Mapping[str, Any] | None]]
) -> HomeAssistantError | None:
    """Return one error for all recipients without a report of successful delivery, or None.

    results: for each number the recipient's name, if it has one, the receipt, and the last delivery report, if any.
    """
    no_report = _NO_REPORT[language(hass) == "zh"]
    lines = []
    for name, receipt, report in results:
        if report is None or not report["settled"]:
            problem = no_report
        elif report["state"] != ReportState.DELIVERED:
            problem = report["reason"] or no_report
        else:
            continue
        colon = "：" if language(hass) == "zh" else ": "
        lines.append(f"{f'{name} ' if name else ''}{mask_number(receipt.number)}{colon}{problem}")
    return action_error("not_delivered", details="\n".join(lines)) if lines else None


def invalid_message_error(hass: HomeAssistant, error: SMS1680Error) -> ServiceValidationError:
    """Return the error of an invalid message. Nothing was sent."""
    return validation_error("invalid_message", problem=error.sentence(language(hass)))


def not_ready_error(hass: HomeAssistant, error: SMS1680Error) -> ConfigEntryNotReady:
    """Return the error of an account whose setup Home Assistant repeats."""
    said = {"problem": error.sentence(language(hass))}
    return ConfigEntryNotReady(translation_domain=DOMAIN, translation_key="not_ready", translation_placeholders=said)


def validation_error(key: str, **placeholders: str) -> ServiceValidationError:
    """Return the error of an invalid action call. It shows no number: Home Assistant logs the errors of calls."""
    shown = _without_numbers(placeholders) or None
    return ServiceValidationError(translation_domain=DOMAIN, translation_key=key, translation_placeholders=shown)


def action_error(key: str, **placeholders: str) -> HomeAssistantError:
    """Return the error of an action that failed. It shows no number: Home Assistant logs the errors of calls."""
    shown = _without_numbers(placeholders)
    return HomeAssistantError(translation_domain=DOMAIN, translation_key=key, translation_placeholders=shown)


def _without_numbers(placeholders: dict[str, str]) -> dict[str, str]:
    return {name: mask_mobiles(value) for name, value in placeholders.items()}


def reason_and_advice(receipt: Receipt, lang: Language) -> str:
    """Return the reason for an outcome, the advice, and whether to repeat the message, without repetition."""
    said = [receipt.reason.sentence(lang)] if receipt.reason else []
    if receipt.reason is Reason.FORBIDDEN_WORDS:
        # The author needs the refused word. Any other detail of the platform's response must not reach the log.
        word = f"（{receipt.detail}）" if lang == "zh" else f" ({receipt.detail})"
        said = [_FORBIDDEN[lang == "zh"].format(word if receipt.detail else "")]
    if receipt.reason not in _SAY_WHETHER_TO_REPEAT:
        said.append(_REPEAT[receipt.repeat][lang == "zh"])
    return ("" if lang == "zh" else " ").join(said)


def _line(name: str | None, receipt: Receipt, lang: Language, *, with_result: bool) -> str:
    """Return the line of one recipient. The error's own sentence says the result if it is the same for all."""
    who = f"{f'{name} ' if name else ''}{mask_number(receipt.number)}"
    said = reason_and_advice(receipt, lang)
    if with_result or receipt.outcome is Outcome.REFUSED:
        said = f"{receipt.result(lang)}。{said}" if lang == "zh" else f"{receipt.result(lang)}. {said}"
    return f"{who}：{said}" if lang == "zh" else f"{who}: {said}"
