"""The command line `sms1680`: send, balance, estimate. Entry points add more commands (sandbox, apprise).

Secrets come from the environment or a file, because every user of a machine can read its command lines. The exit code
is the outcome: 0 accepted, 3 held, 4 refused, 5 not sent, 6 unknown; 2 means that nothing was attempted.
"""

import argparse
import io
import json
import os
import sys
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

from .account import DEFAULT_GATEWAY, Account, PasswordForm
from .characters import decode, repair
from .errors import InvalidMessageError, RefusedError, SendError, SMS1680Error, error_of
from .http.client import Client
from .language import environment_language, say
from .limits.base_client import PATIENCE
from .long_text import fit_text, is_long
from .masking import mask_number
from .numbers import split_numbers
from .outcomes import Language, Outcome, Reason
from .parser import Parser
from .receipts import Receipt, combine
from .text import Signature, estimate

COMMANDS = "sms1680.commands"

EXIT_ACCEPTED = 0
EXIT_ERROR = 1
EXIT_INVALID = 2
# The most serious outcome decides the exit code of a call.
_EXITS = {Outcome.UNKNOWN: 6, Outcome.REFUSED: 4, Outcome.NOT_SENT: 5, Outcome.HELD: 3, Outcome.ACCEPTED: 0}
_WRONG_NUMBERS = (
    "a number is not a mainland mobile number (11 digits, 13… to 19…) and got no message",
    "有号码不是中国大陆手机号码（11 位，13…至 19…），没有向其发送",
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return the exit code, also if its output cannot be written."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    given = sys.argv[1:] if arguments is None else list(arguments)
    parser = _parser(given)
    options, unknown = parser.parse_known_args(given)
    if unknown and not options.is_missing:
        parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    language = environment_language()
    try:
        code: int = options.run(options)
    except SMS1680Error as error:
        _show(partial(_print, options, error.receipts, language, error))
        _show(partial(print, f"sms1680: {error.sentence(language)}", file=sys.stderr))
        if isinstance(error, InvalidMessageError):
            return EXIT_INVALID
        return _exit_code(error.receipts) if error.receipts else EXIT_ERROR
    return code


def _show(write: Callable[[], None]) -> None:
    """Write output. A full disk behind it must not hide the outcome of a send, which is the exit code."""
    try:
        write()
        sys.stdout.flush()
    except OSError:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115 - until the process ends


def _parser(given: Sequence[str]) -> argparse.ArgumentParser:
    parser = Parser(
        prog="sms1680",
        description=say("SMS through the platform 1680.", "通过 1680 平台收发短信。"),
        epilog=say(
            "Exit codes: 0 accepted, 3 held, 4 refused, 5 not sent, 6 unknown; 2 nothing attempted, 1 other error.",
            "退出码：0 已接收，3 待人工审核，4 被拒绝，5 未发出，6 结果不明；2 没有尝试，1 其他错误。",
        ),
    )
    parser.set_defaults(is_missing=False)
    commands = parser.add_subparsers(title=say("commands", "命令"), required=True)
    for add in (_add_send, _add_balance, _add_estimate):
        add(commands)
    if given[:1] and given[0] in commands.choices:
        return parser  # the other commands are large, and an urgent message must not wait for them
    for entry in sorted(metadata.entry_points(group=COMMANDS), key=lambda entry: entry.name):
        _add_other(commands, entry)
    return parser


def _add_other(commands: Any, entry: metadata.EntryPoint) -> None:  # noqa: ANN401
    try:
        add = entry.load()
    except ImportError as error:
        needed = f"pip install {error.name}"
        missing = say(f"needs {error.name}: {needed}", f"需要 `{error.name}`：`{needed}`")
        parser = commands.add_parser(entry.name, help=missing, add_help=False)
        parser.set_defaults(
            run=lambda _: parser.exit(EXIT_INVALID, f"sms1680: {entry.name} {missing}\n"), is_missing=True
        )
        return
    add(commands)


def _add_send(commands: Any) -> None:  # noqa: ANN401 - argparse names no public type
    parser = commands.add_parser(
        "send", help=say("send one text to one or more numbers", "向一个或多个号码发送同一内容")
    )
    _add_account(parser)
    parser.add_argument(
        "--to", action="append", required=True, metavar="NUMBER", help=say("can be repeated", "可多次使用")
    )
    parser.add_argument(
        "--at",
        metavar="TIME",
        help=say(
            "when to send: ISO 8601, with a zone or in this machine's",
            "定时发送的时间：`ISO 8601`，带时区，否则为本机时区",
        ),
    )
    parser.add_argument(
        "--extension",
        help=say("digits after the sender's number; a reply includes them", "发送号码之后的数字，回复会带上"),
    )
    parser.add_argument("--priority", choices=("normal", "critical"), default="normal")
    parser.add_argument(
        "--long-text",
        choices=("cut", "split", "refuse"),
        default="cut",
        help=say(
            "what to do with a text of more than 500 characters, including the signature",
            "内容连同签名超过 500 字时：截断、拆分为多条或拒绝",
        ),
    )
    _add_signature(parser)
    parser.add_argument(
        "--rate",
        type=float,
        help=say("items a second that the platform allows the account", "平台允许该账户每秒的条数"),
    )
    parser.add_argument(
        "--patience",
        type=float,
        default=PATIENCE,
        help=say("seconds for retries while nothing was sent", "确定未发出时的重试时间，秒"),
    )
    parser.add_argument(
        "--state",
        help=say(
            "where the rate is shared: a folder, or a Redis server for several machines (redis://host/0); "
            "with a password, use SMS1680_STATE",
            "共享速率的位置：文件夹，或多台机器共用的 `Redis` 服务器（`redis://主机/0`）；有密码时用 `SMS1680_STATE`",
        ),
    )
    parser.add_argument(
        "text", help=say("the text, or - to read it from standard input", "内容；`-` 表示从标准输入读取")
    )
    parser.set_defaults(run=_send, done=None)


def _add_balance(commands: Any) -> None:  # noqa: ANN401
    parser = commands.add_parser("balance", help=say("the remaining messages of the product", "产品的剩余条数"))
    _add_account(parser)
    parser.set_defaults(run=_balance)


def _add_estimate(commands: Any) -> None:  # noqa: ANN401
    parser = commands.add_parser(
        "estimate",
        help=say(
            "the cost of a text for one number, and content that can be blocked",
            "发往一个号码的计费条数，以及可能被拦截的内容",
        ),
    )
    _add_signature(parser)
    _add_json(parser)
    parser.add_argument(
        "text", help=say("the text, or - to read it from standard input", "内容；`-` 表示从标准输入读取")
    )
    parser.set_defaults(run=_estimate)


def _add_account(parser: argparse.ArgumentParser) -> None:
    account = parser.add_argument_group(
        say("account", "账户"), say("also from these environment variables", "也可使用这些环境变量")
    )
    account.add_argument("--username", default=os.environ.get("SMS1680_USERNAME"), help="SMS1680_USERNAME")
    account.add_argument("--product", default=os.environ.get("SMS1680_PRODUCT_ID"), help="SMS1680_PRODUCT_ID")
    account.add_argument(
        "--gateway",
        default=os.environ.get("SMS1680_GATEWAY", DEFAULT_GATEWAY),
        help=f"SMS1680_GATEWAY, {DEFAULT_GATEWAY}",
    )
    account.add_argument(
        "--password-file",
        type=Path,
        metavar="FILE",
        help=say(
            "a file with the password in its first line; otherwise SMS1680_PASSWORD or SMS1680_PASSWORD_MD5",
            "首行为密码的文件；否则用 `SMS1680_PASSWORD` 或 `SMS1680_PASSWORD_MD5`",
        ),
    )
    account.add_argument(
        "--plain",
        action="store_true",
        help=say("send the plain password instead of its MD5", "发送明文密码而不是其 MD5"),
    )
    account.add_argument("--proxy", default=os.environ.get("SMS1680_PROXY"), help="SMS1680_PROXY")
    _add_json(parser)


def _add_signature(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--signature", default=os.environ.get("SMS1680_SIGNATURE"), help="SMS1680_SIGNATURE")
    parser.add_argument("--signature-place", choices=("front", "behind", "platform"), default="front")


def _add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help=say("print one line of JSON", "输出一行 `JSON`"))


def _send(options: argparse.Namespace) -> int:
    at = None
    if options.at is not None:
        try:
            at = datetime.fromisoformat(options.at).astimezone()
        except ValueError:
            raise InvalidMessageError(
                "--at must be a time such as 2026-11-22T20:00:00+08:00",
                "`--at` 须为 `2026-11-22T20:00:00+08:00` 这样的时间",
            ) from None
    texts, is_changed = _texts(options)
    numbers = list(split_numbers(options.to))
    right = [number for number, _ in numbers if number is not None]
    with _client(
        options,
        signature=options.signature,
        signature_place=options.signature_place,
        rate=options.rate,
        patience=options.patience,
        state=options.state,
    ) as sms:

        def send(text: str) -> Sequence[Receipt]:
            try:
                return sms.send(
                    right or options.to,  # without a number, the client says what is wrong
                    text,
                    at=at,
                    extension=options.extension,
                    priority=options.priority,
                )
            except SendError as error:
                return error.receipts

        answers = [send(texts[0])]
        for text in texts[1:]:
            if all(receipt.outcome is Outcome.NOT_SENT for receipt in answers[-1]):
                break  # the others would wait for the same connection
            answers.append(send(text))
    if is_changed:
        options.done = options.long_text
        _show(partial(print, f"sms1680: {_long_text_sentence(options.done, len(texts))}", file=sys.stderr))
    receipts = _in_order(numbers, [combine(of_number) for of_number in zip(*answers, strict=True)])
    error = error_of(receipts)
    if error and all(_is_wrong(receipt) for receipt in receipts if not receipt.outcome.is_success):
        error = RefusedError(receipts, Reason.NUMBER, _WRONG_NUMBERS)
    if error:
        raise error
    _show(partial(_print, options, receipts, environment_language()))
    return _exit_code(receipts)


def _texts(options: argparse.Namespace) -> tuple[list[str], bool]:
    """Return the texts to send, and whether the given text was cut or split because it is too long."""
    text = _text(options.text)
    signature = Signature.read(options.signature, options.signature_place)
    if options.long_text == "refuse" or not is_long(text, signature):
        return [text], False
    return fit_text(text, signature, options.long_text), True


def _long_text_sentence(done: str, count: int) -> str:
    if done == "cut":
        return say("the text was too long and was cut", "内容过长，已截断")
    return say(f"the text was too long and was split into {count} messages", f"内容过长，已拆分为 {count} 条短信")


def _in_order(numbers: Sequence[tuple[str | None, str]], sent: Sequence[Receipt]) -> list[Receipt]:
    """Return the receipts in the order of the call, including one for each invalid number."""
    of_number = {receipt.number: receipt for receipt in sent}
    return [
        Receipt(written, Outcome.REFUSED, reason=Reason.NUMBER, parts=0) if number is None else of_number[number]
        for number, written in numbers
    ]


def _is_wrong(receipt: Receipt) -> bool:
    """Return whether the receipt belongs to an invalid number."""
    return receipt.reason is Reason.NUMBER and receipt.parts == 0


def _balance(options: argparse.Namespace) -> int:
    with _client(options) as sms:
        balance = sms.balance()
    print(json.dumps({"balance": balance}) if options.json else balance)
    return EXIT_ACCEPTED


def _estimate(options: argparse.Namespace) -> int:
    result = estimate(_text(options.text), signature=options.signature, signature_place=options.signature_place)
    if options.json:
        warnings = [{"concern": warning.concern.value, "found": warning.found} for warning in result.warnings]
        numbers = {"parts": result.parts, "characters": result.characters, "flow": result.flow}
        print(json.dumps({**numbers, "warnings": warnings}, ensure_ascii=False))
        return EXIT_ACCEPTED
    zh = (language := environment_language()) == "zh"
    counts = (result.parts, result.characters, result.flow)
    print(("{} parts, {} characters, {} flow items", "计费 {} 条，共 {} 字，占流量 {} 条")[zh].format(*counts))
    for warning in result.warnings:
        print(("warning: ", "警告：")[zh] + warning.sentence(language))
    return EXIT_ACCEPTED


def _client(options: argparse.Namespace, **settings: Any) -> Client:
    password, digest = _secret(options)
    form: PasswordForm = "plain" if options.plain else "md5"
    account = Account(
        options.username or "",
        password,
        product_id=options.product or "",
        password_md5=digest,
        form=form,
        balance_form=form,
    )
    return Client(account, gateway=options.gateway, proxy=options.proxy, **settings)


def _secret(options: argparse.Namespace) -> tuple[str | None, str | None]:
    if options.password_file is None:
        return os.environ.get("SMS1680_PASSWORD"), os.environ.get("SMS1680_PASSWORD_MD5")
    try:
        lines = options.password_file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeError) as error:
        raise InvalidMessageError(
            f"the password file cannot be read ({type(error).__name__})", "无法读取密码文件，请检查路径、权限和编码"
        ) from None
    return (lines[0].strip() if lines else ""), None


def _text(given: str) -> str:
    """Return the text that is given, or that standard input holds; broken octets refuse no message."""
    return repair(given) if given != "-" else decode(sys.stdin.buffer.read()).rstrip("\r\n")


def _print(
    options: argparse.Namespace, receipts: Sequence[Receipt], language: Language, error: SMS1680Error | None = None
) -> None:
    if options.json:
        result: dict[str, object] = {"receipts": [_receipt(receipt, language) for receipt in receipts]}
        if options.run is _send:
            result["long_text"] = options.done
        if error is not None:
            result |= {"error": error.sentence(language), "reason": error.reason.value if error.reason else None}
        print(json.dumps(result, ensure_ascii=False))
        return
    for receipt in receipts:
        message_id = f" id={receipt.message_id}" if receipt.message_id else ""
        print(f"{_sentence(receipt, language)}{message_id}")


def _receipt(receipt: Receipt, language: Language) -> dict[str, object]:
    return {
        "number": receipt.number,
        "outcome": receipt.outcome.value,
        "message_id": receipt.message_id,
        "parts": receipt.parts,
        "reason": receipt.reason.value if receipt.reason else None,
        "repeat": receipt.repeat.value,
        "detail": receipt.detail,
        "sentence": _sentence(receipt, language),
    }


def _sentence(receipt: Receipt, language: Language) -> str:
    if not _is_wrong(receipt):
        return receipt.sentence(language)
    return f"{mask_number(receipt.number)}{say(': not a mobile number', '：不是手机号码')}"


def _exit_code(receipts: Sequence[Receipt]) -> int:
    outcomes = {receipt.outcome for receipt in receipts}
    return next((code for outcome, code in _EXITS.items() if outcome in outcomes), EXIT_ACCEPTED)
