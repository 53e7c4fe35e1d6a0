"""HTTP listeners as configured: which ports, which are refused, and certificates read again."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from openchange_py.cli import web
from openchange_py.cli.certificate import provision_certificate
from openchange_py.cli.web import Web
from openchange_py.config import ConfigError, load
from openchange_py.config.settings import Settings
from openchange_py.rpc.metrics import Metrics
from tests.transports.http_parties import Everything, get, make_pair, raw_client, trusting
from tests.transports.serving import run


def settings_in(place: Path, *lines: str) -> Settings:
    config = place / "smb.conf"
    text = "".join(f"    {line}\n" for line in (f"ocpy:data directory = {place}", "ocpy:fqdn = localhost", *lines))
    config.write_text(f"[global]\n    dcerpc_mapiproxy:server = yes\n{text}", "utf-8")
    return load(config)


@contextlib.asynccontextmanager
async def started(settings: Settings, *addresses: str) -> AsyncIterator[Web]:
    served = Web(settings, Metrics(), {"/x": Everything()})
    try:
        await served.start(addresses or ["127.0.0.1"])
        yield served
    finally:
        await served.stop()


def test_without_a_certificate_nothing_listens(tmp_path: Path) -> None:
    async def main() -> None:
        async with started(settings_in(tmp_path)) as served:
            assert (served.https, served.http) == ([], [])

    run(main)


def test_a_port_without_a_certificate_is_an_error(tmp_path: Path) -> None:
    async def main() -> None:
        with pytest.raises(ConfigError, match="`ocpy provision` makes one"):
            async with started(settings_in(tmp_path, "ocpy:https port = 0")):
                pass

    run(main)


def test_https_on_any_port(tmp_path: Path) -> None:
    settings = settings_in(tmp_path, "ocpy:https port = 0")
    provision_certificate(settings)

    async def main() -> None:
        async with started(settings) as served:
            ((_, port),) = served.https
            async with raw_client(port, trusting(tmp_path / "tls" / "certificate.pem")) as client:
                assert (await client.answer(get("/x/echo")))[0] == 200

    run(main)


def test_another_port_where_the_usual_one_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    settings = settings_in(tmp_path)
    provision_certificate(settings)
    fixed = settings_in(tmp_path, "ocpy:https port = 0")

    async def main() -> None:
        async with started(fixed) as first:
            taken = first.https[0][1]
            monkeypatch.setattr(web, "HTTPS_PORT", taken)
            async with started(settings) as second:
                assert second.https[0][1] != taken
            with pytest.raises(ConfigError, match="another program"):
                async with started(settings_in(tmp_path, f"ocpy:https port = {taken}")):
                    pass

    run(main)
    assert "can't be bound" in caplog.text


def test_off(tmp_path: Path) -> None:
    settings = settings_in(tmp_path, "ocpy:https port = off")
    provision_certificate(settings)

    async def main() -> None:
        async with started(settings) as served:
            assert served.https == []

    run(main)


@pytest.mark.parametrize(
    ("lines", "address", "status"),
    [
        ([], "127.0.0.1", 200),
        ([], "0.0.0.0", None),
        (["ocpy:trusted proxies = 192.0.2.1"], "0.0.0.0", 403),
        (["ocpy:trusted proxies = 127.0.0.0/8"], "0.0.0.0", 200),
        (["ocpy:http without tls = yes"], "0.0.0.0", 200),
    ],
)
def test_plain_http_is_for_loopback_and_proxies(
    lines: list[str], address: str, status: int | None, tmp_path: Path
) -> None:
    async def main() -> None:
        settings = settings_in(tmp_path, "ocpy:http port = 0", *lines)
        if status is None:
            with pytest.raises(ConfigError, match="open to everybody"):
                async with started(settings, address):
                    pass
            return
        async with started(settings, address) as served, raw_client(served.http[0][1]) as client:
            assert (await client.answer(get("/x/echo")))[0] == status

    run(main)


def test_the_certificate_is_read_again(tmp_path: Path) -> None:
    first, second = make_pair(tmp_path), make_pair(tmp_path, "localhost2")
    lines = ["ocpy:https port = 0", f"ocpy:tls certificate = {first[0]}", f"ocpy:tls key = {first[1]}"]

    async def main() -> None:
        async with started(settings_in(tmp_path, *lines)) as served:
            for old, new in zip(first, second, strict=True):
                old.write_bytes(new.read_bytes())
            served.reconfigure(settings_in(tmp_path, *lines))
            async with raw_client(served.https[0][1], trusting(second[0]), "localhost2") as client:
                assert (await client.answer(get("/x/echo")))[0] == 200
            first[1].write_text("nothing", "utf-8")
            with pytest.raises(ConfigError, match="certificate"):
                served.reconfigure(settings_in(tmp_path, *lines))
            async with raw_client(served.https[0][1], trusting(second[0]), "localhost2") as client:
                assert (await client.answer(get("/x/echo")))[0] == 200

    run(main)
