"""Module compress: what is short between two hops, and what a hop makes of frames that nobody should send."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import zstandard

from openchange_py.config import ConfigError
from openchange_py.proxy.hop import REQUEST
from openchange_py.proxy.modules.compress import MAXIMUM_SIZE, STORED, ZSTD, CompressModule, load_dictionary
from openchange_py.proxy.modules.pack import PackModule
from openchange_py.proxy.testing import settings_of
from openchange_py.rpc.call import FaultStatus, RpcFault
from openchange_py.wire.buffer import DecodeError
from openchange_py.wire.rop.base import RopReleaseRequest
from openchange_py.wire.rop.buffer import RopBuffer
from openchange_py.wire.rop.container import Container, ContainerId
from openchange_py.wire.rop.oxcprpt_streams import RopReadStreamRequest, RopReadStreamResponse, RopWriteStreamRequest
from tests.proxy.parties import status_of
from tests.proxy.test_hop import Hops

TEXT = b"Please find attached the report of this week's meeting. Thanks and regards. " * 40


def module(**options: str) -> CompressModule:
    made = CompressModule()
    made.init(settings_of(CompressModule, {f"mpm_compress:{name}": value for name, value in options.items()}))
    return made


def hops(**options: str) -> Hops:
    return Hops([module(**options)], [module(lasthop="yes", **options)])


def test_both_ways_are_short_and_come_out_as_they_went_in() -> None:
    request = RopBuffer([RopWriteStreamRequest(0, 0, TEXT)], [7]).pack()
    response = RopBuffer([RopReadStreamResponse(0, 0, TEXT)], [7]).pack()
    passed = hops().exchange(request, response)
    assert (passed.asked, passed.answered) == (request, response)
    assert len(passed.between[0]) < len(request) / 10
    assert len(passed.between[1]) < len(response) / 10


def test_what_does_not_get_shorter_is_stored() -> None:
    one = module()
    blob, _ = one.wrap(b"\x99", REQUEST, None)
    assert blob == STORED + b"\x99"
    assert one.open(blob, REQUEST, None)[0] == b"\x99"


def test_the_dictionary_shortens_what_it_was_trained_on() -> None:
    """An ordinary small request and nothing but it: without a dictionary there is nothing to begin with."""
    data = RopBuffer([RopReleaseRequest(0, 0), RopReadStreamRequest(0, 1, 0x1000)], [1, 2]).pack() * 3
    plain = zstandard.ZstdCompressor(level=9).compress(data)
    assert len(module().wrap(data, REQUEST, None)[0]) < len(plain)


def test_hops_with_different_dictionaries_say_so(tmp_path: Path) -> None:
    samples = [f"sample {number % 7} of {number} is like others".encode() * 9 for number in range(400)]
    other = tmp_path / "other.zdict"
    other.write_bytes(zstandard.train_dictionary(1024, samples).as_bytes())
    blob, _ = module(dictionary=str(other)).wrap(TEXT, REQUEST, None)
    with pytest.raises(DecodeError, match="another dictionary"):
        module().open(blob, REQUEST, None)


def frame(data: bytes, **options: bool) -> bytes:
    form = zstandard.ZstdCompressionParameters.from_level(
        3, format=zstandard.FORMAT_ZSTD1_MAGICLESS, write_dict_id=False, **options
    )
    compressor = zstandard.ZstdCompressor(compression_params=form, dict_data=load_dictionary(None))
    return ZSTD + module()._dictionary + compressor.compress(data)


@pytest.mark.parametrize(
    ("blob", "reason"),
    [
        (b"", "stored in way none"),
        (b"\7abc", "stored in way 07"),
        (ZSTD, "another dictionary"),
        (frame(TEXT)[:9], ".+"),
        (frame(bytes(MAXIMUM_SIZE + 1), write_content_size=True), f"a compressed buffer of {MAXIMUM_SIZE + 1} bytes"),
        (frame(TEXT, write_content_size=False), "a compressed buffer of -1 bytes"),
        (frame(TEXT)[:20] + b"\xff" * 30, ".+"),
    ],
)
def test_frames_that_nobody_should_send(blob: bytes, reason: str) -> None:
    with pytest.raises(DecodeError, match=reason):
        module().open(blob, REQUEST, None)


def test_a_buffer_that_no_container_holds_is_refused_without_a_traceback(caplog: pytest.LogCaptureFixture) -> None:
    noise = random.Random(1).randbytes(0xFFFB - 6)
    largest = RopBuffer([], [], b"\xf0\0\0\0" + noise).pack()
    assert len(largest) <= 0xFFFF
    with pytest.raises(RpcFault, match="65539 at 0") as caught:
        Hops([module()], [module(lasthop="yes")]).exchange(largest, b"\2\0")
    assert status_of(caught) == FaultStatus.BAD_STUB_DATA
    packed = Container(ContainerId.Compressed, module().wrap(bytes(0xFFF0), REQUEST, None)[0]).pack()
    request = RopBuffer([RopWriteStreamRequest(0, 0, bytes(100))], [7], packed).pack()
    with pytest.raises(RpcFault) as caught:
        Hops([], [module(scope="packed", lasthop="yes")]).exchange(request, b"\2\0")
    assert status_of(caught) == FaultStatus.BAD_STUB_DATA
    assert "Traceback" not in caplog.text


def test_only_what_was_packed() -> None:
    pack = {"mpm_pack:opnums": "0x2D"}
    near, last = PackModule(), PackModule()
    near.init(settings_of(PackModule, pack))
    last.init(settings_of(PackModule))
    between = Hops([near, module(scope="packed")], [module(scope="packed", lasthop="yes"), last])
    request = RopBuffer([RopReadStreamRequest(0, 0, 9), RopWriteStreamRequest(0, 0, TEXT)], [7]).pack()
    response = RopBuffer([RopReadStreamResponse(0, 0, TEXT)], [7]).pack()
    passed = between.exchange(request, response)
    assert (passed.asked, passed.answered) == (request, response)
    assert RopReadStreamRequest(0, 0, 9).pack() in passed.between[0], "what is left in place can be read"
    assert len(passed.between[0]) < len(request) / 5
    assert passed.between[1] == response
    small = RopBuffer([RopReadStreamRequest(0, 0, 9)], [7]).pack()
    assert between.exchange(small, response).between[0] == small


def test_a_file_that_is_no_dictionary(tmp_path: Path) -> None:
    (tmp_path / "none").write_bytes(b"anything")
    with pytest.raises(ValueError, match="no zstd dictionary"):
        module(dictionary=str(tmp_path / "none"))
    with pytest.raises(OSError, match="No such file"):
        module(dictionary=str(tmp_path / "absent"))
    with pytest.raises(ConfigError, match="not between 1 and 19"):
        module(level="20")
