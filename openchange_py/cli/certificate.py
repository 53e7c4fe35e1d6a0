"""The certificate that `ocpy provision` makes: signed by its own key, good for a start."""

from __future__ import annotations

import datetime
import ipaddress
import os
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from openchange_py.config import Settings, declared

#: What today's clients accept at most of a certificate that an administrator trusts by hand.
_LIFETIME: Final = datetime.timedelta(days=825)
#: Clocks of clients differ.
_BEFORE: Final = datetime.timedelta(hours=1)
#: An X.520 common name has at most so many characters.
_COMMON_NAME: Final = 64


def provision_certificate(settings: Settings) -> str:
    """Make certificate and key where neither is there; what was done, for a person."""
    certificate, key = settings[declared.TLS_CERTIFICATE], settings[declared.TLS_KEY]
    if certificate.exists() or key.exists():
        return f"Certificate {certificate}: there already"
    names = host_names(settings)
    pair = self_signed(names)
    for path, content in ((key, pair[1]), (certificate, pair[0])):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Never readable for others, not for a moment; not through a link that somebody else made.
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _mode(path, key)), "wb") as file:
            file.write(content)
    return (
        f"Certificate {certificate}: created for {', '.join(names)}; nobody signed it, clients must be told to trust it"
    )


def _mode(path: Path, key: Path) -> int:
    return 0o600 if path == key else 0o644


def host_names(settings: Settings) -> list[str]:
    """What clients may call this server: its name, what Autodiscover tries, and loopback, for a start."""
    names = [settings[declared.FQDN], f"autodiscover.{settings[declared.MAIL_DOMAIN]}", "localhost"]
    return list(dict.fromkeys(name.lower() for name in names))


def self_signed(names: list[str]) -> tuple[bytes, bytes]:
    """Certificate and private key in PEM. RSA, which every client of these protocols knows."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0][:_COMMON_NAME])])
    now = datetime.datetime.now(datetime.UTC)
    loopback = [x509.IPAddress(ipaddress.ip_address(address)) for address in ("127.0.0.1", "::1")]
    certificate = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - _BEFORE)
        .not_valid_after(now + _LIFETIME)
        .add_extension(x509.SubjectAlternativeName([*map(x509.DNSName, names), *loopback]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    return certificate.public_bytes(Encoding.PEM), key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
