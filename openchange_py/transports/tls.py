"""TLS: a server's certificate and key, which can be read again while it runs; whom a client believes; channel bindings.

The channel binding is RFC 5929's.
"""

from __future__ import annotations

import hashlib
import hmac
import ssl
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

#: RFC 5929 4.1: SHA-256 stands for what is weaker.
_WEAK: Final = (hashes.MD5, hashes.SHA1)


class TlsError(Exception):
    """Certificate or key cannot be used; the text names the file and says why."""


class TlsCertificate:
    """A context for servers, TLS 1.2 and later. Raises `TlsError`."""

    def __init__(self, certificate: Path, key: Path) -> None:
        self.context = _context()
        self._load(certificate, key)

    def reload(self, certificate: Path, key: Path) -> None:
        """Take other files, for connections to come. Raises `TlsError`, and then everything is as before."""
        self._load(certificate, key)

    def _load(self, certificate: Path, key: Path) -> None:
        first = _first_certificate(certificate)
        for context in (_context(), self.context):  # tried out before it is taken
            try:
                context.load_cert_chain(certificate, key)
            except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
                raise TlsError(f"certificate {certificate} with key {key}: {error}") from error
        #: The first certificate of the file.
        self.certificate = first
        #: tls-server-end-point: the certificate's hash.
        self.end_point = end_point(first)


class ClientTls:
    """Whom a client believes, TLS 1.2 and later: a server's name signed by the CAs of a file, or of the system.

    With `pin`, the SHA-256 of the server's certificate (64 hexadecimal digits, colons allowed), neither name nor CA
    count. Raises `TlsError`.
    """

    def __init__(self, authorities: Path | None = None, pin: str = "") -> None:
        try:
            self.context = ssl.create_default_context(cafile=None if authorities is None else str(authorities))
        except (OSError, ValueError) as error:
            raise TlsError(f"no certificates of authorities in {authorities}: {error}") from error
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        self.context.set_alpn_protocols(["http/1.1"])
        self._pin = pin.replace(":", "").lower()
        if self._pin:
            self.context.check_hostname = False
            self.context.verify_mode = ssl.CERT_NONE

    def check(self, certificate: bytes) -> None:
        """Look at the certificate (DER) that a server showed. Raises `ssl.SSLError`."""
        if self._pin and not hmac.compare_digest(hashlib.sha256(certificate).hexdigest(), self._pin):
            raise ssl.SSLError(f"another certificate than the pinned one: {hashlib.sha256(certificate).hexdigest()}")


def _context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["http/1.1"])
    return context


def _first_certificate(path: Path) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificates(path.read_bytes())[0]
    except (OSError, ValueError, IndexError) as error:
        raise TlsError(f"no certificate in {path}: {error}") from error


def end_point(certificate: x509.Certificate) -> bytes:
    """RFC 5929 4.1: the certificate's hash, by its signature's hash function; SHA-256 where that is weak or none."""
    algorithm = certificate.signature_hash_algorithm
    if algorithm is None or isinstance(algorithm, _WEAK):
        algorithm = hashes.SHA256()
    digest = hashes.Hash(algorithm)
    digest.update(certificate.public_bytes(Encoding.DER))
    return digest.finalize()
