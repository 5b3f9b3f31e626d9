"""The arguments that several commands share, and the client that they describe."""

import argparse
import os
import sys
from datetime import datetime
from pathlib import Path
from typing import Unpack

from ..account import DEFAULT_GATEWAY, Account, PasswordForm
from ..characters import decode, repair
from ..errors import InvalidMessageError
from ..http.client import Client, HTTPClientOptions
from ..language import say
from ..limits.base_client import PATIENCE
from ..options import SendOptions


def add_account(parser: argparse.ArgumentParser) -> None:
    """Add the options of the account."""
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
    add_json(parser)


def add_signature(parser: argparse.ArgumentParser) -> None:
    """Add the options of the signature."""
    parser.add_argument("--signature", default=os.environ.get("SMS1680_SIGNATURE"), help="SMS1680_SIGNATURE")
    parser.add_argument("--signature-place", choices=("front", "behind", "platform"), default="front")


def add_json(parser: argparse.ArgumentParser) -> None:
    """Add the option for JSON."""
    parser.add_argument("--json", action="store_true", help=say("print one line of JSON", "输出一行 `JSON`"))


def add_sending(parser: argparse.ArgumentParser) -> None:
    """Add the options of every sending command, except the recipients and the text."""
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
    add_signature(parser)
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


def sending_options(options: argparse.Namespace) -> SendOptions:
    """Return the options of the call. Raise InvalidMessageError if the time is invalid."""
    at = None
    if options.at is not None:
        try:
            at = datetime.fromisoformat(options.at).astimezone()
        except ValueError:
            raise InvalidMessageError(
                "--at must be a time such as 2026-11-22T20:00:00+08:00",
                "`--at` 须为 `2026-11-22T20:00:00+08:00` 这样的时间",
            ) from None
    return {"at": at, "extension": options.extension, "priority": options.priority}


def sending_settings(options: argparse.Namespace) -> HTTPClientOptions:
    """Return the settings of a client that sends."""
    return {
        "signature": options.signature,
        "signature_place": options.signature_place,
        "rate": options.rate,
        "patience": options.patience,
        "state": options.state,
    }


def make_client(options: argparse.Namespace, **settings: Unpack[HTTPClientOptions]) -> Client:
    """Return the client of the account that the options describe. Raise InvalidMessageError."""
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
    settings |= {"gateway": options.gateway, "proxy": options.proxy}
    return Client(account, **settings)


def _secret(options: argparse.Namespace) -> tuple[str | None, str | None]:
    password = read_password_file(options.password_file)
    if password is None:
        return os.environ.get("SMS1680_PASSWORD"), os.environ.get("SMS1680_PASSWORD_MD5")
    return password, None


def read_password_file(path: str | None) -> str | None:
    """Return the first line of a password file, None without a file. Raise InvalidMessageError."""
    if path is None:
        return None
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeError) as error:
        raise InvalidMessageError(
            f"the password file cannot be read ({type(error).__name__})", "无法读取密码文件，请检查路径、权限和编码"
        ) from None
    return lines[0].strip() if lines else ""


def read_text(given: str) -> str:
    """Return the text that is given, or that standard input holds; broken octets refuse no message."""
    return repair(given) if given != "-" else decode(sys.stdin.buffer.read()).rstrip("\r\n")
