"""The account of a `sms1680://` URL. The password can come from the environment instead of the URL."""

import os
import re

from .core import DEFAULT_GATEWAY, Account, InvalidMessageError, InvalidSettingError, PasswordForm, gateway_url

# The command line `sms1680` reads the same variables.
PASSWORD = "SMS1680_PASSWORD"  # noqa: S105 - the variable's name
PASSWORD_MD5 = "SMS1680_PASSWORD_MD5"  # noqa: S105
GATEWAY = "SMS1680_GATEWAY"
_EXAMPLE = "sms1680://user:password@product_id/number"


def make_account(
    user: str | None, password: str | None, product_id: str | None, *, gateway: str, md5: bool, form: PasswordForm
) -> Account:
    """Return the account. Raise InvalidSettingError if a part of it is missing or wrong."""
    if not user:
        raise InvalidSettingError(f"the user name is missing: {_EXAMPLE}", f"缺少登录名称：`{_EXAMPLE}`")
    if not product_id:
        raise InvalidSettingError(f"the product id is missing: {_EXAMPLE}", f"缺少产品 ID：`{_EXAMPLE}`")
    if ":" in product_id:
        raise InvalidSettingError(
            "a port is part of the gateway address: ?gateway=http://host:port",
            "端口是平台地址的一部分：`?gateway=http://host:port`",
        )
    digest: str | None = None
    if not password:
        password, digest = _read_environment(gateway)
    elif md5:
        password, digest = None, password
    if password and re.fullmatch(r"[0-9a-fA-F]{32}", password):
        raise InvalidSettingError(
            "the password looks like an MD5 digest. If it is one, add ?md5=yes; if it is the plain password, "
            "use its MD5 digest with ?md5=yes",
            "密码像是 MD5。若是，请加上 `?md5=yes`；若它确是明文密码，请填写它的 MD5 并加上 `?md5=yes`",
        )
    return Account(user, password, product_id=product_id, password_md5=digest, form=form)


def _read_environment(gateway: str) -> tuple[str | None, str | None]:
    """Return the password and its MD5 digest from the environment; one of them is None.

    The password is only used for the gateways that it is intended for. Otherwise anyone who may enter a URL could have
    it sent to an address of their own.
    """
    password, digest = os.environ.get(PASSWORD) or None, os.environ.get(PASSWORD_MD5) or None
    if not password and not digest:
        raise InvalidSettingError(
            f"the password is missing: no password in the URL or in the variable {PASSWORD}",
            f"缺少密码：URL 和环境变量 `{PASSWORD}` 中都没有",
        )
    try:
        intended = gateway_url(os.environ.get(GATEWAY) or DEFAULT_GATEWAY)
    except InvalidMessageError:
        intended = DEFAULT_GATEWAY
    if gateway not in (DEFAULT_GATEWAY, intended):
        raise InvalidSettingError(
            f"the password from the variable {PASSWORD} is only sent to {DEFAULT_GATEWAY} or to the address in the "
            f"variable {GATEWAY}",
            f"环境变量 `{PASSWORD}` 中的密码只发往 {DEFAULT_GATEWAY} 或环境变量 `{GATEWAY}` 中的地址",
        )
    return password, None if password else digest
