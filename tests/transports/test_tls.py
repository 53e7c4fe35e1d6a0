"""Certificates: the hash for channel binding, and taking others while serving."""

from __future__ import annotations

import hashlib
import ssl
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes

from openchange_py.transports.tls import TlsCertificate, TlsError
from tests.transports.http_parties import get, http_serving, make_pair, raw_client, trusting
from tests.transports.serving import run


@pytest.mark.parametrize(
    ("algorithm", "name"), [(hashes.SHA256(), "sha256"), (hashes.SHA384(), "sha384"), (hashes.SHA512(), "sha512")]
)
def test_the_end_point_is_the_hash_by_the_signatures_algorithm(
    algorithm: hashes.HashAlgorithm, name: str, tmp_path: Path
) -> None:
    certificate, key = make_pair(tmp_path, algorithm=algorithm)
    der = ssl.PEM_cert_to_DER_cert(certificate.read_text("ascii"))
    assert TlsCertificate(certificate, key).end_point == hashlib.new(name, der).digest()


def test_new_connections_get_the_new_certificate(tmp_path: Path) -> None:
    first, second = make_pair(tmp_path), make_pair(tmp_path / "..", "localhost")
    tls = TlsCertificate(*first)

    async def main() -> None:
        async with http_serving(tls=tls) as (_, resource, port):
            async with raw_client(port, trusting(first[0])) as client:
                tls.reload(*second)
                assert (await client.answer(get("/x/echo")))[0] == 200
                with pytest.raises(ssl.SSLError):
                    async with raw_client(port, trusting(first[0])):
                        pass
                async with raw_client(port, trusting(second[0])) as other:
                    assert (await other.answer(get("/x/echo")))[0] == 200
            before, after = (request.channel.end_point for request in resource.requests)
            assert before != after == tls.end_point

    run(main)


def test_what_cannot_be_used_changes_nothing(tmp_path: Path) -> None:
    certificate, key = make_pair(tmp_path)
    other, _ = make_pair(tmp_path, "other.test")
    tls = TlsCertificate(certificate, key)
    before = tls.end_point
    for bad in ((tmp_path / "missing", key), (other, key), (key, key), (certificate, certificate)):
        with pytest.raises(TlsError, match=bad[0].name):
            tls.reload(*bad)
    assert tls.end_point == before
