"""The asyncio clients under anyio, whose asyncio backend many frameworks use."""

import anyio
import pytest

from sms1680 import Account, AsyncClient, DeliveryReport, Outcome
from sms1680.cmpp.client import CMPPClient
from sms1680.sandbox import Account as Configured, Config, Sandbox

NUMBER = "13800138000"


@pytest.mark.parametrize("use_uvloop", [False, True], ids=["asyncio", "uvloop"])
def test_both_clients_run_under_anyio(account: Account, use_uvloop: bool) -> None:
    if use_uvloop:
        pytest.importorskip("uvloop")
    configured = Configured()

    async def main() -> None:
        async with Sandbox(Config(cmpp_port=0, report_delay=0.0)) as box:
            async with AsyncClient(account, gateway=box.url) as http:
                [receipt] = await http.send(NUMBER, "over HTTP")
                assert receipt.outcome is Outcome.ACCEPTED
            async with CMPPClient(
                "127.0.0.1",
                box.cmpp.port,
                sp_id=configured.sp_id,
                secret=configured.password,
                source_number=configured.source_number,
            ) as cmpp:
                with anyio.fail_after(20):
                    [receipt] = await cmpp.send(NUMBER, "over CMPP")
                    assert await anext(cmpp) == DeliveryReport(receipt.message_id, NUMBER, "DELIVRD")

    anyio.run(main, backend="asyncio", backend_options={"use_uvloop": use_uvloop})
