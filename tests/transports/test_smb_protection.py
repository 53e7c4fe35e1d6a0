"""Keys and signatures of SMB 3 as Microsoft computed them, and what was changed on the way.

The numbers are those of the appendix of Microsoft's "SMB 2 and SMB 3 security in Windows 10: the anatomy of signing
and cryptographic keys" (Open Specifications blog, 2017).
"""

from __future__ import annotations

import pytest

from openchange_py.rpc.security import SecurityError
from openchange_py.transports.smb_protection import PreauthHash, Protection, _derived
from openchange_py.wire.smb2 import PLAIN, SEALED, Cipher, Dialect, Flag, Header

KEY_300 = bytes.fromhex("7cd451825d0450d235424e44ba6e78cc")
KEY_311 = bytes.fromhex("270e1ba896585eeb7af3472d3b4c75a7")
HASH_311 = bytes.fromhex(
    "0dd13628cc3ed218ef9df9772d436d0887ab9814bfae63a80aa845f36909db79"
    "28622dddad522d9751640a459762c5a9d6bb084cbb3ce6bdadef5d5bce3c6c01"
)
#: The last SESSION_SETUP response of that session, with its signature.
SIGNED_311 = bytes.fromhex(
    "fe534d4240000100000000000100800009000000000000000300000000000000fffe000000000000"
    "1900000000100000ebe146da120ba25fc3376a49dfe31bc10900000048001d00a11b3019a0030a01"
    "00a3120410010000003b453cdc3524164200000000"
)
MESSAGE = Header.of(8, 5, 0x25, 1, flags=Flag.SIGNED).pack() + b"the body of a message"
CIPHERS = list(Cipher)


@pytest.mark.parametrize(
    ("key", "label", "context", "derived"),
    [
        (KEY_300, b"SMB2AESCMAC\0", b"SmbSign\0", "0b7e9c5cac36c0f6ea9ab275298cedce"),
        (KEY_300, b"SMB2AESCCM\0", b"ServerIn \0", "fad27796665b313ebb578f388632b4f7"),
        (KEY_300, b"SMB2AESCCM\0", b"ServerOut\0", "b0f0427f7ceb416d1d9dcc0cd4f99447"),
        (KEY_311, b"SMBSigningKey\0", HASH_311, "73fe7a9a77bef0bde49c650d8ccb5f76"),
        (KEY_311, b"SMBC2SCipherKey\0", HASH_311, "629bcbc54422a0f572b97f45989b6073"),
        (KEY_311, b"SMBS2CCipherKey\0", HASH_311, "e2af0dcefac68da71a0dfbd0d1350d74"),
    ],
)
def test_keys_are_those_of_windows(key: bytes, label: bytes, context: bytes, derived: str) -> None:
    assert _derived(key, label, context, b"", 16).hex() == derived


def test_a_signature_of_windows() -> None:
    protection = Protection(Dialect.SMB_3_1_1, KEY_311, HASH_311, Cipher.AES_128_GCM)
    protection.verify(SIGNED_311)
    assert protection.signed(SIGNED_311) == SIGNED_311
    with pytest.raises(SecurityError, match="signature"):
        protection.verify(SIGNED_311[:-1] + b"\x01")


@pytest.mark.parametrize("dialect", list(Dialect))
def test_signatures_of_each_dialect(dialect: Dialect) -> None:
    client = Protection(dialect, KEY_300, HASH_311, None)
    server = Protection(dialect, KEY_300, HASH_311, None, client=False)
    signed = client.signed(MESSAGE)
    server.verify(signed)
    assert signed != MESSAGE
    for wrong in (signed[:20] + b"\xff" + signed[21:], MESSAGE):
        with pytest.raises(SecurityError):
            server.verify(wrong)
    assert not client.can_seal


@pytest.mark.parametrize("cipher", CIPHERS)
def test_each_cipher(cipher: Cipher) -> None:
    key = KEY_300 + KEY_311 if cipher >= Cipher.AES_256_CCM else KEY_300
    client = Protection(Dialect.SMB_3_1_1, key, HASH_311, cipher)
    server = Protection(Dialect.SMB_3_1_1, key, HASH_311, cipher, client=False)
    first, second = client.sealed(MESSAGE, 0x25), client.sealed(MESSAGE, 0x25)
    assert first.startswith(SEALED)
    assert first != second, "no nonce is used twice"
    assert server.unsealed(first) == server.unsealed(second) == MESSAGE
    assert client.unsealed(server.sealed(MESSAGE, 0x25)) == MESSAGE
    for place in (4, 21, 45, 60):
        with pytest.raises(SecurityError, match="changed"):
            server.unsealed(first[:place] + bytes([first[place] ^ 1]) + first[place + 1 :])


def test_without_encryption_nothing_is_sealed() -> None:
    protection = Protection(Dialect.SMB_2_1, KEY_300, b"", Cipher.AES_128_CCM)
    with pytest.raises(SecurityError, match="does not encrypt"):
        protection.sealed(MESSAGE, 1)
    with pytest.raises(SecurityError, match="not agreed on"):
        protection.unsealed(SEALED + bytes(100))


def test_the_hash_is_of_all_messages_in_their_order() -> None:
    one, other = PreauthHash(), PreauthHash()
    one.add(PLAIN + b"1")
    one.add(PLAIN + b"2")
    other.add(PLAIN + b"2")
    other.add(PLAIN + b"1")
    assert len(one.value) == 64
    assert one.value != other.value
