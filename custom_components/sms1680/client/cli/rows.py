"""The rows of `sms1680 template` and `sms1680 batch`: CSV or JSON lines become rows. Nothing is read or sent here.

A result file is JSON lines too. Each line has its `row` and an `outcome`; of several lines with one `row`, the last one
counts. So a file that a killed program left behind is read like a finished one.
"""

import csv
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..characters import decode
from ..errors import InvalidMessageError
from ..outcomes import Outcome
from ..plan import LETTERS, row_error

Fields = dict[str, Any]

NUMBER = ("number", "号码")
TEXT = ("text", "内容")
RUNNING = "running"
"""The outcome of a row whose request may have left. In a file that is read again, it is an unknown one."""
RESULTS = ("row", "outcome", "reason", "detail", "message_id", "parts", "repeatable", "repeated")
"""The fields that the program writes. All other fields are the user's own and stay as they are."""

_OUTCOMES = {**{outcome.value: outcome for outcome in Outcome}, RUNNING: Outcome.UNKNOWN}


@dataclass(slots=True)
class BulkRow:
    """One row. number: counted from 1. own: the user's fields. result: the fields of RESULTS, without `row`."""

    number: int
    own: Fields
    result: Fields = field(default_factory=dict)

    @property
    def outcome(self) -> Outcome | None:
        """The outcome so far, None for a row that no program has tried."""
        return _OUTCOMES.get(self.result.get("outcome", ""))

    def is_due(self, again: Sequence[str]) -> bool:
        """Return whether the row is to be sent. again: `refused` and `unknown`, if these are to be sent again too.

        A row that the platform accepted or holds is never sent again. A refused one is sent again if its reason has
        passed by itself.
        """
        outcome = self.outcome
        if outcome in (None, Outcome.NOT_SENT):
            return True
        if outcome is Outcome.REFUSED:
            return self.result.get("repeatable") is True or outcome.value in again
        return outcome is Outcome.UNKNOWN and outcome.value in again

    def line(self) -> str:
        """Return the row as a line of a result file."""
        return json.dumps({"row": self.number, **self.own, **self.result}, ensure_ascii=False) + "\n"

    def text_cells(self) -> tuple[Any, ...]:
        """Return the number and the text. Raise InvalidMessageError if a field is missing or of a wrong kind."""
        return self._number(), self._value(TEXT)

    def template_cells(self) -> tuple[Any, ...]:
        """Return the number and the values of the template, without the empty ones at the end."""
        values = [self._value((letter,), missing="") for letter in LETTERS]
        while values and not values[-1]:
            values.pop()
        return self._number(), *values

    def _number(self) -> str | int:
        value = self._field(NUMBER)
        # A spreadsheet that shows a number as 1.39E+10 has lost it.
        return value if isinstance(value, str | int) and not isinstance(value, bool) else ""

    def _value(self, names: Sequence[str], missing: str | None = None) -> str:
        value = self._field(names, missing)
        if isinstance(value, str | int | float) and not isinstance(value, bool):
            return str(value)
        raise row_error(self.number, f"has a {names[0]} that is not text", f"的 `{names[0]}` 不是文本")

    def _field(self, names: Sequence[str], missing: str | None = None) -> Any:  # noqa: ANN401 - JSON holds anything
        for name in names:
            if name in self.own:
                return self.own[name]
        if missing is None:
            raise row_error(self.number, f"has no column {names[0]}", f"缺少 `{names[0]}` 列")
        return missing


def read_rows(octets: bytes) -> list[BulkRow]:
    """Return the rows of a CSV file with a header, of JSON lines, or of a result file.

    The octets are UTF-8, with or without a byte order mark, or GB18030. Raises InvalidMessageError, which names the
    line and never shows its content.
    """
    text = decode(octets)
    rows = _of_json(text) if text.lstrip()[:1] == "{" else _of_csv(text)
    if not rows:
        raise InvalidMessageError("there is no row to send", "没有要发送的行")
    return rows


def _of_csv(text: str) -> list[BulkRow]:
    lines = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = [name.strip() for name in next(lines, [])]
        _check_names(header)
        rows: list[BulkRow] = []
        for cells in lines:
            if not any(cell.strip() for cell in cells):
                continue
            if len(cells) > len(header):
                raise _line_error(lines.line_num, "has more cells than the header", "的单元格比标题行多")
            rows.append(BulkRow(len(rows) + 1, dict(zip(header, cells, strict=False))))
    except csv.Error:
        raise _line_error(lines.line_num, "is not CSV", "不是有效的 CSV") from None
    return rows


def _of_json(text: str) -> list[BulkRow]:
    lines = list(_objects(text))
    if "row" in lines[0][1] and "outcome" in lines[0][1]:
        return _of_results(lines)
    rows: list[BulkRow] = []
    for line, found in lines:
        _check_names(found, line)
        rows.append(BulkRow(len(rows) + 1, found))
    return rows


def _objects(text: str) -> Iterator[tuple[int, Fields]]:
    """Yield each line of JSON with its number. The last line of a result file can be torn: it was never completed."""
    is_result = False
    lines = text.split("\n")
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            found = json.loads(line)
        except ValueError:
            if is_result and number == len(lines):
                return
            found = None
        if not isinstance(found, dict):
            raise _line_error(number, "is not a JSON object", "不是 `JSON` 对象")
        is_result = is_result or "outcome" in found
        yield number, found


def _of_results(lines: list[tuple[int, Fields]]) -> list[BulkRow]:
    rows: dict[int, BulkRow] = {}
    for line, found in lines:
        own = {name: value for name, value in found.items() if name not in RESULTS}
        result = {name: found[name] for name in RESULTS[1:] if name in found}
        number = found.get("row")
        if type(number) is not int or number < 1 or result.get("outcome") not in _OUTCOMES:
            raise _line_error(line, "is not a line of a result file", "不是结果文件的内容")
        if number in rows and rows[number].own != own:
            raise _line_error(
                line,
                "has the row of another line: read result files one by one",
                "与另一行的 `row` 相同：请逐个读取结果文件",
            )
        rows[number] = BulkRow(number, own, result)
    return [rows[number] for number in sorted(rows)]


def _check_names(names: Sequence[str] | Fields, line: int = 1) -> None:
    reserved = [name for name in names if name in RESULTS]
    if reserved:
        raise _line_error(
            line, f"has a column {reserved[0]}, which result files use", f"含有 `{reserved[0]}` 列，该名称用于结果文件"
        )
    if not isinstance(names, dict) and len(set(names)) < len(names):
        raise _line_error(line, "has two columns with one name", "有两列同名")


def _line_error(line: int, en: str, zh: str) -> InvalidMessageError:
    return InvalidMessageError(f"line {line} {en}", f"输入的第 {line} 行{zh}")
