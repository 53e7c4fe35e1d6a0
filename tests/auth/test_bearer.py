"""Bearer tokens: whose are taken, which are not, and where the keys come from."""

from __future__ import annotations

import contextlib
import http.server
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from openchange_py.auth.bearer import BearerTokens, Issuer, KeySet, KeySetError, check_source, fetch, parse_keys
from openchange_py.rpc.security import SecurityError
from tests.auth.clock import Clock
from tests.auth.ntlm_parties import Accounts

ISSUER, AUDIENCE = "https://login.example.test/", "https://mail.example.test"
RSA_KEY, EC_KEY = rsa.generate_private_key(65537, 2048), ec.generate_private_key(ec.SECP256R1())
OTHER_KEY = rsa.generate_private_key(65537, 2048)


def key_set(**keys: Any) -> bytes:
    """A JWK set of public keys by id."""
    entries = []
    for key_id, key in keys.items():
        algorithm = jwt.algorithms.RSAAlgorithm if isinstance(key, rsa.RSAPrivateKey) else jwt.algorithms.ECAlgorithm
        entries.append(json.loads(algorithm.to_jwk(key.public_key())) | {"kid": key_id, "use": "sig"})
    return json.dumps({"keys": entries}).encode()


def token(key: Any = RSA_KEY, key_id: str | None = "r", algorithm: str = "RS256", **claims: Any) -> str:
    """A token that is good but for what is said."""
    now = int(time.time())
    content = {"iss": ISSUER, "aud": AUDIENCE, "exp": now + 600, "upn": "alice@example.test"} | claims
    content = {name: value for name, value in content.items() if value is not None}
    return jwt.encode(content, key, algorithm, headers={"kid": key_id} if key_id is not None else None)


@pytest.fixture
def tokens(tmp_path: Path) -> BearerTokens:
    path = tmp_path / "keys.json"
    path.write_bytes(key_set(r=RSA_KEY, e=EC_KEY))
    return BearerTokens(Issuer(ISSUER, [AUDIENCE, "second"]), KeySet(path), Accounts(), "EXAMPLE")


@pytest.mark.parametrize(
    "good",
    [
        token,
        lambda: token(EC_KEY, "e", "ES256"),
        lambda: token(RSA_KEY, "r", "PS256"),
        lambda: token(aud=["x", "second"]),
        # Made in the test: how long ago this file was read nobody knows.
        lambda: token(exp=int(time.time()) - 10),
    ],
    ids=["RS256", "ES256", "PS256", "audiences", "clocks differ"],
)
def test_good_tokens(good: Callable[[], str], tokens: BearerTokens) -> None:
    identity = tokens.identity(good())
    assert (identity.account, identity.domain) == ("alice", "EXAMPLE")


def test_the_first_claim_that_is_there_counts(tmp_path: Path) -> None:
    (path := tmp_path / "keys.json").write_bytes(key_set(r=RSA_KEY))
    issuer = Issuer(ISSUER, [AUDIENCE], ("upn", "mailbox"))
    tokens = BearerTokens(issuer, KeySet(path), Accounts(), "EXAMPLE")
    assert tokens.identity(token(upn=None, mailbox="alice")).account == "alice"
    with pytest.raises(SecurityError):
        tokens.identity(token(upn="nobody", mailbox="alice"))


def _changed(text: str) -> str:
    head, body, signature = text.split(".")
    return f"{head}.{body[:-2]}{'AA' if not body.endswith('AA') else 'BB'}.{signature}"


@pytest.mark.parametrize(
    "bad",
    [
        token(OTHER_KEY),
        token(key_id="unknown"),
        token(key_id=None),
        token(EC_KEY, "r", "ES256"),
        token("secret" * 8, "r", "HS256"),
        token(RSA_KEY.public_key().public_numbers().n.to_bytes(256, "big"), "r", "HS256"),
        jwt.encode({"iss": ISSUER, "aud": AUDIENCE, "exp": 9999999999, "upn": "alice"}, None, "none", {"kid": "r"}),
        token(iss="https://else.test/"),
        token(iss=None),
        token(aud="else"),
        token(aud=None),
        token(exp=int(time.time()) - 3600),
        token(exp=None),
        token(nbf=int(time.time()) + 3600),
        token(upn="nobody"),
        token(upn="carol"),
        token(upn=None),
        token(upn=None, preferred_username="alice"),
        token(upn=None, email="alice"),
        token(upn={"a": 1}),
        token(upn="alice\n"),
        _changed(token()),
        "",
        "a.b.c",
        "e30.e30.",
        "." * 5000,
    ],
    ids=lambda _: "token",  # by their number: what is in them depends on the time
)
def test_tokens_that_are_refused(bad: str, tokens: BearerTokens) -> None:
    with pytest.raises(SecurityError):
        tokens.identity(bad)


def test_the_challenge(tokens: BearerTokens) -> None:
    assert tokens.challenge('a"b') == (f'Bearer realm="a\\"b", client_id="{AUDIENCE}", trusted_issuers="{ISSUER}"')


@pytest.mark.parametrize("data", [b"", b"[]", b'{"keys": 1}', b'{"keys": [1]}', b'{"keys": []}', b"[" * 100_000])
def test_what_is_no_key_set(data: bytes) -> None:
    with pytest.raises(KeySetError):
        parse_keys(data)


def test_keys_that_sign_nothing_are_left_out() -> None:
    secret = {"kty": "oct", "k": "c2VjcmV0", "kid": "s"}
    entries = [*json.loads(key_set(r=RSA_KEY))["keys"], secret]
    assert list(parse_keys(json.dumps({"keys": entries}).encode())) == ["r"]


def test_a_file_is_read_again_when_it_changed(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    path.write_bytes(key_set(a=RSA_KEY))
    keys = KeySet(path)
    assert keys.key("a") is keys.key("")
    path.write_bytes(key_set(b=RSA_KEY, c=EC_KEY))
    assert keys.key("b")
    for missing in ("a", ""):
        with pytest.raises(KeySetError, match="no key"):
            keys.key(missing)
    path.unlink()
    with pytest.raises(KeySetError, match="No such file"):
        keys.key("b")


def test_a_url_is_asked_seldom() -> None:
    answers, asked = [key_set(a=RSA_KEY), key_set(a=RSA_KEY, b=EC_KEY), b"nothing"], []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(answers[min(len(asked), 3) - 1])

        def log_message(self, *arguments: Any) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        clock = Clock()
        keys = KeySet(f"http://127.0.0.1:{server.server_port}/keys", clock=clock)
        assert keys.key("a")
        for _ in range(5):
            with pytest.raises(KeySetError):
                keys.key("b")
        assert asked == ["/keys"]
        clock.now += 61
        assert keys.key("a")
        assert keys.key("b")
        clock.now += 3601
        assert keys.key("b")  # the answer is no key set: what was known stays
        assert len(asked) == 3
        server.shutdown()
        thread.join()
    with pytest.raises(KeySetError):
        KeySet(f"http://127.0.0.1:{server.server_port}/keys").key("a")


@contextlib.contextmanager
def answering(answer: Callable[[socket.socket], None]) -> Iterator[str]:
    """The URL of a server that does this with each connection behind its request."""
    listener, threads = socket.create_server(("127.0.0.1", 0)), []

    def serve(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            connection.recv(4096)
            answer(connection)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                threads.append(threading.Thread(target=serve, args=(listener.accept()[0],)))
                threads[-1].start()

    thread = threading.Thread(target=accept)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/keys"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()
        for one in threads:
            one.join()


def test_a_redirection_is_not_followed() -> None:
    elsewhere = []

    def other(connection: socket.socket) -> None:
        elsewhere.append(connection)

    with (
        answering(other) as target,
        answering(
            lambda connection: connection.sendall(f"HTTP/1.1 302 Found\r\nLocation: {target}\r\n\r\n".encode())
        ) as url,
        pytest.raises(KeySetError, match="status 302"),
    ):
        KeySet(url).key("a")
    assert not elsewhere


@pytest.mark.parametrize("start", [b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"])
def test_a_server_that_never_comes_to_an_end_is_cut_off(start: bytes) -> None:
    done = threading.Event()

    def trickle(connection: socket.socket) -> None:
        connection.sendall(start)
        while not done.wait(0.01):
            connection.sendall(b"x")

    with answering(trickle) as url:
        with pytest.raises(KeySetError, match=r"within 0\.2 s"):
            fetch(url, 0.2)
        done.set()


def test_who_knows_the_key_does_not_wait_for_who_asks() -> None:
    asked, go_on, clock = threading.Semaphore(0), threading.Semaphore(0), Clock()

    def answer(connection: socket.socket) -> None:
        asked.release()
        go_on.acquire()
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n" + key_set(a=RSA_KEY, b=EC_KEY))

    with answering(answer) as url, ThreadPoolExecutor(3) as pool:
        keys = KeySet(url, clock=clock)
        first = [pool.submit(keys.key, "a") for _ in range(2)]  # one asks, the other one waits for it
        asked.acquire()
        go_on.release()
        assert all(future.result(5) for future in first)
        clock.now += 3601
        again = pool.submit(keys.key, "a")
        asked.acquire()
        assert keys.key("a")
        assert keys.key("b")
        go_on.release()
        assert again.result(5)
        assert not asked.acquire(blocking=False)


def test_where_keys_may_come_from() -> None:
    assert check_source("/etc/keys.json") == Path("/etc/keys.json")
    assert check_source("https://login.example.test/keys") == "https://login.example.test/keys"
    for wrong in ("http://login.example.test/keys", "keys.json", "file:///etc/passwd"):
        with pytest.raises(ValueError, match="neither"):
            check_source(wrong)
