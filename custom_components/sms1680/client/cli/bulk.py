"""The commands `sms1680 template` and `sms1680 batch`: a result for each row, in a file that can be read in again.

All rows are checked before the first request. The result file marks a row as `running` before its request can leave. If
the program is killed, such a row counts as `unknown`.
"""

import argparse
import json
import signal
import sys
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from ..characters import repair
from ..errors import InvalidMessageError, SendError, error_of
from ..http.client import PACKET_SIZE
from ..language import environment_language, say
from ..numbers import normalise_number
from ..outcomes import Outcome
from ..plan import SendPlan, check_extension, check_time, fill, plan_batch, plan_template
from ..receipts import Receipt
from ..text import MAX_LENGTH, REPEAT_MARK, Signature, mark_repeat
from .arguments import add_account, add_sending, make_client, sending_options, sending_settings
from .output import exit_code_of, show
from .progress import progress_bar
from .results import ResultFile, is_same_file
from .rows import RUNNING, BulkRow, read_rows


def add(commands: Any) -> None:  # noqa: ANN401 - argparse names no public type
    """Add both commands to the subparsers of the program."""
    template = commands.add_parser(
        "template",
        help=say("send a template, filled in for each row of a file", "按文件的每一行填充模板并发送"),
        description=say(
            "Columns of a row: number, and A to E for {A} to {E} of the template. {PHONE} is the number.",
            "各列：`number` 为号码，`A` 至 `E` 为模板中 {A} 至 {E} 的值；{PHONE} 为号码本身。",
        ),
    )
    _add_arguments(template)
    template.add_argument("template", help=say("the text with placeholders", "含占位符的内容"))
    _add_file(template)
    batch = commands.add_parser(
        "batch",
        help=say("send each row of a file its own text", "按文件的每一行发送各自的内容"),
        description=say("Columns of a row: number and text.", "各列：`number` 为号码，`text` 为内容。"),
    )
    _add_arguments(batch)
    _add_file(batch)
    batch.set_defaults(template=None)


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    add_account(parser)
    add_sending(parser)
    parser.add_argument(
        "--results",
        type=Path,
        required=True,
        metavar="FILE",
        help=say(
            "the file for the results, JSON lines; read in again, it sends only what is safe to repeat",
            "结果文件（`JSON` 行）；作为输入时，只重发可以安全重发的行",
        ),
    )
    parser.add_argument(
        "--packet-size",
        type=int,
        default=PACKET_SIZE,
        help=say(
            "items per request, 1 to 1000 (default: %(default)s)", "每个请求的条数，1 至 1000（默认：%(default)s）"
        ),
    )
    parser.add_argument(
        "--repeat",
        action="append",
        choices=("refused", "unknown"),
        default=[],
        help=say(
            "also send rows again that were refused, or that may have been sent; the latter are marked",
            f"同时重发被拒绝的行，或可能已发出的行（加上 {REPEAT_MARK} 标记）",
        ),
    )
    parser.set_defaults(run=_bulk)


def _add_file(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "file",
        nargs="?",
        default="-",
        help=say(
            "CSV with a header, JSON lines, or a result file; - or nothing for standard input",
            "带标题行的 CSV、`JSON` 行或结果文件；`-` 或省略表示标准输入",
        ),
    )


class BulkRun:
    """The rows of one run, their result file, and the hooks that the client calls.

    again: the numbers of the rows that may have been sent before. Whatever fails now, that stays true of them.
    """

    def __init__(self, rows: Sequence[BulkRow], due: Sequence[BulkRow]) -> None:
        self.rows = rows
        self.receipts: list[Receipt] = []
        self.results: ResultFile | None = None
        self._again = {row.number for row in due if row.outcome is Outcome.UNKNOWN}
        self._earlier = {row.number: row.result for row in due}
        self._draw = progress_bar(len(due))
        self._done = 0
        self._items: list[list[BulkRow]] = []

    def expect(self, rows: Sequence[BulkRow], places: Sequence[int]) -> None:
        """Note the rows of the next call. places: the index of the item of each row."""
        self._items = [[] for _ in range(max(places) + 1)]
        for row, place in zip(rows, places, strict=True):
            self._items[place].append(row)

    def before(self, indexes: Sequence[int]) -> None:
        """Write down that a request with these items may leave. Raises OSError, and it does not leave."""
        rows = self._rows(indexes)
        self._write([replace(row, result={**row.result, "outcome": RUNNING, "repeatable": False}) for row in rows])
        for row in rows:
            row.result = {**row.result, "outcome": RUNNING, "repeatable": False}

    def undo(self, indexes: Sequence[int]) -> None:
        """Write down that the request submitted nothing."""
        rows = self._rows(indexes)
        for row in rows:
            row.result = self._earlier[row.number]
        self._write(rows)

    def on_receipt(self, receipt: Receipt) -> None:
        """Write down the outcome of one item."""
        self.receipts.append(receipt)
        rows = self._items[receipt.index]
        for row in rows:
            if row.number in self._again and receipt.outcome.is_failure:
                row.result = self._earlier[row.number]
            else:
                row.result = _result(receipt) | ({"repeated": True} if row.number in self._again else {})
        self._done += len(rows)
        self._draw(self._done)
        self._write(rows)

    def _rows(self, indexes: Sequence[int]) -> list[BulkRow]:
        return [row for index in indexes for row in self._items[index]]

    def _write(self, rows: Sequence[BulkRow]) -> None:
        assert self.results is not None  # noqa: S101 - nothing is sent before it is there
        self.results.append(rows, to_disk=any(row.result["outcome"] == RUNNING for row in rows))


def _result(receipt: Receipt) -> dict[str, Any]:
    return {
        "outcome": receipt.outcome.value,
        "reason": receipt.reason.value if receipt.reason else None,
        "detail": receipt.detail,
        "message_id": receipt.message_id,
        "parts": receipt.parts,
        "repeatable": receipt.is_repeatable,
    }


def _bulk(options: argparse.Namespace) -> int:
    template = None if options.template is None else repair(options.template)
    results, octets = None, b""
    if options.file != "-" and is_same_file(Path(options.file), options.results):
        results, octets = ResultFile.resume(options.results)
    else:
        octets = _read_input(options.file)
    try:
        rows = read_rows(octets)
        if results is not None:
            _continue(results, octets, rows)
    except BaseException:
        if results is not None:
            results.close()
        raise
    run = _run(options, rows, template, results)
    try:
        run.results.finish(rows) if run.results else None
    except OSError as error:
        problem = type(error).__name__
        sentence = say(
            f"the result file could not be completed ({problem}); it can be read in again as it is",
            "无法完成结果文件，但可以直接将其作为输入",
        )
        show(partial(print, f"sms1680: {sentence}", file=sys.stderr))
    return _report(options, run)


def _run(
    options: argparse.Namespace, rows: Sequence[BulkRow], template: str | None, results: ResultFile | None
) -> BulkRun:
    """Check everything, then send the rows that are due. Ctrl-C and SIGTERM end the sending."""
    signature = Signature.read(options.signature, options.signature_place)
    sending = sending_options(options)
    check_time(sending["at"], datetime.now(UTC))
    check_extension(sending["extension"])
    _plan(rows, template, signature)
    due = [row for row in rows if row.is_due(options.repeat)]
    fresh = [row for row in due if row.outcome is not Outcome.UNKNOWN]
    repeated = [row for row in due if row.outcome is Outcome.UNKNOWN]
    for row in fresh:
        row.result = row.result or {"outcome": Outcome.NOT_SENT.value, "repeatable": True}
    run = BulkRun(rows, due)
    sending["request_hook"] = run
    settings = sending_settings(options)
    settings["packet_size"] = options.packet_size
    settings["on_receipt"] = run.on_receipt
    previous = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with make_client(options, **settings) as sms:
            run.results = results or ResultFile.create(options.results, rows)
            if fresh:
                cells, plan = _plan(fresh, template, signature)
                run.expect(fresh, plan.places)
                with suppress(SendError):  # the receipts say it
                    if template is None:
                        sms.send_batch(cells, **sending)
                    else:
                        sms.send_template(template, cells, **sending)
            if repeated:
                pairs = [_marked(row, template, signature) for row in repeated]
                run.expect(repeated, plan_batch(pairs, signature=signature).places)
                with suppress(SendError):
                    sms.send_batch(pairs, **sending)
    except KeyboardInterrupt:
        show(partial(print, say("sms1680: interrupted", "sms1680：已中断"), file=sys.stderr))
    finally:
        signal.signal(signal.SIGTERM, previous)
    return run


def _continue(results: ResultFile, octets: bytes, rows: Sequence[BulkRow]) -> None:
    """Prepare a result file that is the input. Raise InvalidMessageError if it is none."""
    if not all(row.result for row in rows):
        raise InvalidMessageError(
            "the result file must not be the input; only an earlier result file can be both",
            "结果文件不能与输入相同；只有以前的结果文件可以",
        )
    results.trim(octets)


def _read_input(file: str) -> bytes:
    if file == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise InvalidMessageError(
            f"the input cannot be read ({type(error).__name__})", "无法读取输入文件，请检查路径和权限"
        ) from None


def _plan(
    rows: Sequence[BulkRow], template: str | None, signature: Signature | None
) -> tuple[list[tuple[Any, ...]], SendPlan]:
    """Check the rows. Return their cells and the plan of a call with them. Raise InvalidMessageError."""
    if template is None:
        cells = [row.text_cells() for row in rows]
        return cells, plan_batch([(number, text) for number, text in cells], signature=signature)
    cells = [row.template_cells() for row in rows]
    return cells, plan_template(template, cells, signature=signature)


def _marked(row: BulkRow, template: str | None, signature: Signature | None) -> tuple[str, str]:
    """Return the number and the text of a row that may have been sent before."""
    number, *values = row.text_cells() if template is None else row.template_cells()
    number = normalise_number(number)
    text = values[0] if template is None else fill(template, number, values)
    room = MAX_LENGTH - (signature.length if signature else 0)
    return number, mark_repeat(text, room, signature)


def _report(options: argparse.Namespace, run: BulkRun) -> int:
    """Print the counts of all rows, and the most serious problem of this run. Return the exit code of all rows."""
    outcomes = [row.outcome or Outcome.NOT_SENT for row in run.rows]
    counts = Counter(outcomes)
    language = environment_language()
    error = error_of(run.receipts)
    if options.json:
        told: dict[str, object] = {
            "rows": len(run.rows),
            "sent": len(run.receipts),
            "outcomes": {outcome.value: counts[outcome] for outcome in Outcome if counts[outcome]},
            "results": str(options.results),
        }
        if error is not None and error.reason is not None:
            told |= {"error": error.sentence(language), "reason": error.reason.value}
        show(partial(print, json.dumps(told, ensure_ascii=False)))
    else:
        found = [outcome for outcome in Outcome if counts[outcome]]
        en = ", ".join(f"{outcome.value} {counts[outcome]}" for outcome in found)
        zh = "，".join(f"{outcome.zh} {counts[outcome]} 行" for outcome in found)
        show(partial(print, say(f"{len(run.rows)} rows: {en}", f"共 {len(run.rows)} 行：{zh}")))
    if error is not None:
        show(partial(print, f"sms1680: {error.sentence(language)}", file=sys.stderr))
    return exit_code_of(outcomes)
