"""The lines that a send writes to Apprise's log: masked numbers, whole message ids, never a text.

Host programs judge a send by its log. Uptime Kuma reports a failure if the word ERROR appears, and a broken service if
the output is empty; changedetection.io treats WARNING as a failure too. A send therefore writes at most one line
at INFO for the successes and one at ERROR for the failures, and nothing else from INFO upwards.

The lines use the language of the environment: English or Chinese.
"""

from collections.abc import Collection, Iterable, Sequence

from .core import (
    OWN_LIMITS,
    InvalidMessageError,
    Outcome,
    Reason,
    Receipt,
    SpendingLimits,
    environment_language,
    mask_number,
    say,
)

# Only these reasons have details in our own words. Other details come from the platform and may quote the text.
_SAFE_DETAILS = frozenset({Reason.LOST, Reason.NO_CONNECTION, Reason.WRONG_ADDRESS})
# Details of our own: no time was left for a request, the message was repeated after an unknown outcome, and another
# program's claim of the same message has no outcome.
NO_TIME, REPEATED, OTHER_SENDER = "no time", "repeated", "other sender"
_DETAILS = {
    NO_TIME: (
        "The time for this notification was used up before a request could begin; nothing was sent.",
        "该通知的时间在请求开始之前已用完，没有发送任何内容。",
    ),
    OTHER_SENDER: (
        "Another program on this machine began to send the same text and recorded no outcome.",
        "本机的另一程序已开始发送同一内容，但没有记录结果。",
    ),
}
# The reasons of an HTTP answer whose usual sentence also says something about CMPP.
HTTP_SENTENCES = {
    Reason.AUTHENTICATION: (
        "The user name or the password is wrong.",
        "登录名称（平台文档写作“登陆名称”）或密码不正确，请更正。",
    ),
    Reason.PERMISSION: (
        "The account has no permission to use the HTTP interface. Ask the platform for it.",
        "账户没有 URL 提交权限，请联系平台开通。",
    ),
}
_NUMBERS_SHOWN = 20


def _joined(first: str, second: str) -> str:
    return say(f"{first} {second}".lstrip(), first + second)


def invalid_message(error: InvalidMessageError) -> str:
    """Return the line about a message that cannot be sent."""
    return say(f"nothing was sent: {error.sentence('en')}", f"没有发送任何内容：{error.sentence('zh')}")


def unexpected_error(name: str) -> str:
    """Return the line about an error of the plugin. name: its class."""
    return say(
        f"unexpected error in the plugin ({name}). The message may have been sent: check with the recipient or the "
        "platform before you send it again",
        f"插件发生意外错误（`{name}`）。短信可能已发出：请先向接收人或平台确认，再决定是否重发",
    )


def invalid_targets(count: int) -> str:
    """Return the note about targets that are not mobile numbers, without a full stop."""
    return say(f"Targets that are not mobile numbers: {count}", f"不是手机号码的目标：{count} 个")


def with_notes(failure: str, *, late: float | None, targets: int, invalid: int) -> str:
    """Return the line about the failures with its notes, or an empty text.

    late: the seconds for the notification, if they are used up. targets: the number of mobile numbers in the URL.
    invalid: the number of its other targets.
    """
    if late is not None:
        note = say(
            f"No further request was made: the {late:.0f} seconds for this notification are used up.",
            f"没有再次提交：该通知的 {late:.0f} 秒已用完。",
        )
        failure = _joined(failure, note)
    if not targets:
        failure = say(
            "nothing was sent: there is no mobile number to send to.", "没有发送任何内容：没有可用的手机号码。"
        )
    return _joined(failure, invalid_targets(invalid) + say(".", "。")) if invalid else failure


def text_was_cut(length: int) -> str:
    """Return the note about a text that was too long."""
    return say(f"; the text was cut to {length} characters", f"；内容已截短为 {length} 字")


def success_message(receipts: Iterable[Receipt], duplicates: Collection[str]) -> str:
    """Return the line about the numbers whose message the platform accepted, or an empty text.

    duplicates: numbers that `dedupe` skipped because they received the same text shortly before.
    """
    groups: dict[str, list[str]] = {}
    for receipt in receipts:
        if receipt.outcome is Outcome.ACCEPTED:
            description = _describe_success(receipt, duplicate=receipt.number in duplicates)
            groups.setdefault(description, []).append(receipt.number)
    return say("; ", "；").join(
        f"{description}{say(': ', '：')}{_format_numbers(numbers)}" for description, numbers in groups.items()
    )


def failure_message(receipts: Iterable[Receipt], limits: SpendingLimits | None = None, *, sums_up: bool = True) -> str:
    """Return the line about the numbers with any other outcome, or an empty text.

    limits: those of the URL. sums_up: whether a later message says how many were held back.
    """
    groups: dict[str, list[str]] = {}
    for receipt in receipts:
        if receipt.outcome is not Outcome.ACCEPTED:
            groups.setdefault(_describe_failure(receipt, limits, sums_up=sums_up), []).append(receipt.number)
    return say(" ", "").join(
        f"{_format_numbers(numbers)}{say(': ', '：')}{description}" for description, numbers in groups.items()
    )


def _describe_success(receipt: Receipt, *, duplicate: bool) -> str:
    description = say("accepted", "平台已接收")
    if receipt.message_id:
        description += say(f" (id {receipt.message_id})", f"（编号 `{receipt.message_id}`）")
    if receipt.detail == REPEATED:
        description += say(
            " when repeated; the first attempt's outcome is unknown, so the message may arrive twice",
            "（重发的短信；首次的结果不明，可能收到两次）",
        )
    if duplicate:
        description += say(" earlier, not sent again (dedupe)", "（此前已发送，因 `dedupe` 未再发送）")
    return description


def _describe_held_back(reason: Reason, limits: SpendingLimits, *, sums_up: bool) -> str:
    limit = {
        Reason.NUMBER_LIMIT: (
            f"{limits.number} messages to one number within 10 minutes",
            f"10 分钟内发往同一号码 {limits.number} 条短信",
        ),
        Reason.HOURLY_LIMIT: (f"{limits.hour} parts within 60 minutes", f"60 分钟内计费 {limits.hour} 条"),
        Reason.DAILY_LIMIT: (
            f"{limits.day} parts within 24 hours ({limits.reserve} more for critical messages)",
            f"24 小时内计费 {limits.day} 条（紧急短信另有 {limits.reserve} 条）",
        ),
    }
    en, zh = limit[reason]
    said = say(
        f"held back. {reason.en} The limit is {en}; ?cap=PARTS replaces all limits by one per day, and ?cap=0 removes "
        "them.",
        f"未发送。{reason.zh}限额为 {zh}；`?cap=条数` 以每天的限额取代所有限额，`?cap=0` 取消限额。",
    )
    later = say(
        "The next message to this number begins with the count of those that were held back.",
        "发往该号码的下一条短信会以未发送的条数开头。",
    )
    return _joined(said, later) if sums_up else said


def _describe_failure(receipt: Receipt, limits: SpendingLimits | None, *, sums_up: bool) -> str:
    reason = receipt.reason
    if limits is not None and reason is not None and reason in OWN_LIMITS:
        return _describe_held_back(reason, limits, sums_up=sums_up)
    sentence = reason.sentence(environment_language()) if reason is not None else ""
    if reason in HTTP_SENTENCES:
        sentence = say(*HTTP_SENTENCES[reason])
    if receipt.detail in _DETAILS:
        sentence = say(*_DETAILS[receipt.detail])
    elif receipt.detail and reason in _SAFE_DETAILS:
        sentence += say(f" ({receipt.detail})", f"（`{receipt.detail}`）")
    if receipt.outcome is Outcome.UNKNOWN:
        advice = say(
            "It may have arrived: do not send it again before you have checked with the recipient or the platform. "
            "A retry skips this number.",
            "短信可能已送达：请先向接收人或平台确认，再决定是否重发。再次尝试会跳过该号码。",
        )
        return _joined(_joined(say("unknown.", "结果不明。"), sentence), advice)
    if receipt.outcome is Outcome.HELD:
        advice = say(
            "The phone gets it only if the platform's staff release it: ask the platform, or contact the recipient in "
            "another way. A retry skips this number.",
            "平台人工放行后，手机才会收到：请联系平台，或用其他方式联系接收人。再次尝试会跳过该号码。",
        )
        return _joined(_joined(say("held for manual review at the platform.", "待平台人工审核。"), sentence), advice)
    refused = receipt.outcome is Outcome.REFUSED
    kind = say("refused.", "被拒绝。") if refused else say("not sent.", "未发出。")
    return _joined(kind, sentence).rstrip()


def _format_numbers(numbers: Sequence[str]) -> str:
    shown = say(", ", "、").join(mask_number(number) for number in numbers[:_NUMBERS_SHOWN])
    more = len(numbers) - _NUMBERS_SHOWN
    return shown + say(f" and {more} more", f"及另外 {more} 个号码") if more > 0 else shown
