"""The letter to the platform's staff, in Chinese: the push addresses, and questions about the account."""

import secrets
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any, Final

import voluptuous as vol
from homeassistant.core import HomeAssistant
from homeassistant.helpers.network import NoURLAvailableError, get_url
from homeassistant.helpers.selector import TemplateSelector
from yarl import URL

from ..const import (
    CONF_CMPP,
    CONF_HTTP,
    CONF_LISTENER_PORT,
    CONF_PRODUCT_ID,
    CONF_PUSH_ANSWER,
    CONF_PUSH_SECRET,
    CONF_SP_ID,
    DEFAULT_PUSH_ANSWER,
    PUSH_PATH,
)

CONF_LETTER: Final = "letter"
# In the context of a dialog: it directly follows the account's dialog, whose last page with the letter is skipped.
SHOWS_LETTER: Final = "shows_letter"

_CHANNEL: Final = "1680"
_LOCAL_NAMES: Final = ("local", "lan", "home", "internal", "localdomain", "arpa")

_LETTER: Final = """\
您好：

我们的帐号（{account}）已接入接口，麻烦协助配置并确认以下事项，谢谢！

一、推送地址（GET 方式，UTF-8 编码）
1. 状态报告：
{reports}
2. 上行短信（回复）：
{uplinks}

二、请告知
1. 推送来自哪些 IP 地址；
2. 推送地址是否支持 https，端口是否有限制；
3. 推送失败后是否重推、间隔与次数，以及需要我方返回的内容（我方返回 {answer}）；
4. 本帐号的流量（每秒条数）；
5. 可用的扩展号（小号）位数；
6. 调用接口是否校验 IP；若校验，请说明如何登记公网 IP；
7. 签名与模板的报备要求；
8. 查询余额（balance.do）时密码用 MD5 还是明文，是否有查询权限；
9. 如可使用 CMPP 2.0：主机、端口、SP_Id（企业代码）、接入号、
业务代码（Service_Id）及允许的连接数。\
"""


def new_push_secret() -> str:
    """Return a new secret for the push addresses."""
    return secrets.token_urlsafe(24)


def make_letter(hass: HomeAssistant, data: Mapping[str, Any], options: Mapping[str, Any]) -> tuple[str, dict[str, str]]:
    """Return the letter for the data and options of an entry: the translation that shows it, and its placeholders.

    The translation has a warning unless the address is reachable from the internet.
    If the account has its own listener, the letter contains its addresses: the listener accepts requests that Home
    Assistant's filter rejects.
    """
    base = _base(hass, options.get(CONF_LISTENER_PORT))
    shown = base or "（公网地址）"
    if not base and (port := options.get(CONF_LISTENER_PORT)):
        shown = f"http://（公网地址）:{port}"
    path = PUSH_PATH.format(secret=data[CONF_PUSH_SECRET], channel=_CHANNEL)
    text = _LETTER.format(
        account=_account(data),
        answer=options.get(CONF_PUSH_ANSWER, DEFAULT_PUSH_ANSWER),
        reports=f"{shown}{path}/mr",
        uplinks=f"{shown}{path}/mo",
    )
    return "letter" if is_reachable(base) else "letter_unreachable", {"letter": text}


def letter_form(text: str) -> vol.Schema:
    """Return a form with the letter. Its field breaks long lines, and has a button to copy the text."""
    return vol.Schema({vol.Optional(CONF_LETTER, description={"suggested_value": text}): TemplateSelector()})


def _base(hass: HomeAssistant, port: int | None) -> str:
    """Return the base of the addresses, empty if it is unknown.

    Home Assistant Cloud does not forward the port of a listener, so its address is of no use for a listener.
    """
    try:
        base = get_url(hass, prefer_external=True, allow_cloud=port is None)
    except NoURLAvailableError:
        return ""
    return str(URL.build(scheme="http", host=URL(base).host or "", port=port)).rstrip("/") if port else base


def _account(data: Mapping[str, Any]) -> str:
    """Return the account as the platform's staff know it."""
    if CONF_HTTP in data:
        return f"产品 ID：{data[CONF_HTTP][CONF_PRODUCT_ID]}"
    return f"SP_Id：{data[CONF_CMPP][CONF_SP_ID]}"


def is_reachable(address: str) -> bool:
    """Return whether an address is reachable from the internet, judging by its host."""
    host = URL(address).host or ""
    try:
        return ip_address(host).is_global
    except ValueError:
        return "." in host and host.rstrip(".").rsplit(".", 1)[-1].lower() not in _LOCAL_NAMES
