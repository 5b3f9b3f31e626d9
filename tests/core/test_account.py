"""The account: the forms of its password, which is never shown."""

import pickle

import pytest

from sms1680 import Account, InvalidMessageError

MD5_123456 = "e10adc3949ba59abbe56e057f20f883e"


def test_md5_matches_the_document_and_the_plain_password_is_not_stored() -> None:
    account = Account("user", "123456", product_id="61341")
    assert account.password == account.balance_password == MD5_123456
    assert b"123456" not in pickle.dumps({name: getattr(account, name) for name in account.__slots__})


def test_each_call_has_its_own_form() -> None:
    account = Account("user", "123456", product_id="yrjr", balance_form="plain")
    assert (account.password, account.balance_password) == (MD5_123456, "123456")
    account = Account("user", "123456", product_id="yrjr", form="plain")
    assert (account.password, account.balance_password) == ("123456", MD5_123456)
    account = Account("user", password_md5=MD5_123456.upper(), product_id="yrjr")
    assert account.password == MD5_123456


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"password": "a", "password_md5": MD5_123456},
        {"password": ""},
        {"password_md5": "123456"},
        {"password_md5": MD5_123456, "balance_form": "plain"},
        {"password": "a", "form": "sha"},
        {"password": "a", "product_id": 61341},
        {"password": "a", "product_id": " "},
        {"password": "a", "username": ""},
        {"password": "a", "username": "a\nb"},
    ],
)
def test_invalid_settings_are_refused(arguments: dict[str, str]) -> None:
    with pytest.raises(InvalidMessageError):
        Account(**{"username": "user", "product_id": "61341"} | arguments)


def test_an_md5_given_as_the_password_is_refused_with_a_hint() -> None:
    with pytest.raises(InvalidMessageError, match="password_md5") as raised:
        Account("user", MD5_123456, product_id="61341")
    assert MD5_123456 not in str(raised.value)


def test_nothing_shows_the_password_or_the_user() -> None:
    account = Account("kuaihuolin", "geheim!", product_id="61341", form="plain")
    for shown in (repr(account), str(account), f"{account}", repr([account])):
        assert "geheim!" not in shown
        assert account.balance_password not in shown
        assert "kuaihuolin" not in shown


def test_accounts_with_the_same_wire_fields_are_equal() -> None:
    one = Account("user", "123456", product_id="1")
    assert one == Account("user", password_md5=MD5_123456, product_id="1")
    assert one != Account("user", "123456", product_id="2")
    assert len({one, Account("user", "123456", product_id="1")}) == 1
