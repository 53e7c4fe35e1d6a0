"""`ocpy stats`: what the module `stats` of a running server counted, as tables."""

from __future__ import annotations

import collections
import dataclasses
import urllib.request
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import click

from openchange_py.cli.client_output import Table, printable, show_json, size_text
from openchange_py.cli.settings import configuration_path, load_settings
from openchange_py.client.endpoints import read_metrics_url
from openchange_py.client.errors import ClientError
from openchange_py.config import declared

_TIMEOUT: Final = 10.0
_MAXIMUM: Final = 64 << 20
_PREFIX: Final = "ocpy_stats_"

#: In the order in which keys have their values.
_LABELS: Final = ("interface", "call", "rop", "user", "outcome", "direction")

#: The labels' values.
Key = tuple[str, ...]


@click.command("stats")
@click.option("--url", metavar="URL", help="Where the metrics are; default: as the configuration has it.")
@click.option("--endpoints", metavar="FILE", type=click.Path(path_type=Path), help="The server's ready file.")
@click.option("--top", metavar="N", type=click.IntRange(1), default=20, show_default=True, help="Lines of each table.")
@click.option("--json", "as_json", is_flag=True, help="Everything as JSON.")
@click.option("-c", "--config", metavar="FILE", default=None, help="The smb.conf to use.")
@click.pass_context
def command(
    ctx: click.Context, url: str | None, endpoints: Path | None, top: int, as_json: bool, config: str | None
) -> None:
    """Show what a running server's module `stats` counted since its start: calls, ROPs and users.

    \b
      ocpy stats
      ocpy stats --url http://127.0.0.1:9464/metrics --top 5
      ocpy stats --endpoints /run/ocpy.json --json

    It reads the Prometheus metrics (ocpy:metrics port). What took most time altogether comes first. Half of the calls
    took less than P50, 95 % less than P95.
    """
    if url and endpoints:
        raise click.UsageError("--endpoints tells the URL: leave --url away")
    where = url or (_of_ready_file(endpoints) if endpoints else _configured(ctx, config))
    counted = Counted.parse(_fetch(where))
    if not counted.has_stats:
        raise click.ClickException(f"{where}: no module counts there: dcerpc_mapiproxy:modules = stats")
    if as_json:
        show_json({"calls": counted.calls(), "rops": counted.rops(), "users": counted.users()})
        return
    _show("calls", counted.calls(), top, ("INTERFACE", "interface"), ("CALL", "call"), ("BY", "outcome"))
    _show("ROPs", counted.rops(), top, ("ROP", "rop"), ("RETURN VALUES", "outcomes"))
    _show("users", counted.users(), top, ("USER", "user"), ("BY", "outcomes"))


def _of_ready_file(path: Path) -> str:
    try:
        return read_metrics_url(path)
    except ClientError as error:
        raise click.ClickException(str(error)) from error


def _configured(ctx: click.Context, config: str | None) -> str:
    settings = load_settings(configuration_path(ctx, config))
    port, address = settings[declared.METRICS_PORT], settings[declared.METRICS_ADDRESS]
    if not port:
        raise click.UsageError("no ocpy:metrics port is configured: set one, or say --url or --endpoints")
    return f"http://{f'[{address}]' if ':' in address else address}:{port}/metrics"


def _fetch(url: str) -> str:
    if urlsplit(url).scheme not in ("http", "https"):
        raise click.UsageError(f"{url} is no http:// or https:// URL")
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT) as response:  # noqa: S310  the scheme was checked
            data: bytes = response.read(_MAXIMUM + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        raise click.ClickException(f"{url}: {reason}; is the server running, and is that its metrics port?") from error
    if len(data) > _MAXIMUM:
        raise click.ClickException(f"{url}: more than {_MAXIMUM >> 20} MiB are no metrics")
    return data.decode("utf-8", "replace")


@dataclasses.dataclass
class Times:
    """One line's histogram."""

    count: int = 0
    seconds: float = 0.0
    #: By their bounds.
    buckets: collections.Counter[float] = dataclasses.field(default_factory=collections.Counter)

    def quantile(self, part: float) -> float | None:
        """The bound of the bucket that it is in; None for no calls, infinity for the last bucket."""
        return next((bound for bound, below in sorted(self.buckets.items()) if below >= part * self.count), None)

    def as_json(self) -> dict[str, Any]:
        """Seconds; `null` for a quantile behind the last bound."""
        bounds = {name: self.quantile(part) for name, part in (("p50", 0.5), ("p95", 0.95))}
        known = {name: None if bound == float("inf") else bound for name, bound in bounds.items()}
        mean = self.seconds / self.count if self.count else None
        return {"count": self.count, "seconds": self.seconds, "mean": mean, **known}


class Counted:
    """The metrics of module `stats`, of all workers together."""

    def __init__(self) -> None:
        self.has_stats = False
        self._times: dict[str, dict[Key, Times]] = collections.defaultdict(lambda: collections.defaultdict(Times))
        self._values: dict[str, dict[Key, float]] = collections.defaultdict(lambda: collections.defaultdict(float))

    @classmethod
    def parse(cls, text: str) -> Counted:
        """From Prometheus' text format; `ClickException` for anything else."""
        from prometheus_client.parser import text_string_to_metric_families

        counted = cls()
        try:
            for family in text_string_to_metric_families(text):
                if family.name.startswith(_PREFIX):
                    counted.has_stats = True
                    for sample in family.samples:
                        counted._add(sample.name.removeprefix(_PREFIX), dict(sample.labels), sample.value)
        except ValueError as error:
            raise click.ClickException(f"these are no metrics: {error}") from error
        return counted

    def _add(self, name: str, labels: dict[str, str], value: float) -> None:
        bound = labels.pop("le", None)
        key = tuple(labels[label] for label in _LABELS if label in labels)
        if bound is not None:
            self._times[name.removesuffix("_bucket")][key].buckets[float(bound)] += int(value)
        elif name.endswith("_sum"):
            self._times[name.removesuffix("_sum")][key].seconds += value
        elif name.endswith("_count"):
            self._times[name.removesuffix("_count")][key].count += int(value)
        elif name.endswith("_total"):
            self._values[name.removesuffix("_total")][key] += value

    def calls(self) -> list[dict[str, Any]]:
        """By interface, call and who answered; the bytes are those of a call however it was answered."""
        found = [
            {"interface": i, "call": c, "outcome": o, **times.as_json(), **self._bytes("call_bytes", (i, c))}
            for (i, c, o), times in self._times["call_seconds"].items()
        ]
        return sorted(found, key=lambda line: -line["seconds"])

    def rops(self) -> list[dict[str, Any]]:
        """By ROP."""
        times = self._times["rop_seconds"]
        names = dict.fromkeys((*(rop for (rop,) in times), *(rop for rop, _ in self._values["rops"])))
        found = []
        for rop in names:
            outcomes = self._outcomes("rops", rop)
            line = (times.get((rop,)) or Times(count=sum(outcomes.values()))).as_json()
            found.append({"rop": rop, **line, "outcomes": outcomes, **self._bytes("rop_bytes", (rop,))})
        return sorted(found, key=lambda line: -line["seconds"])

    def users(self) -> list[dict[str, Any]]:
        """By user."""
        found = []
        for (user,), seconds in self._values["user_seconds"].items():
            outcomes = self._outcomes("user_calls", user)
            times = Times(sum(outcomes.values()), seconds)
            found.append({"user": user, **times.as_json(), "outcomes": outcomes, **self._bytes("user_bytes", (user,))})
        return sorted(found, key=lambda line: -line["seconds"])

    def _outcomes(self, name: str, first: str) -> dict[str, int]:
        return {key[1]: int(value) for key, value in self._values[name].items() if key[0] == first}

    def _bytes(self, name: str, key: Key) -> dict[str, int]:
        return {f"bytes_{way}": int(self._values[name].get((*key, way), 0)) for way in ("in", "out")}


def _show(what: str, lines: list[dict[str, Any]], top: int, *columns: tuple[str, str]) -> None:
    if not lines:
        return
    heads = [head for head, _ in columns]
    table = Table(*heads, ">COUNT", ">SECONDS", ">MEAN", ">P50", ">P95", ">IN", ">OUT")
    for line in lines[:top]:
        shown = [_outcomes(line[key]) if key == "outcomes" else printable(str(line[key])) for _, key in columns]
        times = [_time(line["mean"]), _bound(line, "p50"), _bound(line, "p95")]
        sizes = (size_text(line["bytes_in"]), size_text(line["bytes_out"]))
        table.add(*shown, line["count"], f"{line['seconds']:.3f}", *times, *sizes)
    table.show()
    if len(lines) > top:
        click.echo(f"{top} of {len(lines)} {what}: --top shows more", err=True)
    click.echo("")


def _outcomes(outcomes: dict[str, int]) -> str:
    """`Success 12, NotFound 3`."""
    return ", ".join(f"{printable(name)} {count}" for name, count in sorted(outcomes.items(), key=lambda o: -o[1]))


def _bound(line: dict[str, Any], name: str) -> str:
    return "" if line[name] is None else f"<{_time(line[name])}"


def _time(seconds: float | None) -> str:
    if seconds is None:
        return ""
    return f"{1000 * seconds:.3g} ms" if seconds < 1 else f"{seconds:.3g} s"
