"""What lines of the log are about."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

from openchange_py.rpc.call import RpcFault, Session
from openchange_py.rpc.log_context import LogFields, in_this_context, log_fields, set_log_context
from openchange_py.rpc.security import Identity


class About:
    def __init__(self, **fields: str | int) -> None:
        self.fields = fields

    def log_fields(self) -> LogFields:
        return dict(self.fields)


def test_arguments_of_a_message_tell_what_it_is_about() -> None:
    session = Session("ncacn_ip_tcp", "192.0.2.7:1")
    assert log_fields((session, "text", Identity("alice", "EXAMPLE"), RpcFault(5))) == {
        "session": session.number,
        "transport": "ncacn_ip_tcp",
        "peer": "192.0.2.7:1",
        "account": "EXAMPLE\\alice",
        "status": "0x00000005",
    }
    assert log_fields({"who": About(a=1)}) == {"a": 1}
    assert log_fields(None) == log_fields(()) == {}


def test_lines_of_a_task_are_about_its_call_and_those_of_others_are_not() -> None:
    async def work(number: int) -> LogFields:
        set_log_context(About(call_id=number, peer="x"))
        await asyncio.sleep(0)
        with ThreadPoolExecutor(1) as pool:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(pool, in_this_context(log_fields), (About(peer="nearer"),))

    async def main() -> None:
        found = await asyncio.gather(*(asyncio.ensure_future(work(number)) for number in range(3)))
        assert found == [{"call_id": number, "peer": "nearer"} for number in range(3)]
        assert log_fields(()) == {}

    asyncio.run(main())
