"""The account that sends: its platform address, user name, product and password."""

import hashlib
import re
from typing import Literal
from urllib.parse import urlsplit

from .errors import InvalidSettingError
from .masking import MASK

PasswordForm = Literal["md5", "plain"]

DEFAULT_GATEWAY = "http://api.1680.me"

_MD5 = re.compile(r"[0-9a-fA-F]{32}")
_DEFAULT_PORTS = {"http": 80, "https": 443}


class Account:
    """An account of the platform (`username`, `password` and `productid` in docs/protocol.md, section 2).

    username: the platform's 登陆名称. product_id: text, because some ids are not numbers.
    password: the plain password; only its MD5 is stored unless `form` or `balance_form` is "plain".
    password_md5: the 32-digit MD5, if the plain password is not available.
    form, balance_form: the form of the password in sending and balance requests. The platform's document promises
    both forms for sending and does not mention the balance.

    The secret attributes `password` and `balance_password` are in the form to send.

    Raises InvalidSettingError. Neither `repr` nor an error shows the password.
    """

    __slots__ = ("balance_password", "password", "product_id", "username")

    def __init__(
        self,
        username: str,
        password: str | None = None,
        *,
        product_id: str,
        password_md5: str | None = None,
        form: PasswordForm = "md5",
        balance_form: PasswordForm = "md5",
    ) -> None:
        self.username = _filled(username, "username", "登录名称（平台文档写作“登陆名称”）")
        if isinstance(product_id, bool) or not isinstance(product_id, str):
            raise InvalidSettingError("product_id must be text: some ids are not numbers", "产品 ID 须为文本")
        self.product_id = _filled(product_id, "product_id", "产品 ID ")
        if form not in ("md5", "plain") or balance_form not in ("md5", "plain"):
            raise InvalidSettingError("the form of a password must be md5 or plain", "密码形式只能是 `md5` 或 `plain`")
        digest = _digest(password, password_md5)
        forms = {"md5": digest, "plain": password}
        if "plain" in (form, balance_form) and password is None:
            raise InvalidSettingError(
                "the plain form needs the plain password, not its MD5", "明文形式需要明文密码，而不是 MD5"
            )
        self.password = str(forms[form])
        self.balance_password = str(forms[balance_form])

    def secrets(self) -> tuple[str, ...]:
        """Return the secrets to mask in foreign texts."""
        return (self.password, self.balance_password)

    def __repr__(self) -> str:
        # The user name is one half of the credentials.
        return f"Account({self.username[:1]}{MASK}, product_id={self.product_id!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Account) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def _key(self) -> tuple[str, ...]:
        return (self.username, self.product_id, self.password, self.balance_password)


def account_key(gateway: str, username: str) -> str:
    """Return the key under which all clients of an account, over HTTP and CMPP, share its rate and its budget."""
    return f"{gateway}\n{username}"


def gateway_url(address: str) -> str:
    """Return the platform's address in one spelling: http or https, host, optional port and path, no trailing slash.

    Accounts are identified by this address, so all spellings of it give one result: the host in lower case and
    without a trailing dot, and no default port. Raises InvalidSettingError.
    """
    try:
        parts = urlsplit(address.strip())
        host, port = (parts.hostname or "").rstrip("."), parts.port
    except (ValueError, AttributeError):
        parts, host, port = urlsplit(""), "", None
    if (
        parts.scheme not in ("http", "https")
        or not host
        or port == 0
        or parts.username is not None
        or parts.query
        or parts.fragment
        or not address.strip().isprintable()
        or " " in address.strip()
    ):
        raise InvalidSettingError(
            "the gateway's address must have the form http://host[:port][/prefix]",
            "平台地址的格式应为 `http://主机[:端口][/前缀]`",
        )
    host = f"[{host}]" if ":" in host else host
    shown = "" if port in (None, _DEFAULT_PORTS[parts.scheme]) else f":{port}"
    return f"{parts.scheme}://{host}{shown}{parts.path}".rstrip("/")


def _filled(value: str, en: str, zh: str) -> str:
    if not isinstance(value, str) or not value.strip() or not value.isprintable():
        raise InvalidSettingError(f"{en} is empty or not printable", f"{zh}为空或含不可见字符")
    return value.strip()


def _digest(password: str | None, password_md5: str | None) -> str:
    if (password is None) == (password_md5 is None):
        raise InvalidSettingError("set either password or password_md5", "请提供密码或其 MD5，二者取一")
    if password_md5 is not None:
        if not _MD5.fullmatch(password_md5):
            raise InvalidSettingError("password_md5 must have 32 hexadecimal digits", "密码 MD5 须为 32 位十六进制")
        return password_md5.lower()
    if not password:
        raise InvalidSettingError("the password is empty", "密码为空")
    if _MD5.fullmatch(password):
        raise InvalidSettingError(
            "the password looks like an MD5 (32 hexadecimal digits): set it as password_md5; "
            "if it is the plain password, set its MD5 as password_md5",
            "密码像是 MD5（32 位十六进制）：请作为 `password_md5` 提供；若它确是明文密码，请提供它的 MD5",
        )
    # The platform prescribes MD5. It protects nothing.
    return hashlib.md5(password.encode(), usedforsecurity=False).hexdigest()
