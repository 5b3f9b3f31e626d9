"""The matrix of the page docs/outcomes-matrix: each way in which a message ends, at each door, as the tests observe it.

The tests of the doors run each cell and compare the table with the page; SMS1680_WRITE_TABLES=1 writes the table.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from support.pages import LANGUAGES, tables, write_table

PAGE = "docs/outcomes-matrix"
WRITE = bool(os.environ.get("SMS1680_WRITE_TABLES"))

# The rows of both tables, in order.
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
    "limit": ("beyond the own spending limit", "超过自己的发送上限"),
    "quiet": ("in quiet hours", "免打扰时段"),
    "invalid": ("the text is too long", "内容过长"),
    "not_loaded": ("the account is not loaded", "账户未加载"),
    "disabled": ("the account is disabled", "账户已禁用"),
    "reload": ("the account reloads in the middle", "发送途中账户重新加载"),
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
    def is_nothing(self) -> bool:
        """Whether no message reached the phone, and nobody is told."""
        return not self.phone and not self.told and not self.seen

    def render(self, language: str) -> str:
        """Return the text of the cell."""
        place = list(LANGUAGES).index(language)
        phone = "≥ 1" if self.at_least and self.phone else str(self.phone)
        if self.held:
            phone = f"{phone} ({_WORDS['held'][place]})"
        told = [_WORDS["waiting"][place] if one == "waiting" else f"`{one}`" for one in self.told]
        seen = [_WORDS[one][place] if one in _WORDS else f"`{one}`" for one in self.seen]
        nothing = _WORDS["nothing"][place]
        return " · ".join((phone, ", ".join(told) or nothing, ", ".join(seen) or nothing))


def check_table(name: str, doors: Sequence[tuple[str, str]], cells: Mapping[tuple[str, int], Cell]) -> None:
    """Compare the table of these doors with the page, or write it. cells: by row and column."""
    silent = sorted(key for key, cell in cells.items() if cell.is_nothing)
    assert not silent, f"nobody is told: {silent}"
    for place, language in enumerate(LANGUAGES):
        rows = [[_HEAD[place], *(door[place] for door in doors)], ["---"] * (len(doors) + 1)]
        for row, label in ROWS.items():
            if (row, 0) in cells or any((row, column) in cells for column in range(len(doors))):
                own = [
                    cells[row, column].render(language) if (row, column) in cells else ""
                    for column in range(len(doors))
                ]
                rows.append([label[place], *own])
        made = "".join(f"| {' | '.join(row)} |\n" if row[0] != "---" else "|---" * len(row) + "|\n" for row in rows)
        if WRITE:
            write_table(PAGE, language, name, made)
        assert tables(PAGE, language)[name] == made, (
            f"the table {name} of {PAGE} differs from what happens; update it with SMS1680_WRITE_TABLES=1"
        )
