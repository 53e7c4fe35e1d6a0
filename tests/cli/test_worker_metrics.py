"""One text of all workers' metrics."""

from __future__ import annotations

import asyncio

from prometheus_client import generate_latest

from openchange_py.cli.worker_metrics import METRICS, answer_for_metrics, combined, merged, read_metrics
from openchange_py.rpc.metrics import Metrics
from openchange_py.transports.post import Message
from tests.rpc.echo import ECHO, REVERSE
from tests.transports.office import office
from tests.transports.serving import run


def test_a_worker_answers_with_its_own_numbers() -> None:
    async def main() -> None:
        async with office(2) as made:
            answers: asyncio.Queue[Message] = asyncio.Queue()
            made.posts[0]._received = answers.put_nowait
            metrics = Metrics()
            metrics.connections["ncacn_ip_tcp"] = 7
            answer_for_metrics(metrics, made.workers[0])
            made.workers[0].give(1, "connection x", {})
            made.posts[0].send(Message(METRICS, {"question": 4}))
            await answers.get()  # what was given
            answer = await answers.get()
            assert answer.about == {"question": 4}
            text = read_metrics(answer.files[0])
            assert 'ocpy_connections_total{transport="ncacn_ip_tcp"} 7.0' in text
            assert 'ocpy_given_total{what="connection"} 1.0' in text

    run(main)


def text_of(connections: int, calls: int) -> str:
    from openchange_py.transports.metrics import registry_of

    metrics = Metrics()
    metrics.connections["ncacn_ip_tcp"] = connections
    for _ in range(calls):
        metrics.call(ECHO, REVERSE, 0.003)
    return generate_latest(registry_of(metrics)).decode()


def test_every_number_is_there_once_per_worker() -> None:
    families = {family.name: family for family in merged({0: text_of(1, 2), 2: text_of(5, 1)})}
    samples = {tuple(sample.labels.values()): sample.value for sample in families["ocpy_connections"].samples}
    assert samples == {("ncacn_ip_tcp", "0"): 1, ("ncacn_ip_tcp", "2"): 5}
    shown = generate_latest(combined(lambda: {0: text_of(1, 2), 2: text_of(5, 1)})).decode()
    assert shown.count("# TYPE ocpy_call_seconds histogram") == 1
    assert 'ocpy_call_seconds_count{interface="echo",method="' in shown
    assert [line.split()[-1] for line in shown.splitlines() if line.startswith("ocpy_call_seconds_count{")] == [
        "2.0",
        "1.0",
    ]


def test_no_worker_no_numbers() -> None:
    assert generate_latest(combined(dict)).decode() == ""
