"""All targets."""

from __future__ import annotations

from tests.fuzz import (
    fuzz_auth,
    fuzz_domain,
    fuzz_files,
    fuzz_hop,
    fuzz_http,
    fuzz_http_clients,
    fuzz_mapi,
    fuzz_names,
    fuzz_recordings,
    fuzz_representation,
    fuzz_restrictions,
    fuzz_rpc,
    fuzz_rpch,
    fuzz_servers,
    fuzz_smb,
    fuzz_transports,
)
from tests.fuzz.target import TARGETS

__all__ = [
    "TARGETS",
    "fuzz_auth",
    "fuzz_domain",
    "fuzz_files",
    "fuzz_hop",
    "fuzz_http",
    "fuzz_http_clients",
    "fuzz_mapi",
    "fuzz_names",
    "fuzz_recordings",
    "fuzz_representation",
    "fuzz_restrictions",
    "fuzz_rpc",
    "fuzz_rpch",
    "fuzz_servers",
    "fuzz_smb",
    "fuzz_transports",
]
