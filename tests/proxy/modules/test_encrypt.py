"""Module encrypt: nobody between the hops reads, changes or repeats anything."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest

from openchange_py.config import ConfigError
from openchange_py.proxy import hop_keys
from openchange_py.proxy.hop import REQUEST, RESPONSE
from openchange_py.proxy.hop_keys import new_key, read_keys, write_keys
from openchange_py.proxy.modules import encrypt
from openchange_py.proxy.modules.encrypt import WINDOW, EncryptModule
from openchange_py.proxy.testing import settings_of
from openchange_py.rpc.call import FaultStatus, RpcFault
from openchange_py.wire.buffer import DecodeError
from openchange_py.wire.rop.container import ContainerId, unwrapped, wrapped
from tests.proxy.parties import status_of
from tests.proxy.test_hop import ANSWER, PAYLOAD, Hops

SECRET = b"\x1d\0" + b"the subject of a message" + b"\0\0\0" + b"\7\0\0\0"
IN, OUT = REQUEST + b" 1/1", RESPONSE + b" 1/1"


class Clock:
    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    path = tmp_path / "hop.key"
    write_keys(path, dict([new_key({})]))
    return path


@pytest.fixture
def clock() -> Clock:
    return Clock()


def module(keys: Path, clock: Clock, **options: str) -> EncryptModule:
    made = EncryptModule(clock)
    given = {"key file": str(keys), **{name.replace("_", " "): value for name, value in options.items()}}
    made.init(settings_of(EncryptModule, {f"mpm_encrypt:{name}": value for name, value in given.items()}))
    return made


def parties(keys: Path, clock: Clock, **options: str) -> tuple[EncryptModule, EncryptModule]:
    near = module(keys, clock, **options)
    clock.now += 0.001
    return near, module(keys, clock, lasthop="yes", **options)


@pytest.mark.parametrize("cipher", ["chacha20-poly1305", "aes-256-gcm"])
def test_what_travels_can_t_be_read_and_arrives(keys: Path, clock: Clock, cipher: str) -> None:
    near, far = parties(keys, clock, cipher=cipher)
    passed = Hops([near], [far]).exchange(SECRET, ANSWER)
    assert (passed.asked, passed.answered) == (SECRET, ANSWER)
    for travelled in passed.between:
        assert b"subject" not in travelled
        assert len(travelled) <= max(len(SECRET), len(ANSWER)) + 7 + near.overhead
    again = Hops([near], [far]).exchange(SECRET, ANSWER)
    assert again.between[0][7 + 37 :] != passed.between[0][7 + 37 :], "never the same ciphertext twice"


def test_every_bit_counts(keys: Path, clock: Clock) -> None:
    near, far = parties(keys, clock)
    blob, _ = near.wrap(SECRET, IN, None)
    for position in range(len(blob)):
        changed = bytearray(blob)
        changed[position] ^= 1
        with pytest.raises(DecodeError):
            far.open(bytes(changed), IN, None)
    for end in range(len(blob)):
        with pytest.raises(DecodeError):
            far.open(blob[:end], IN, None)
    assert far.open(blob, IN, None)[0] == SECRET, "what failed took no number"


def test_nothing_is_taken_for_something_else(keys: Path, clock: Clock) -> None:
    near, far = parties(keys, clock)
    first, kept = near.wrap(SECRET, IN, None)
    _, asked = far.open(first, IN, None)
    assert kept == asked
    answer, _ = far.wrap(ANSWER, OUT, asked)
    second, other = near.wrap(SECRET, IN, None)
    for blob, direction, exchange in (
        (answer, OUT, other),  # another call's answer
        (answer, RESPONSE + b" 2/2", kept),  # another part of it
        (answer, IN, None),  # a request
        (second, OUT, kept),  # a request for an answer
    ):
        with pytest.raises(DecodeError, match="for something else"):
            near.open(blob, direction, exchange)
    assert near.open(answer, OUT, kept)[0] == ANSWER


def test_a_replay_is_refused(keys: Path, clock: Clock) -> None:
    near, far = parties(keys, clock)
    blobs = [near.wrap(SECRET, IN, None)[0] for _ in range(3)]
    for blob in (blobs[1], blobs[0], blobs[2]):  # calls overtake each other
        assert far.open(blob, IN, None)[0] == SECRET
    for number, blob in enumerate(blobs, 1):
        with pytest.raises(DecodeError, match=f"message {number} was received already"):
            far.open(blob, IN, None)
    late = near.wrap(SECRET, IN, None)[0]
    for _ in range(WINDOW):
        newest = near.wrap(SECRET, IN, None)[0]
    far.open(newest, IN, None)
    with pytest.raises(DecodeError, match="message 4 was received already"):
        far.open(late, IN, None)


def test_a_replay_through_both_hops_is_a_clear_fault(keys: Path, clock: Clock) -> None:
    near, far = parties(keys, clock)
    recorded = Hops([near], [far]).exchange(SECRET, ANSWER).between[0]
    with pytest.raises(RpcFault, match="encrypt: message 1 was received already") as caught:
        Hops([near], [far]).exchange(SECRET, ANSWER, tamper=lambda sent: recorded)
    assert status_of(caught) == FaultStatus.SEC_PKG_ERROR


def test_what_is_old_or_from_before_the_start_is_refused(keys: Path, clock: Clock) -> None:
    near, far = parties(keys, clock, max_age="60")
    blob, _ = near.wrap(SECRET, IN, None)
    clock.now += 61
    with pytest.raises(DecodeError, match="sealed 61 s ago; do the clocks of both hops agree"):
        far.open(blob, IN, None)
    blob, _ = near.wrap(SECRET, IN, None)
    clock.now -= 61
    with pytest.raises(DecodeError, match="sealed -61 s ago"):
        far.open(blob, IN, None)
    blob, _ = near.wrap(SECRET, IN, None)
    clock.now += 1
    restarted = module(keys, clock, lasthop="yes")
    with pytest.raises(DecodeError, match="before this hop was started"):
        restarted.open(blob, IN, None)


def test_plain_buffers_pass_neither_hop(keys: Path, clock: Clock) -> None:
    near, far = parties(keys, clock)
    for tampered in ({"tamper": lambda sent: PAYLOAD}, {"tamper_answer": lambda back: ANSWER}):
        with pytest.raises(RpcFault, match="that is not encrypted"):
            Hops([near], [far]).exchange(PAYLOAD, ANSWER, **tampered)


def test_a_hop_with_another_key_says_so(keys: Path, clock: Clock, tmp_path: Path) -> None:
    other = tmp_path / "other.key"
    write_keys(other, dict([new_key({})]))
    near, far = module(keys, clock), module(other, clock, lasthop="yes")
    key_id = next(iter(read_keys(keys))).hex()
    with pytest.raises(RpcFault, match=f"key {key_id} is not in the key file"):
        Hops([near], [far]).exchange(PAYLOAD, ANSWER)


def test_keys_are_changed_without_a_break(tmp_path: Path, clock: Clock) -> None:
    old, new = new_key({}), new_key({})
    one, both = tmp_path / "one", tmp_path / "both"
    write_keys(one, dict([old]))
    write_keys(both, dict([new, old]))
    before, after = module(one, clock), module(both, clock)
    clock.now += 0.001
    far = module(both, clock, lasthop="yes")
    for near in (before, after):
        blob, _ = near.wrap(SECRET, IN, None)
        assert far.open(blob, IN, None)[0] == SECRET
    assert far.open(after.wrap(SECRET, IN, None)[0], IN, None)[0] == SECRET


def test_another_key_under_the_same_id_is_another_key(
    keys: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hop_keys, "_INTERVAL", 0.0)
    near, far = parties(keys, clock)
    far.open(near.wrap(SECRET, IN, None)[0], IN, None)
    stolen = module(keys, clock)
    blob, _ = stolen.wrap(SECRET, IN, None)
    far.open(stolen.wrap(SECRET, IN, None)[0], IN, None)
    write_keys(keys, {key_id: new_key({})[1] for key_id in read_keys(keys)})
    with pytest.raises(DecodeError, match="sealed with another key"):
        far.open(blob, IN, None)
    assert far.open(near.wrap(SECRET, IN, None)[0], IN, None)[0] == SECRET


def test_what_was_sealed_in_one_session_context_is_not_taken_in_another(keys: Path, clock: Clock) -> None:
    """Who listens and holds back a request must not be able to have it done with his own handles."""
    near, far = parties(keys, clock)
    hops = Hops([near], [far])
    hops.exchange(SECRET, ANSWER)
    other = bytes(4) + uuid.uuid4().bytes_le
    with pytest.raises(RpcFault, match="sealed with another key, for something else") as caught:
        hops.exchange(SECRET, ANSWER, diverted=other)
    assert status_of(caught) == FaultStatus.SEC_PKG_ERROR


def test_streams_are_forgotten_when_nothing_of_them_can_come_any_more(
    keys: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encrypt, "MAXIMUM_STREAMS", 2)
    _, far = parties(keys, clock, max_age="60")
    recorded = [module(keys, clock).wrap(SECRET, IN, None)[0] for _ in range(4)]
    for blob in recorded:
        far.open(blob, IN, None)
    for blob in recorded:
        with pytest.raises(DecodeError, match="received already"):
            far.open(blob, IN, None)
    clock.now += 61
    far.open(module(keys, clock).wrap(SECRET, IN, None)[0], IN, None)
    assert len(far._seen) == 2


def test_a_key_file_is_needed(tmp_path: Path, clock: Clock) -> None:
    with pytest.raises(ConfigError, match="is needed; `ocpy hopkey create FILE` makes one"):
        EncryptModule(clock).init(settings_of(EncryptModule))


def test_any_bytes_in_a_container_are_a_decode_error(keys: Path, clock: Clock) -> None:
    _, far = parties(keys, clock)
    for size in (0, 1, 36, 37, 52, 53, 200):
        buffer = wrapped(ContainerId.Encrypted, bytes([1]) * size)
        blob = unwrapped(ContainerId.Encrypted, buffer)
        assert blob is not None
        with pytest.raises(DecodeError):
            far.open(blob, IN, None)
