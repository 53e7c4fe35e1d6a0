from openchange_py.servers.nspi.registry import METHODS, method
from openchange_py.wire.ndr import RpcMessage
from openchange_py.wire.oxnspi import NSPI


def test_a_function_is_registered_for_its_request_and_stays_callable(monkeypatch: object) -> None:
    class Request(RpcMessage):
        pass

    @method(Request, lambda request, code: request)
    def answer(book: object, request: object) -> RpcMessage:
        return RpcMessage()

    try:
        assert METHODS[Request].method is answer
    finally:
        del METHODS[Request]


def test_errors_are_answered_with_the_call_s_own_response() -> None:
    responses = {m.request: m.response for m in NSPI.methods.values()}
    stat = type("Request", (), {"stat": None, "delta": None, "version": 0})()
    for request, registered in METHODS.items():
        failed = registered.failed(stat, 0x80004005)
        assert isinstance(failed, responses[request] or ())
        assert failed.return_value == 0x80004005  # type: ignore[attr-defined]
