"""The matrix of the page docs/outcomes-matrix: each way in which a message ends, at each door, as the tests observe it.

The tests of the doors run each cell and compare the table with the page; SMS1680_WRITE_TABLES=1 writes the table. Each
reason of the core has a row in one of the tables: a new reason without one fails a test.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from support.pages import LANGUAGES, tables, write_table

PAGE = "docs/outcomes-matrix"
WRITE = bool(os.environ.get("SMS1680_WRITE_TABLES"))

# The rows of the first and of the last table, in order.
ROWS: dict[str, tuple[str, str]] = {
    "accepted": ("accepted, and reported as delivered", "已接收，状态报告为已送达"),
    "no_report": ("accepted, and no delivery report comes", "已接收，没有状态报告"),
    "report_failed": ("accepted, and reported as undelivered", "已接收，状态报告为未送达"),
    "refused": ("refused: the balance is used up", "被拒绝：剩余条数不足"),
    "failed": ("refused: the platform failed", "被拒绝：平台处理失败"),
    "too_fast": ("refused: too fast, without end", "被拒绝：一直提示过快"),
    "held": ("held for the platform's staff", "待人工审核"),
    "off": ("the connection is refused", "连接被拒绝"),
    "drop_before": ("the connection breaks before acceptance", "接收之前连接中断"),
    "drop_after": ("the connection breaks after acceptance", "接收之后连接中断"),
    "timeout": ("accepted, and the answer takes too long", "已接收，但应答超时"),
    "half": ("accepted, and half of the answer arrives", "已接收，但应答只到一半"),
    "html": ("not accepted, and the answer is an error page", "未接收，应答是错误页面"),
    "garbage": ("accepted, and the answer is an error page", "已接收，应答是错误页面"),
    "error": ("HTTP status 502", "HTTP 状态 502"),
    "empty": ("accepted, and the answer is empty", "已接收，应答为空"),
    "apprise_timeout": ("accepted, and Apprise's own time limit ends first", "已接收，但 Apprise 自己的时间限制先到"),
    "deadline": ("the account's rate leaves no time", "受账户流量限制，时间内没有轮到"),
    "wrong_address": ("HTTP status 404", "HTTP 状态 404"),
    "limit": ("beyond the own hourly limit", "超过自己的每小时上限"),
    "daily_limit": ("beyond the own daily limit", "超过自己的每天上限"),
    "number_limit": ("beyond the own limit for one number", "超过自己的单一号码上限"),
    "automatic_limit": ("beyond the own limit for automatic messages", "超过自己的自动短信上限"),
    "quiet": ("in quiet hours", "免打扰时段"),
    "invalid": ("the text is too long", "内容过长"),
    "not_loaded": ("the account is not loaded", "账户未加载"),
    "disabled": ("the account is disabled", "账户已禁用"),
    "reload": ("the account reloads in the middle", "发送途中账户重新加载"),
    "cancelled": ("the call is cancelled before its turn", "轮到之前调用被取消"),
    "killed": ("the program is killed in the middle (SIGKILL)", "发送途中程序被强制结束（SIGKILL）"),
    "restart": ("the program restarts in the middle", "发送途中程序重新启动"),
    "disk": ("the disk is full", "磁盘已满"),
    "clock_forward": ("the clock jumps a day forward in the middle", "发送途中时钟前跳一天"),
    "clock_back": ("the clock jumps a day back in the middle", "发送途中时钟后跳一天"),
}
_WORDS = {
    "held": ("held", "待审"),
    "error": ("error", "报错"),
    "notification": ("notification", "通知"),
    "log": ("log", "日志"),
    "waiting": ("waiting", "等待中"),
    "exit": ("exit code", "退出码"),
    "nothing": ("–", "–"),
}
_HEAD = ("Way", "情形")
# The reasons that each table shows, and those that no message ends with.
REASONS: dict[str, frozenset[str]] = {
    "outcomes-home-assistant": frozenset(
        {
            *("balance", "failed", "too_fast", "review", "no_connection", "lost", "not_understood", "cancelled"),
            *("hourly_limit", "daily_limit", "number_limit", "automatic_limit", "wrong_address"),
        }
    ),
    "outcomes-http": frozenset(
        {
            *("failed", "authentication", "balance", "review", "manual", "too_fast", "number", "empty", "variable"),
            *("forbidden_words", "permission", "too_many", "product", "user", "parameter", "ip", "signature"),
        }
    ),
    "outcomes-cmpp": frozenset(
        {
            *("malformed", "suspended", "tariff", "too_long", "service_code", "too_fast", "user", "product", "number"),
            *("forbidden_words", "balance", "long_number", "ip", "authentication", "version", "login", "partly"),
            *("lost", "no_connection", "not_understood"),
        }
    ),
    "outcomes-cmpp-python": frozenset(
        {
            *("malformed", "suspended", "tariff", "too_long", "service_code", "too_fast", "user", "product", "number"),
            *("forbidden_words", "balance", "long_number", "parameter", "not_understood"),
        }
    ),
    "outcomes-apprise": frozenset({"deadline"}),
}
UNKNOWN_RESULT = 99  # of a SUBMIT: in no table
NOT_OF_A_MESSAGE = frozenset({"corrupt"})  # only of the connection: a message can be sent again


def result_labels(codes: Iterable[int]) -> dict[str, tuple[str, str]]:
    """Return the labels of the rows for each Result of a SUBMIT."""
    labels = {f"submit {code}": (f"Result `{code}` of a SUBMIT", f"SUBMIT 的 Result `{code}`") for code in codes}
    unknown = f"submit {UNKNOWN_RESULT}"
    return labels | {
        unknown: (f"a Result in no table (`{UNKNOWN_RESULT}`)", f"表中没有的 Result（`{UNKNOWN_RESULT}`）")
    }


@dataclass(frozen=True)
class Cell:
    """What was observed.

    phone: messages that reached the phone. held: one is held. at_least: the number can be higher. told: what was
    fired, or returned by a program. seen: what a person sees, words of this module or translation keys of repairs.
    """

    phone: int
    told: tuple[str, ...] = ()
    seen: tuple[str, ...] = ()
    held: bool = False
    at_least: bool = False

    @property
    def reasons(self) -> set[str]:
        """The reasons in the second part."""
        return {one.rpartition(": ")[2] for one in self.told}

    @property
    def is_nothing(self) -> bool:
        """Whether no message reached the phone, and nobody is told."""
        return not self.phone and not self.told and not self.seen

    def render(self, language: str) -> str:
        """Return the text of the cell."""
        place = list(LANGUAGES).index(language)
        phone = "≥ 1" if self.at_least and self.phone else str(self.phone)
        if self.held:
            phone = f"{phone} ({_WORDS['held'][place]})"
        told = [_waiting(one, place) if one.startswith("waiting") else f"`{one}`" for one in self.told]
        seen = [_WORDS[one][place] if one in _WORDS else f"`{one}`" for one in self.seen]
        nothing = _WORDS["nothing"][place]
        return " · ".join((phone, ", ".join(told) or nothing, ", ".join(seen) or nothing))


@dataclass(frozen=True)
class NotApplicable:
    """Why a door has no such end, in both languages."""

    why: tuple[str, str]
    reasons: frozenset[str] = frozenset()
    is_nothing: bool = False

    def render(self, language: str) -> str:
        """Return the text of the cell."""
        place = list(LANGUAGES).index(language)
        return (f"not applicable: {self.why[0]}", f"不适用：{self.why[1]}")[place]


def _waiting(told: str, place: int) -> str:
    word, _, reason = told.partition(": ")
    return f"{_WORDS[word][place]}: `{reason}`" if reason else _WORDS[word][place]


def check_table(
    name: str,
    doors: Sequence[tuple[str, str]],
    cells: Mapping[tuple[str, int], Cell | NotApplicable],
    labels: Mapping[str, tuple[str, str]] = ROWS,
    absent: Collection[str] = (),
) -> None:
    """Compare the table of these doors with the page, or write it.

    cells: by row and column. labels: of the rows. absent: rows that cannot be run here, and are not compared.
    """
    silent = sorted(key for key, cell in cells.items() if cell.is_nothing)
    assert not silent, f"nobody is told: {silent}"
    shown = set[str]().union(*(cell.reasons for cell in cells.values()))
    missing = REASONS.get(name, frozenset()) - shown
    assert not missing, f"a reason without a row: {sorted(missing)}"
    assert {row for row, _ in cells} <= set(labels)
    for place, language in enumerate(LANGUAGES):
        rows = [[_HEAD[place], *(door[place] for door in doors)], ["---"] * (len(doors) + 1)]
        for row, label in labels.items():
            if any((row, column) in cells for column in range(len(doors))):
                own = [cells[row, column].render(language) for column in range(len(doors))]
                rows.append([label[place], *own])
        made = "".join(f"| {' | '.join(row)} |\n" if row[0] != "---" else "|---" * len(row) + "|\n" for row in rows)
        if WRITE:
            write_table(PAGE, language, name, made)
        on_page = tables(PAGE, language)[name]
        for row in absent:
            on_page = "".join(
                line for line in on_page.splitlines(keepends=True) if not line.startswith(f"| {labels[row][place]} |")
            )
        assert on_page == made, (
            f"the table {name} of {PAGE} differs from what happens; update it with SMS1680_WRITE_TABLES=1"
        )
