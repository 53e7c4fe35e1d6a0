"""Channel bindings: that a logon was made for this TLS channel, and not for one that somebody relays. RFC 5929.

Only tls-server-end-point is done, which is what Windows clients send over HTTP ([MS-NLMP] 3.1.5.1.2, RFC 4121 4.1.1.2).
"""

from __future__ import annotations

import dataclasses
import hashlib
from typing import Final

_PREFIX: Final = b"tls-server-end-point:"


@dataclasses.dataclass(frozen=True, slots=True)
class ChannelBindings:
    """What a client's logon must say of the channel, where it says something; `required`: it must."""

    #: The hash of the server's certificate.
    end_point: bytes
    required: bool = False

    @property
    def application_data(self) -> bytes:
        """For GSSAPI."""
        return _PREFIX + self.end_point

    @property
    def ntlm_hash(self) -> bytes:
        """MsvAvChannelBindings ([MS-NLMP] 2.2.2.1): MD5 of gss_channel_bindings_struct without addresses."""
        data = self.application_data
        packed = bytes(16) + len(data).to_bytes(4, "little") + data
        return hashlib.md5(packed, usedforsecurity=False).digest()
