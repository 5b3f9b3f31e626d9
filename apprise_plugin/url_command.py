"""The command `sms1680 apprise url`, which prints the URL of an account and its recipients."""

import argparse
import getpass
import json
import logging
import os
import sys
from pathlib import Path
from typing import Any

from .arguments import write_options
from .core import DEFAULT_GATEWAY, MASK, Client, InvalidSettingError, mask_number, say, split_numbers
from .credentials import PASSWORD, make_account
from .plugin import NotifySMS1680
from .url import encode, join_url


def add_url(parser: argparse.ArgumentParser) -> None:
    """Add the command to the parser of `sms1680 apprise`."""
    url = parser.add_subparsers(title=say("commands", "命令")).add_parser(
        "url",
        help=say("print the URL of an account", "输出账户的 URL"),
        description=say(
            "Print the URL for Apprise, with everything percent-encoded, and below it a masked one to show to others. "
            f"What is not given is asked for. The password comes from a file, from {PASSWORD}, or is asked for.",
            "输出用于 Apprise 的 URL（已作百分号编码），并在其下方输出可示人的隐藏版本。未给出的内容会逐项询问。"
            f"密码取自文件、`{PASSWORD}`，或询问输入。",
        ),
    )
    url.add_argument("--username", default=os.environ.get("SMS1680_USERNAME"), help="SMS1680_USERNAME")
    url.add_argument("--product", default=os.environ.get("SMS1680_PRODUCT_ID"), help="SMS1680_PRODUCT_ID")
    url.add_argument("--gateway", default=os.environ.get("SMS1680_GATEWAY") or DEFAULT_GATEWAY, help="SMS1680_GATEWAY")
    url.add_argument(
        "--password-file",
        type=Path,
        metavar="FILE",
        help=say("a file with the password in its first line", "首行为密码的文件"),
    )
    url.add_argument("--md5", action="store_true", help=say("the password is its MD5", "所给密码是其 MD5"))
    url.add_argument("--to", action="append", metavar="NUMBER", help=say("can be repeated", "可多次使用"))
    url.add_argument("--signature", default=os.environ.get("SMS1680_SIGNATURE"), help="SMS1680_SIGNATURE")
    url.add_argument(
        "--extension",
        help=say("digits after the sender's number; a reply includes them", "发送号码之后的数字，回复会带上"),
    )
    url.add_argument(
        "--check",
        action="store_true",
        help=say("query the balance with it, which sends nothing", "用它查询剩余条数，不会发送短信"),
    )
    url.add_argument("--json", action="store_true", help=say("print one line of JSON", "输出一行 `JSON`"))
    url.set_defaults(run=run_url)


def run_url(options: argparse.Namespace) -> int:
    """Print the URL. Raises SMS1680Error if a part of it is missing or wrong, or if the check fails."""
    user = options.username or _ask(say("username", "登录名称"))
    product = options.product or _ask(say("product id", "产品 ID"))
    password = _password(options)
    numbers = list(split_numbers(options.to or _ask(say("numbers, separated by commas", "号码，以逗号分隔"))))
    if not numbers or any(number is None for number, _ in numbers):
        raise InvalidSettingError(
            "a number is missing or is not a mainland mobile number", "缺少号码，或有号码不是中国大陆手机号码"
        )
    targets = [str(number) for number, _ in numbers]
    settings = {"gateway": options.gateway, "extension": options.extension, "signature": options.signature}
    plugin = _plugin(user=user, password=password, product_id=product, targets=targets, md5=options.md5, **settings)
    query = write_options({**settings, "gateway": plugin.gateway, "md5": options.md5})
    shown = join_url(encode(user), encode(password), encode(product), targets, query)
    masked = join_url(f"{user[:1]}{MASK}", MASK, encode(product), map(mask_number, targets), query)
    result: dict[str, object] = {"url": shown, "masked": masked}
    if not options.json:
        print(f"{shown}\n{masked}", flush=True)
    if options.check:
        account = make_account(user, password, product, gateway=plugin.gateway, md5=options.md5, form="md5")
        with Client(account, gateway=plugin.gateway) as sms:
            result["balance"] = balance = sms.balance()
        if not options.json:
            print(say(f"The account works: {balance} messages left.", f"账户可用，剩余 {balance} 条。"))
    if options.json:
        print(json.dumps(result, ensure_ascii=False))
    return 0


def _plugin(**settings: Any) -> NotifySMS1680:
    """Return the service of the settings. Raise InvalidSettingError with the plugin's sentence."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)  # the command prints the sentence
    try:
        return NotifySMS1680(**settings)
    except TypeError as error:  # since Apprise 2, a class of its own, which is one
        raise InvalidSettingError(str(error), str(error)) from None
    finally:
        logging.disable(before)


def _password(options: argparse.Namespace) -> str:
    if options.password_file is not None:
        try:
            lines = options.password_file.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeError) as error:
            raise InvalidSettingError(
                f"the password file cannot be read ({type(error).__name__})",
                "无法读取密码文件，请检查路径、权限和编码",
            ) from None
        password: str = lines[0].strip() if lines else ""
    elif os.environ.get(PASSWORD):
        password = os.environ[PASSWORD]
    else:
        _need_terminal()
        password = getpass.getpass(say("password (not shown): ", "密码（不显示）："), sys.stderr)
    if not password:
        raise InvalidSettingError("the password is empty", "密码为空")
    return password


def _ask(what: str) -> str:
    _need_terminal()
    print(f"{what}{say(': ', '：')}", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip()


def _need_terminal() -> None:
    if not sys.stdin.isatty():
        raise InvalidSettingError(
            "a part of the URL is missing; give it as an option, or run the command on a terminal",
            "缺少部分内容：请用选项给出，或在终端中运行",
        )
