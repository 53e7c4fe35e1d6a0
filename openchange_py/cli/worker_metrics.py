"""Metrics of all workers at one address: the supervisor asks each one when somebody asks it.

Every number is there once per worker, with a label `worker`; to add them up is the reader's (Prometheus: `sum`).
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

from openchange_py.rpc.metrics import Metrics
from openchange_py.transports.colleagues import Colleagues
from openchange_py.transports.post import Message

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry
    from prometheus_client.core import Metric

_log: Final = logging.getLogger(__name__)

#: The kind of message by which a worker is asked, and answers.
METRICS: Final = "metrics"


def answer_for_metrics(metrics: Metrics, colleagues: Colleagues) -> None:
    """Answer the supervisor, with the text in a file of memory: there may be more than a message can hold."""
    from prometheus_client import generate_latest

    from openchange_py.transports.metrics import registry_of

    metrics.families.append(lambda: [colleagues.family()])
    registry, loop = registry_of(metrics), asyncio.get_running_loop()

    def written() -> int:
        file = os.memfd_create("metrics")
        with open(os.dup(file), "wb") as text:
            text.write(generate_latest(registry))
        return file

    def asked(message: Message) -> None:
        work = loop.run_in_executor(None, written)
        work.add_done_callback(lambda done: colleagues.tell(METRICS, message.about, file=done.result()))

    colleagues.asked[METRICS] = asked


def read_metrics(file: int) -> str:
    """What a worker wrote; closes the file."""
    with open(file, "rb") as text:
        text.seek(0)
        return text.read().decode("utf-8")


def combined(texts: Callable[[], dict[int, str]]) -> CollectorRegistry:
    """A registry of what `texts` gives by worker, asked anew each time."""
    from prometheus_client import CollectorRegistry
    from prometheus_client.registry import Collector

    class Workers(Collector):
        def collect(self) -> Iterator[Metric]:
            return merged(texts())

        def describe(self) -> list[Metric]:
            """Nothing in advance: nobody is asked before somebody asks."""
            return []

    registry = CollectorRegistry()
    registry.register(Workers())
    return registry


def merged(texts: dict[int, str]) -> Iterator[Metric]:
    """The families of all workers, each sample with its worker."""
    from prometheus_client.parser import text_string_to_metric_families

    families: dict[str, Metric] = {}
    for number, text in sorted(texts.items()):
        for family in text_string_to_metric_families(text):
            known = families.setdefault(family.name, family)
            samples = [sample._replace(labels={**sample.labels, "worker": str(number)}) for sample in family.samples]
            known.samples = samples if known is family else known.samples + samples
    return iter(families.values())
