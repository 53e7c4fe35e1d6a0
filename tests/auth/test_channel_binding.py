"""The hash that NTLM clients send."""

from __future__ import annotations

import hashlib

from openchange_py.auth.channel_binding import ChannelBindings


def test_the_hash_is_of_the_structure_of_rfc_2744() -> None:
    bindings = ChannelBindings(b"\x01" * 32)
    assert bindings.application_data == b"tls-server-end-point:" + b"\x01" * 32
    # initiator type and length, acceptor type and length, application data's length, and the data.
    packed = b"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x35\0\0\0" + bindings.application_data
    assert bindings.ntlm_hash == hashlib.md5(packed).digest()
