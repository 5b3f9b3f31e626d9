"""Processor time that an idle connection costs in an hour: a session under a clock that is turned, not waited for.

The gateway answers each ACTIVE_TEST. Only what the session itself does is measured, with the wake-ups counted; against
the hour, and against one wake-up of an event loop for each.

python benchmarks/cmpp/idle.py
"""

import asyncio
import time

from sms1680.cmpp import Decoder, Session, SessionSettings, encode
from sms1680.cmpp.wire.pdus import ActiveTest, ActiveTestResp, ConnectResp

HOUR = 3600.0


def hour() -> tuple[int, float]:
    """Returns the wake-ups of an idle hour and the processor seconds that the session took for them."""
    session = Session(SessionSettings("901234", "secret"), 0.0)
    gateway = Decoder()
    session.start("1122200000")
    [login] = gateway.receive(session.data_to_send())
    session.receive(encode(ConnectResp(sequence_id=getattr(login, "sequence_id", 0))), 0.0)
    now, wakes, spent = 0.0, 0, 0.0
    while now < HOUR:
        began = time.perf_counter()
        due = session.deadline
        assert due is not None
        now = due
        session.tick(now)
        octets = session.data_to_send()
        spent += time.perf_counter() - began
        wakes += 1
        for pdu in gateway.receive(octets):
            assert isinstance(pdu, ActiveTest)
            answer = encode(ActiveTestResp(sequence_id=pdu.sequence_id))
            began = time.perf_counter()
            session.receive(answer, now)
            spent += time.perf_counter() - began
    return wakes, spent


async def loop_wakes(count: int) -> float:
    """Returns the processor seconds of so many wake-ups of an event loop that do nothing."""
    began = time.process_time()
    for _ in range(count):
        await asyncio.sleep(0)
    return time.process_time() - began


if __name__ == "__main__":
    wakes, spent = min((hour() for _ in range(20)), key=lambda one: one[1])
    bare = min(asyncio.run(loop_wakes(wakes)) for _ in range(20))
    print(
        f"an idle hour: {wakes} wake-ups, {spent * 1e3:.2f} ms of processor, {spent / HOUR:.1e} of the hour,", end=" "
    )
    print(f"{spent / bare:.1f} of as many empty wake-ups of an event loop")
