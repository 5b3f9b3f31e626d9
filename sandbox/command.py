"""The command `sms1680 sandbox`: runs a local platform until Ctrl-C."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys

from sms1680.language import say

from .config import DEMO_PASSWORD, DEMO_PRODUCT, DEMO_USERNAME, Account, Config
from .server import Sandbox

_MAX_PORT = 65535
PASSWORD_VARIABLE = "SMS1680_SANDBOX_PASSWORD"  # noqa: S105 - the variable's name


def add(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to a parser. Its `run` takes the parsed arguments and returns the exit code."""
    parser = subparsers.add_parser(
        "sandbox",
        help=say("run a local 1680 platform with a web page that shows phones", "在本机运行模拟平台，并以网页显示手机"),
        description=say(
            "Run a 1680 platform on this machine, with the four HTTP calls, delivery reports, replies, and a web page "
            f"that shows the phones. The account's password is {DEMO_PASSWORD!r}, or the value of the environment "
            f"variable {PASSWORD_VARIABLE}.",
            "在本机运行模拟的 1680 平台：四个 HTTP 接口、状态报告、回复，以及显示手机的网页。"
            f"账户的密码为 `{DEMO_PASSWORD}`，或环境变量 `{PASSWORD_VARIABLE}` 的值。",
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
        default=1680,
        help=say(
            "port for HTTP, 0 for a free one (default: %(default)s)",
            "HTTP 端口，0 为任一空闲端口（默认：`%(default)s`）",
        ),
    )
    parser.add_argument(
        "--cmpp-port",
        type=int,
        help=say("port for CMPP, 0 for a free one (default: no CMPP)", "CMPP 端口，0 为任一空闲端口（默认：不启用）"),
    )
    parser.add_argument(
        "--username",
        default=DEMO_USERNAME,
        help=say("the account's username (default: %(default)s)", "账户的登录名称（默认：`%(default)s`）"),
    )
    parser.add_argument(
        "--product",
        default=DEMO_PRODUCT,
        help=say("its product id (default: %(default)s)", "产品 ID（默认：`%(default)s`）"),
    )
    parser.add_argument(
        "--balance",
        type=int,
        default=1000,
        help=say("its balance in parts (default: %(default)s)", "剩余条数（默认：`%(default)s`）"),
    )
    parser.add_argument(
        "--rate",
        type=float,
        default=10.0,
        help=say("its rate in items per second (default: %(default)s)", "每秒的条数（默认：`%(default)s`）"),
    )
    parser.add_argument(
        "--report-delay",
        type=float,
        default=1.0,
        help=say("seconds until a delivery report (default: %(default)s)", "状态报告的延迟，秒（默认：`%(default)s`）"),
    )
    parser.add_argument(
        "--json", action="store_true", help=say("print the addresses as one line of JSON", "以一行 `JSON` 输出地址")
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Serve until SIGINT or SIGTERM."""
    try:
        config = _config(args)
        asyncio.run(_serve(config, as_json=args.json))
    except (ValueError, OSError) as error:
        print(f"sms1680 sandbox: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return 0


def _config(args: argparse.Namespace) -> Config:
    """Return the configuration. Raises ValueError with a sentence in the language of the environment."""
    if not args.rate > 0:
        raise ValueError(say("the rate must be above 0", "每秒的条数须大于 0"))
    if not all(0 <= port <= _MAX_PORT for port in (args.port, args.cmpp_port or 0)):
        raise ValueError(say(f"a port is between 0 and {_MAX_PORT}", f"端口须在 0 到 {_MAX_PORT} 之间"))
    account = Account(
        username=args.username,
        password=os.environ.get(PASSWORD_VARIABLE) or DEMO_PASSWORD,
        products={args.product: args.balance},
        rate=args.rate,
    )
    return Config(
        accounts=(account,),
        report_delay=args.report_delay,
        host=args.host,
        port=args.port,
        cmpp_port=args.cmpp_port,
    )


def _lines(account: Account, product: str, url: str, cmpp: str | None) -> list[str]:
    """Return the addresses and the account for a person, the values below each other. cmpp: host and port."""
    lines = [
        say("platform (gateway)  ", "平台地址      ") + url,
        say("phone page          ", "手机页面      ") + f"{url}/",
        say("account             ", "账户          ")
        + account.username
        + say(f", product {product}", f"，产品 ID {product}"),
    ]
    if cmpp is not None:
        rest = say(
            f", SP id {account.sp_id}, source number {account.source_number}",
            f"，企业代码 {account.sp_id}，接入号 {account.source_number}",
        )
        lines.append(say("CMPP                ", "CMPP          ") + cmpp + rest)
    if account.password == DEMO_PASSWORD:
        lines.append(say("password            ", "密码          ") + DEMO_PASSWORD)
    return lines


async def _serve(config: Config, *, as_json: bool) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with Sandbox(config) as box:
        account = config.accounts[0]
        product = next(iter(account.products))
        if as_json:
            addresses: dict[str, object] = {
                "gateway": box.url,
                "page": f"{box.url}/",
                "username": account.username,
                "product_id": product,
            }
            if config.cmpp_port is not None:
                addresses["cmpp"] = {
                    "host": config.host,
                    "port": box.cmpp.port,
                    "sp_id": account.sp_id,
                    "source_number": account.source_number,
                }
            print(json.dumps(addresses), flush=True)
        else:
            cmpp = None if config.cmpp_port is None else f"{config.host}:{box.cmpp.port}"
            print("\n".join(_lines(account, product, box.url, cmpp)), flush=True)
        await stop.wait()
