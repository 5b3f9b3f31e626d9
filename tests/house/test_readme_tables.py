"""Compare the tables of the pages with the code, in both languages.

The tables are generated from the code. After a change of the code, SMS1680_WRITE_TABLES=1 writes them to the pages.
"""

import inspect
import json
import os
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import yaml
from support import ROOT
from support.pages import LANGUAGES, PAGES, tables, write_table

from sms1680 import DEFAULT_GATEWAY, Concern, Outcome, Reason, Repeat, ReportState, errors, push, text
from sms1680.cli.output import EXIT_ACCEPTED, EXIT_LOW, EXITS as _EXITS
from sms1680.cmpp.wire.results import CONNECT, SUBMIT
from sms1680.errors import refused_query
from sms1680.http.client import LARGEST_PACKET, PACKET_SIZE
from sms1680.http.responses import BALANCE, DYNAMIC, SEND
from sms1680.http.transport import CONNECT_TIMEOUT, RESPONSE_TIMEOUT
from sms1680.limits.base_client import PATIENCE
from sms1680.limits.slots import SLOT_COUNT
from sms1680.plan import LETTERS, LONGEST_EXTENSION
from sms1680.push import LONGEST_PUSH, MOST_FIELDS
from sms1680.report_words import CODES, FAMILIES, STATUSES, WORDS, Cause

INTEGRATION = ROOT / "custom_components" / "sms1680"
WRITE = bool(os.environ.get("SMS1680_WRITE_TABLES"))

Row = Sequence[str]
Words = tuple[str, str]
INDEX = {"en": 0, "zh": 1}

REPEAT: dict[Repeat, Words] = {
    Repeat.NO: ("no", "否"),
    Repeat.YES: ("yes", "可以"),
    Repeat.BY_A_PERSON: ("only a person should", "只应由人工决定"),
    Repeat.AFTER_CORRECTION: ("after correction", "更正后可以"),
    Repeat.AFTER_TOPPING_UP: ("after topping up", "充值后可以"),
    Repeat.OTHER_TEXT: ("with another text", "更换内容后可以"),
    Repeat.NEVER_BY_ITSELF: ("never automatically", "不会自动重发"),
}
AGAIN: dict[Outcome, Words] = {
    Outcome.ACCEPTED: ("no", "否"),
    Outcome.HELD: ("no", "否"),
    Outcome.REFUSED: ("as the reason says", "视原因而定"),
    Outcome.NOT_SENT: ("yes, once the cause is removed", "可以，待原因消除后"),
    Outcome.UNKNOWN: ("never automatically; ask first", "不会自动重发，请先确认"),
}
STATES = {ReportState.DELIVERED: "已送达", ReportState.FAILED: "未送达", ReportState.PENDING: "尚未最终确认"}
EXITS: dict[int, Words] = {
    0: ("accepted", "平台已接收"),
    3: ("held", "待人工审核"),
    4: ("refused", "被拒绝"),
    5: ("not sent", "未发出"),
    6: ("unknown", "结果不明"),
    7: ("the balance is below `--below`", "剩余条数低于 `--below`"),
}
ERRORS: dict[str, Words] = {
    "SMS1680Error": ("the base class of all errors", "所有错误的基类"),
    "InvalidMessageError": ("the call is invalid; nothing was sent", "调用无效，没有发送任何内容"),
    "InvalidSettingError": (
        "a setting of the account or the client is invalid",
        "账户或客户端的设置无效",
    ),
    "InvalidPushError": ("the data is not a push of the platform", "收到的数据不是平台的推送"),
    "NoAnswerError": (
        "the balance is unavailable: no connection, no answer, or an answer that was not understood",
        "无法查询剩余条数：无法连接、没有应答或应答无法识别",
    ),
    "SendError": (
        "a number was neither accepted nor held; `.receipts` contains all receipts",
        "有号码既未被接收也未待审；`.receipts` 含全部结果",
    ),
    "UnknownOutcomeError": (
        "the outcome of a number is unknown; its message may have been sent",
        "有号码结果不明，可能已发出",
    ),
    "RefusedError": ("the platform refused a number", "平台拒绝了某个号码"),
    "AuthenticationError": ("the username or password is wrong", "登录名称或密码不正确"),
    "BalanceError": ("the balance is too low", "剩余条数不足"),
    "NotSentError": ("a number was certainly not sent to", "有号码确定没有发出"),
}
CONCERNS: dict[Concern, str] = {
    Concern.LINK: "https://example.com/a",
    Concern.DOMAIN: "example.com",
    Concern.IP_ADDRESS: "192.168.1.20",
    Concern.EMAIL: "me@example.com",
    Concern.PHONE_NUMBER: "0571-88880000",
    Concern.NO_SIGNATURE: "",
    Concern.SECOND_SIGNATURE: "【告警】",
    Concern.UNSHOWN: "😀",
    Concern.HIDDEN: "U+FEFF",
    Concern.REFUSED_WORD: "",
}


def code(value: object) -> str:
    return f"`{value}`"


def markdown(head: Row, rows: Sequence[Row]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    escaped = ([cell.replace("|", "\\|").replace("\n", " ") for cell in line] for line in lines)
    return "".join("|" + "|".join(f" {cell} " if cell != "---" else cell for cell in line) + "|\n" for line in escaped)


def translations(language: str) -> Any:
    name = {"en": "en", "zh": "zh-Hans"}[language]
    return json.loads((INTEGRATION / "translations" / f"{name}.json").read_text("utf-8"))


def dig(said: Any, path: str) -> Any:
    for part in path.split("/"):
        said = said[part]
    return said


# --- the core --------------------------------------------------------------------------------------------------------


def outcome_table(language: str) -> str:
    at = INDEX[language]
    head = (
        ("Outcome", "Description", "Can it be sent again?", "Exit code"),
        ("结果", "说明", "能否重发", "退出码"),
    )[at]
    rows = [
        (
            code(outcome),
            outcome.sentence("zh" if at else "en"),
            AGAIN[outcome][at],
            str(_EXITS.get(outcome, EXIT_ACCEPTED)),
        )
        for outcome in Outcome
    ]
    return markdown(head, rows)


def codes(table: dict[str, Reason | None], reason: Reason) -> str:
    return " ".join(code(number) for number, meaning in table.items() if meaning is reason)


def reason_table(language: str) -> str:
    at = INDEX[language]
    head = (
        (
            "Send",
            "Template, batch",
            "Balance",
            "CMPP login",
            "CMPP",
            "Reason",
            "Meaning and solution",
            "Can it be sent again?",
        ),
        ("发送", "动态、批量", "剩余条数", "CMPP 登录", "CMPP", "原因", "含义与处理", "能否重发"),
    )[at]
    login, submit = ({str(result): reason for result, reason in table.items()} for table in (CONNECT, SUBMIT["1680"]))
    rows = [
        (
            *(codes(table, reason) for table in (dict(SEND), dict(DYNAMIC), dict(BALANCE), login, submit)),
            code(reason),
            reason.sentence(language),
            REPEAT[reason.repeat][at],
        )
        for reason in Reason
    ]
    return markdown(head, rows)


def status_table(language: str) -> str:
    at = INDEX[language]
    head = (("Status", "State", "Description", "Can it be sent again?"), ("状态码", "状态", "说明", "能否重发"))[at]
    rows = []
    for status in (*STATUSES, *WORDS, *(f"{family}:9999" for family in FAMILIES), "…"):
        report = push.DeliveryReport("1", "13800000000", status)
        named = code(report.state) if language == "en" else f"{code(report.state)} {STATES[report.state]}"
        shown = ("anything else", "其他")[at] if status == "…" else code(status.replace("9999", "…"))
        rows.append((shown, named, report.sentence(language).replace("9999", "…"), REPEAT[report.repeat][at]))
    return markdown(head, rows)


def carrier_code_table(language: str) -> str:
    at = INDEX[language]
    head = (("Codes", "Description", "Can it be sent again?"), ("状态码", "说明", "能否重发"))[at]
    found: dict[Cause, list[str]] = {}
    for family, causes in CODES.items():
        if family in ("MH", "MI", "MN"):
            assert causes == CODES["MK"]
            continue
        for cause, numbers in causes.items():
            found.setdefault(cause, []).extend(code(f"{family}:{number:04}") for number in numbers)
    rows = []
    for cause in Cause:
        if cause in found:
            repeat, *sentences = cause.value
            rows.append((" ".join(found[cause]), sentences[at].replace("{}", "…"), REPEAT[repeat][at]))
    return markdown(head, rows)


def balance_table(language: str) -> str:
    at = INDEX[language]
    said = {reason: refused_query(reason).sentence(language) for reason in BALANCE.values() if reason is not None}
    rows = [(code(number), said[reason]) for number, reason in BALANCE.items() if reason is not None]
    return markdown((("Answer", "Meaning and solution"), ("应答", "含义与处理"))[at], rows)


def error_table(language: str) -> str:
    at = INDEX[language]
    head = (("Error", "Base class", "Description"), ("错误", "基类", "说明"))[at]
    found = [value for _, value in inspect.getmembers(errors, inspect.isclass) if value.__module__ == errors.__name__]
    assert {error.__name__ for error in found} == ERRORS.keys()
    by_name = {error.__name__: error for error in found}
    rows = [
        (code(name), ", ".join(code(base.__name__) for base in by_name[name].__bases__), words[at])
        for name, words in ERRORS.items()
    ]
    return markdown(head, rows)


def concern_table(language: str) -> str:
    at = INDEX[language]
    head = (("Warning", "Example", "Description"), ("提醒", "示例", "说明"))[at]
    rows = [
        (code(concern), code(example) if example else "", text._CONCERNS[concern][at].rstrip(":："))
        for concern, example in CONCERNS.items()
    ]
    assert CONCERNS.keys() == set(Concern)
    return markdown(head, rows)


def exit_table(language: str) -> str:
    at = INDEX[language]
    head = (("Exit code", "Description"), ("退出码", "说明"))[at]
    rows = [(code(number), EXITS[number][at]) for number in (*sorted(_EXITS.values()), EXIT_LOW)]
    rows.append(
        (code(2), ("nothing was attempted: the command or the message is invalid", "没有尝试：命令或短信内容无效")[at])
    )
    rows.append((code(1), ("the balance is unavailable, or another error", "无法查询剩余条数，或其他错误")[at]))
    return markdown(head, rows)


LIMITS: list[tuple[Words, str]] = [
    (("Items per request (`packet_size`)", "每个请求的条数（`packet_size`）"), f"{PACKET_SIZE} (1–{LARGEST_PACKET})"),
    (
        ("Characters of a text, including the signature (`max_length`)", "字数，含签名（`max_length`）"),
        f"{text.MAX_LENGTH}",
    ),
    (("Characters of a single part", "一条的字数"), f"{text.SINGLE_UNITS}"),
    (("Characters of each part of a longer text", "拆分后每条的字数"), f"{text.PART_UNITS}"),
    (("Characters of a signature, without brackets", "签名字数，不含括号"), f"1–{text._LONGEST_SIGNATURE}"),
    (("Digits of an extension", "扩展号位数"), f"1–{LONGEST_EXTENSION}"),
    (
        ("Digits of source number and extension together (the platform's limit)", "接入号加扩展号的位数（平台限制）"),
        "21",
    ),
    (("Values of a template", "模板变量"), f"{len(LETTERS)} (`{{{LETTERS[0]}}}`–`{{{LETTERS[-1]}}}`), `{{PHONE}}`"),
    (("Characters of a template's value that send its row by itself", "变量内容含有时该条单独发送"), "`,` `;`"),
    (("Characters of a batch's text that send its row by itself", "批量发送的内容含有时该条单独发送"), "`|` `$`"),
    (("Parallel requests if the rate is unknown", "流量未知时的并发请求数"), f"{SLOT_COUNT}"),
    (("Seconds of retries (`patience`)", "重试时间（`patience`），秒"), f"{PATIENCE:g}"),
    (("Seconds to wait for a connection", "连接超时，秒"), f"{CONNECT_TIMEOUT:g}"),
    (("Seconds to wait for an answer", "应答超时，秒"), f"{RESPONSE_TIMEOUT:g}"),
    (("Size of a push, and number of its fields", "推送的大小、字段数"), f"{LONGEST_PUSH // 1024} KiB, {MOST_FIELDS}"),
]


def limit_table(language: str) -> str:
    at = INDEX[language]
    return markdown((("What", "Limit"), ("项目", "限制"))[at], [(words[at], limit) for words, limit in LIMITS])


# --- Home Assistant, from the translations ---------------------------------------------------------------------------


def field_table(*steps: str) -> Callable[[str], str]:
    """Return a table of the fields of dialogs, with their names and descriptions."""

    def made(language: str) -> str:
        said = translations(language)
        return described_fields(language, [dig(said, step) for step in steps])

    return made


def dialog_table(dialog: str, *left_out: str) -> Callable[[str], str]:
    """Return a table of the fields of all steps of a dialog except `left_out`."""

    def made(language: str) -> str:
        steps = dig(translations(language), f"{dialog}/step")
        return described_fields(language, [step for name, step in steps.items() if name not in left_out])

    return made


def described_fields(language: str, steps: Sequence[Any]) -> str:
    rows = [
        (name, code(key), step.get("data_description", {}).get(key, ""))
        for whole in steps
        for step in (whole, *whole.get("sections", {}).values())
        for key, name in step.get("data", {}).items()
    ]
    return markdown(
        (("Field", "Key", "Description"), ("字段", "键", "说明"))[INDEX[language]], list(dict.fromkeys(rows))
    )


def call_table(section: str) -> Callable[[str], str]:
    """Return a table of the fields of each action or trigger."""

    def made(language: str) -> str:
        at = INDEX[language]
        said = translations(language)[section]
        described = yaml.safe_load((INTEGRATION / f"{section}.yaml").read_text("utf-8"))
        assert said.keys() == described.keys()
        kind = {"services": ("Action", "动作"), "triggers": ("Trigger", "触发条件")}[section][at]
        rows: list[Row] = []
        for name, call in described.items():
            rows.append((code(f"sms1680.{name}"), "", "", said[name]["description"]))
            if "target" in call:
                rows.append(("", code("target"), "", ("recipients", "接收人")[at]))
            sections = ((key, entry.get("fields", {key: entry})) for key, entry in call.get("fields", {}).items())
            for field, properties in (item for _, fields in sections for item in fields.items()):
                required = ("yes", "是")[at] if properties.get("required") else ""
                rows.append(("", code(field), required, said[name]["fields"][field]["description"]))
        return markdown((kind, *(("Field", "Required", "Description"), ("字段", "必填", "说明"))[at]), rows)

    return made


def action_error_table(language: str) -> str:
    rows = [(code(key), one["message"]) for key, one in translations(language)["exceptions"].items()]
    return markdown((("Error", "Message"), ("错误", "内容"))[INDEX[language]], rows)


def repair_table(language: str) -> str:
    issues = translations(language)["issues"].values()
    rows = [(one["title"], one.get("description") or dig(one, "fix_flow/step/confirm/description")) for one in issues]
    return markdown((("Repair issue", "Description"), ("修复提示", "内容"))[INDEX[language]], rows)


def dialog_error_table(language: str) -> str:
    said = translations(language)
    rows = [
        (words,)
        for dialog in ("config", "config_subentries/recipient", "options")
        for words in dig(said, dialog).get("error", {}).values()
    ]
    return markdown((("Message",), ("提示",))[INDEX[language]], list(dict.fromkeys(rows)))


TABLES: dict[str, Callable[[str], str]] = {
    "outcomes": outcome_table,
    "reasons": reason_table,
    "statuses": status_table,
    "carrier-codes": carrier_code_table,
    "balance": balance_table,
    "errors": error_table,
    "warnings": concern_table,
    "exits": exit_table,
    "limits": limit_table,
    "account-fields": field_table("config/step/http"),
    "cmpp-fields": field_table("config/step/cmpp"),
    "recipient-fields": dialog_table("config_subentries/recipient", "reconfigure"),
    "option-fields": dialog_table("options", "test"),
    "actions": call_table("services"),
    "triggers": call_table("triggers"),
    "action-errors": action_error_table,
    "repairs": repair_table,
    "dialog-errors": dialog_error_table,
}
PLACES = [
    pytest.param(page, language, name, id=f"{page}-{language}-{name}")
    for page in PAGES
    for language in LANGUAGES
    for name in tables(page, language)
    if name in TABLES
]


@pytest.mark.parametrize(("page", "language", "name"), PLACES)
def test_table_matches_the_code(page: str, language: str, name: str) -> None:
    made = TABLES[name](language)
    if WRITE:
        write_table(page, language, name, made)
    assert tables(page, language)[name] == made, (
        f"the table {name} of {page} differs from the code; update it: "
        "SMS1680_WRITE_TABLES=1 scripts/test core-newest tests/house/test_readme_tables.py"
    )


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_generated_table_is_on_a_page(language: str) -> None:
    assert {name for page in PAGES for name in tables(page, language)} >= TABLES.keys()


def test_pages_name_the_default_gateway() -> None:
    assert DEFAULT_GATEWAY in tables("docs/python", "en")["settings"]
