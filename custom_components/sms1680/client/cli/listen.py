"""The command `sms1680 listen`: prints each reply and delivery report as a line of JSON, from pushes or over CMPP.

An item is acknowledged once its line has been written, and not before: if the program that reads the lines is gone, the
platform sends the item again. A repeated item is acknowledged and not printed.
"""

import argparse
import asyncio
import contextlib
import json
import os
import re
import secrets
import signal
import sys
import time
from datetime import UTC, datetime
from ipaddress import ip_network
from typing import TYPE_CHECKING, Any

from ..dedupe import Deduplicator, SeenItem
from ..errors import InvalidMessageError, InvalidSettingError, NoAnswerError
from ..language import environment_language, say
from ..masking import MASK
from ..numbers import normalise_number
from ..push import DeliveryReport, Reply
from ..report_words import ReportState
from .arguments import add_json, read_password_file
from .output import EXIT_ACCEPTED, EXIT_ERROR
from .push_server import PushServer

if TYPE_CHECKING:
    from ..cmpp import CMPPClient
    from ..cmpp.status import Status

_PORT = 1681
_REPEAT_WINDOW = 5.0  # seconds, as in Home Assistant
_SECRET = re.compile(r"[A-Za-z0-9_-]{1,128}")
_WARNINGS = {
    "forbidden": (
        "rejected a connection from a network that --network does not allow",
        "拒绝了来自 `--network` 不允许的网络的连接",
    ),
    "malformed": (
        "rejected a push that is neither a reply nor a delivery report",
        "拒绝了既不是上行也不是状态报告的推送",
    ),
}


def add(commands: Any) -> None:  # noqa: ANN401 - argparse names no public type
    """Add the command to the subparsers of the program."""
    parser = commands.add_parser(
        "listen",
        help=say("print replies and delivery reports as JSON lines", "以 `JSON` 行输出上行和状态报告"),
        description=say(
            "Receive the platform's pushes at http://HOST:PORT/SECRET, or replies and reports over CMPP, and print "
            "each as a line of JSON. Ctrl-C or SIGTERM ends it.",
            "在 `http://HOST:PORT/SECRET` 接收平台的推送，或通过 CMPP 接收上行和状态报告，每项输出一行 `JSON`。"
            "按 `Ctrl-C` 或发送 `SIGTERM` 结束。",
        ),
    )
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help=say("address to listen on (default: %(default)s)", "监听的地址（默认：`%(default)s`）"),
    )
    parser.add_argument(
        "--port",
        type=int,
        default=_PORT,
        help=say("port, 0 for a free one (default: %(default)s)", "端口，0 为任一空闲端口（默认：`%(default)s`）"),
    )
    parser.add_argument(
        "--secret",
        default=os.environ.get("SMS1680_LISTEN_SECRET") or None,
        help=say(
            "the secret part of the address, better in SMS1680_LISTEN_SECRET; a random one by default",
            "地址中的密钥，最好用 `SMS1680_LISTEN_SECRET` 给出；默认随机生成",
        ),
    )
    parser.add_argument(
        "--network",
        action="append",
        default=[],
        metavar="NETWORK",
        help=say(
            "accept pushes from this network only, such as 203.0.113.0/24; can be repeated",
            "只接受来自该网络的推送，例如 `203.0.113.0/24`；可多次使用",
        ),
    )
    cmpp = parser.add_argument_group("CMPP")
    cmpp.add_argument(
        "--cmpp",
        metavar="HOST:PORT",
        help=say("connect to this address instead of listening", "不监听，而是连接该地址"),
    )
    cmpp.add_argument("--sp-id", default=os.environ.get("SMS1680_SP_ID"), help="SMS1680_SP_ID")
    cmpp.add_argument("--source-number", default=os.environ.get("SMS1680_SOURCE_NUMBER"), help="SMS1680_SOURCE_NUMBER")
    cmpp.add_argument(
        "--password-file",
        metavar="FILE",
        help=say(
            "a file with the password in its first line; otherwise SMS1680_CMPP_PASSWORD",
            "首行为密码的文件；否则用 `SMS1680_CMPP_PASSWORD`",
        ),
    )
    add_json(parser)
    parser.set_defaults(run=_listen)


class Printer:
    """Prints each item once. stop: set when the program has to end; failed: the output cannot be written."""

    def __init__(self, via: str) -> None:
        self.stop = asyncio.Event()
        self.failed = False
        self._via = via
        self._deduplicator = Deduplicator(time.monotonic, key=secrets.token_bytes(32))
        self._warned: set[object] = set()

    def receive(self, item: Reply | DeliveryReport) -> SeenItem:
        """Print an item unless it is a repeat. Raises OSError if it cannot be printed; it counts as new then."""
        try:
            number = normalise_number(item.number)
        except InvalidMessageError:
            number = item.number
        seen, repeated = self._deduplicator.note(item, number, _REPEAT_WINDOW, lambda: secrets.token_hex(8))
        if not repeated:
            try:
                self._print(_reply(item, seen) if isinstance(item, Reply) else _report(item), number)
            except OSError:
                self._deduplicator.forget(seen)
                self.failed = True
                self.stop.set()
                raise
        return seen

    def on_acknowledged(self, seen: object) -> None:
        """Note that the sender has no reason to repeat an item."""
        if isinstance(seen, SeenItem):
            seen.acknowledged = True

    def warn(self, kind: str) -> None:
        """Print a warning of each kind once."""
        self.say_once(kind, say(*_WARNINGS[kind]))

    def say_once(self, key: object, sentence: str) -> None:
        """Print a sentence to standard error, unless it was printed for this key."""
        if key not in self._warned:
            self._warned.add(key)
            with contextlib.suppress(OSError):
                print(f"sms1680 listen: {sentence}", file=sys.stderr, flush=True)

    def on_status(self, status: "Status") -> None:
        """Print why a CMPP connection was lost, once for each reason."""
        if not status.connected and (status.reason, status.detail, status.proxy) != (None, None, None):
            self.say_once((status.reason, status.code), status.sentence(environment_language()))

    def _print(self, fields: dict[str, object], number: str) -> None:
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        line = json.dumps({**fields, "number": number, "received_at": now, "via": self._via}, ensure_ascii=False)
        print(line, flush=True)


def _reply(reply: Reply, seen: SeenItem) -> dict[str, object]:
    return {
        "type": "message_received",
        "id": reply.message_id or seen.id,
        "content": reply.content,
        "extension": reply.extension,
        "incomplete": reply.incomplete,
    }


def _report(report: DeliveryReport) -> dict[str, object]:
    is_delivered = report.state is ReportState.DELIVERED
    return {
        "type": "delivery_report",
        "message_id": report.message_id,
        "status": report.status,
        "state": report.state.value,
        "settled": report.state is not ReportState.PENDING,
        "reason": None if is_delivered else report.sentence(environment_language()),
    }


def _listen(options: argparse.Namespace) -> int:
    for network in options.network:
        try:
            ip_network(network, strict=False)
        except ValueError:
            raise InvalidSettingError(
                "--network must be a network such as 203.0.113.0/24", "`--network` 须为 `203.0.113.0/24` 这样的网络"
            ) from None
    if not 0 <= options.port <= 65535:
        raise InvalidSettingError("a port is between 0 and 65535", "端口须在 0 到 65535 之间")
    if options.secret is not None and not _SECRET.fullmatch(options.secret):
        raise InvalidSettingError(
            "the secret must have 1 to 128 letters, digits, - or _", "密钥须为 1 至 128 个字母、数字、`-` 或 `_`"
        )
    with contextlib.suppress(KeyboardInterrupt):
        return asyncio.run(_over_cmpp(options) if options.cmpp else _over_http(options))
    return EXIT_ACCEPTED


async def _over_http(options: argparse.Namespace) -> int:
    printer = Printer("listener")
    _stop_on_signals(printer.stop)
    secret = options.secret or secrets.token_urlsafe(24)
    server = PushServer(
        secret,
        printer.receive,
        on_acknowledged=printer.on_acknowledged,
        warn=printer.warn,
        networks=options.network,
    )
    try:
        port = await server.open(options.host, options.port)
    except OSError as error:
        raise InvalidSettingError(
            f"the port cannot be opened ({type(error).__name__})", "无法打开端口，请检查地址以及端口是否已被占用"
        ) from None
    host = f"[{options.host}]" if ":" in options.host else options.host
    # A secret that the user has given does not belong into a journal.
    _show_ready(printer, options, f"http://{host}:{port}/{MASK if options.secret else secret}")
    await printer.stop.wait()
    await server.close()
    return _end(printer)


async def _over_cmpp(options: argparse.Namespace) -> int:
    from ..cmpp import CMPPClient  # noqa: PLC0415 - large, and urgent messages of other commands must not wait for it

    host, _, port = options.cmpp.rpartition(":")
    if not host or not port.isascii() or not port.isdecimal() or int(port) > 65535:
        raise InvalidSettingError("--cmpp must be HOST:PORT", "`--cmpp` 的格式须为 `HOST:PORT`")
    password = read_password_file(options.password_file) or os.environ.get("SMS1680_CMPP_PASSWORD", "")
    printer = Printer("cmpp")
    _stop_on_signals(printer.stop)

    def client() -> "CMPPClient":
        return CMPPClient(
            host.strip("[]"),
            int(port),
            sp_id=options.sp_id or "",
            secret=password,
            source_number=options.source_number or "",
            on_incoming=printer.receive,
            on_status=printer.on_status,
        )

    try:
        await client().try_login()  # a refused login ends the program; a lost network does not
    except NoAnswerError as error:
        printer.say_once(error.reason, error.sentence(environment_language()))
    async with client():
        _show_ready(printer, options, options.cmpp)
        await printer.stop.wait()
    return _end(printer)


def _show_ready(printer: Printer, options: argparse.Namespace, address: str) -> None:
    if options.json:
        print(json.dumps({"type": "listening", "address": address}), flush=True)
    else:
        printer.say_once("ready", say(f"listening at {address}", f"正在监听 `{address}`"))


def _end(printer: Printer) -> int:
    if not printer.failed:
        return EXIT_ACCEPTED
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python writes the rest when it ends
    printer.say_once("output", say("the output cannot be written; nothing was lost", "无法写入输出；没有丢失任何内容"))
    return EXIT_ERROR


def _stop_on_signals(stop: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError):  # Windows: Ctrl-C interrupts the loop
            loop.add_signal_handler(number, stop.set)
