"""What became of a request's credentials, before anything is said of them."""

from __future__ import annotations

from openchange_py.rpc.web_logon import Channel, Outcome


def test_nothing_is_assumed() -> None:
    channel = Channel("192.0.2.1:7", secure=False)
    assert (channel.shared, channel.end_point) == (False, None)
    outcome = Outcome(None)
    assert (outcome.fields, outcome.scheme, outcome.failed) == ((), "", False)
