"""The certificate of `ocpy provision`: its names, its key's mode, and that nothing is overwritten."""

from __future__ import annotations

import ssl
import stat
from pathlib import Path

from openchange_py.cli.certificate import host_names, provision_certificate, self_signed
from openchange_py.config import declared, load
from openchange_py.config.settings import Settings
from openchange_py.transports.tls import TlsCertificate
from tests.transports.http_parties import get, http_serving, raw_client, trusting
from tests.transports.serving import run


def settings_in(place: Path) -> Settings:
    config = place / "smb.conf"
    config.write_text(
        f"[global]\n    dcerpc_mapiproxy:server = yes\n    ocpy:data directory = {place}\n"
        "    ocpy:fqdn = Exch1.example.test\n    ocpy:mail domain = example.test\n",
        "utf-8",
    )
    return load(config)


def test_names() -> None:
    certificate, key = self_signed(["a.test", "b.test"])
    assert b"BEGIN CERTIFICATE" in certificate
    assert b"BEGIN PRIVATE KEY" in key


def test_the_pair_works_for_every_name_and_address(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    assert "created for exch1.example.test, autodiscover.example.test, localhost" in provision_certificate(settings)
    certificate, key = settings[declared.TLS_CERTIFICATE], settings[declared.TLS_KEY]
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert stat.S_IMODE(key.parent.stat().st_mode) == 0o700
    tls = TlsCertificate(certificate, key)

    async def main() -> None:
        async with http_serving(tls=tls) as (_, _, port):
            for name in (*host_names(settings), "127.0.0.1"):
                async with raw_client(port, trusting(certificate), name) as client:
                    assert (await client.answer(get("/x/echo")))[0] == 200

    run(main)
    assert ssl.PEM_cert_to_DER_cert(certificate.read_text("ascii"))


def test_what_is_there_is_kept(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    provision_certificate(settings)
    before = settings[declared.TLS_KEY].read_bytes()
    assert "there already" in provision_certificate(settings)
    assert settings[declared.TLS_KEY].read_bytes() == before
