"""`cap=`: the spending guard, shared by all senders of the account on this machine."""

from collections.abc import Callable
from typing import Any

import pytest

from sms1680 import Account, Client, SpendingLimits
from sms1680.limits.settings import Spending
from sms1680.sandbox import SandboxThread

A = "13800000000"
Service = Callable[..., Any]


def numbers(count: int) -> list[str]:
    return [f"138{place:08d}" for place in range(count)]


def held(box: SandboxThread) -> int:
    return len(box.platform.messages)


def test_default_limits_apply_unless_the_url_sets_a_cap(
    box: SandboxThread, service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    assert service(*numbers(600)).notify("后门打开")
    assert not service(A).notify("窗打开")
    assert held(box) == 600
    assert "used up" in caplog.text
    assert "138****0000" in caplog.text
    assert service(A, cap="601").notify("窗打开")
    assert not service(A, cap="601").notify("门打开")
    assert service(A, cap="0").notify("门打开")
    assert held(box) == 602


def test_cap_counts_parts_and_sends_to_as_many_numbers_as_fit(box: SandboxThread, service: Service) -> None:
    assert not service(*numbers(3), cap="5").notify("水" * 71)
    assert held(box) == 2


def test_cap_counts_all_senders_of_the_account(box: SandboxThread, service: Service) -> None:
    assert service(*numbers(3), cap="5").notify("后门打开")
    account = Account("demo", "demo1680", product_id="61341")
    with Client(account, gateway=box.url, spending=SpendingLimits()) as sms:
        assert sms.spending() == Spending(3, 3)
        sms.send(numbers(2), "后门打开")
    assert not service(A, cap="5").notify("窗打开")


@pytest.mark.parametrize("cap", ["-1", "many", "nan"])
def test_invalid_cap_is_rejected(service: Service, cap: str) -> None:
    with pytest.raises(TypeError):
        service(A, cap=cap)
