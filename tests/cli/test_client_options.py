"""Where `ocpy client` gets server, account and password from, and how it says what went wrong."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from openchange_py.auth import kerberos
from openchange_py.cli.client_options import describe, printable_error
from openchange_py.client.errors import AmbiguousName, ClientError
from openchange_py.rpc.call import FaultStatus, RpcFault
from openchange_py.transports.tcp_client import ConnectionLost
from openchange_py.wire import proptags as p
from openchange_py.wire.oxcdata.errors import ErrorCode, MapiError
from tests.cli.client_commands import ClientCommands, run
from tests.node import RunningNode, node_in_thread, password_of
from tests.transports.http_parties import make_pair


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNode]:
    with node_in_thread(tmp_path_factory.mktemp("node")) as running:
        yield running


def where(node: RunningNode) -> list[str]:
    return ["--server", node.server.host, "--port", str(node.server.port)]


@pytest.mark.parametrize("before", [True, False])
def test_options_stand_in_front_or_behind(node: RunningNode, before: bool) -> None:
    options = ClientCommands(node).connection
    arguments = [*options, "resolve", "bob"] if before else ["resolve", "bob", *options]
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    assert "bob@example.test" in result.stdout


def test_what_stands_behind_the_subcommand_counts(node: RunningNode) -> None:
    wrong = ["--server", "no-such-host.invalid", "--user", "mallory"]
    password_file = ["--password-file", str(node.password_file("alice"))]
    result = run(*wrong, *password_file, "resolve", "bob", "--endpoints", str(node.ready_file), "--user", "alice")
    assert result.exit_code == 0, result.output


def test_the_environment_says_the_rest(node: RunningNode) -> None:
    env = {
        "OCPY_SERVER": node.server.host,
        "OCPY_USER": "EXAMPLE\\alice",
        "OCPY_PASSWORD_FILE": str(node.password_file("alice")),
    }
    result = run("resolve", "bob", "--port", str(node.server.port), env=env)
    assert result.exit_code == 0, result.output
    other = run("resolve", "bob", "--endpoints", str(node.ready_file), "--user", "bob", env=env)
    assert "refused the logon of bob" in other.stderr


@pytest.mark.parametrize("option", [[], ["--password-file", "-"]])
def test_the_password_from_standard_input(node: RunningNode, option: list[str]) -> None:
    result = run(*where(node), "--user", "alice@example.test", *option, "list", stdin=password_of("alice") + "\n")
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["folders"], "say which server: --server HOST, --endpoints FILE, or OCPY_SERVER"),
        (["--server", "localhost", "folders"], "say who logs on: --user NAME, or OCPY_USER"),
        (["--server", "localhost", "--endpoints", "x", "folders"], "leave --server and --port away"),
        (["--server", "localhost", "--port", "0", "folders"], "--port"),
        (["--level", "none", "folders"], "--level"),
        (["--server", "localhost", "--kerberos", "--password-file", "x", "folders"], "leave --password-file away"),
        (["--server", "localhost", "--user", "alice", "--forward", "folders"], "--forward needs --kerberos"),
        (["--password", "x", "folders"], "--password"),
        (["--server", "localhost", "--user", "alice", "--pipe", "x", "folders"], "--pipe is for --transport np"),
        (["--server", "localhost", "--user", "alice", "--ca", "x", "folders"], "are for --transport http or mapihttp"),
        (["--endpoints", "x", "--https-port", "4", "folders"], "--endpoints tells host and ports"),
        (["--transport", "carrier pigeon", "folders"], "'carrier pigeon' is not one of"),
    ],
)
def test_wrong_usage_has_its_own_exit_code(arguments: list[str], message: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert message in result.stderr


@pytest.mark.parametrize("spnego", [[], ["--spnego"]])
def test_a_wrong_password(node: RunningNode, tmp_path: Path, spnego: list[str]) -> None:
    secret = tmp_path / "secret"
    secret.write_text("Gu3ss-1\n")
    result = run(*where(node), "--user", "bob", "--password-file", str(secret), *spnego, "folders")
    assert result.exit_code == 1
    assert "refused the logon of bob: wrong name or password" in result.stderr
    assert "check --user, --password-file and --level" in result.stderr
    assert "Gu3ss" not in result.output


def test_files_that_cannot_be_read(node: RunningNode, tmp_path: Path) -> None:
    missing = str(tmp_path / "missing")
    for arguments in (
        [*where(node), "--user", "alice", "--password-file", missing, "folders"],
        ["--endpoints", missing, "--user", "alice", "folders"],
    ):
        result = run(*arguments)
        assert result.exit_code == 1
        assert isinstance(result.exception, FileNotFoundError)  # which `ocpy` shows with the file's name
    empty = tmp_path / "empty"
    empty.touch()
    result = run(*where(node), "--user", "alice", "--password-file", str(empty), "folders")
    assert "no password on its first line" in result.stderr
    result = run("--endpoints", str(empty), "--user", "alice", "folders")
    assert "not what `ocpy serve --ready-file` writes" in result.stderr


def test_a_server_that_is_not_running() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port = str(bound.getsockname()[1])
        result = run("--server", "127.0.0.1", "--port", port, "endpoints")
    assert result.exit_code == 1
    assert "nothing listens there (connection refused); is the server running" in result.stderr
    assert "check --server and --port, or --endpoints" in result.stderr


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (MapiError(ErrorCode.LoginPermission, "RopLogon"), "may not open that mailbox (RopLogon: LoginPermission"),
        (MapiError(ErrorCode.AccessDenied, "EcDoConnectEx"), "may not connect to the mailbox store"),
        (MapiError(ErrorCode.AccessDenied, "EcDoConnect"), "may not connect to the mailbox store"),
        (MapiError(ErrorCode.UnknownUser, "RopLogon"), "there is no such mailbox"),
        (MapiError(ErrorCode.AccessDenied, "RopOpenFolder"), "access denied (RopOpenFolder: AccessDenied 0x80070005)"),
        (MapiError(0x1234, "RopOpenFolder"), "the server answers RopOpenFolder: error 0x00001234"),
        (RpcFault(FaultStatus.ACCESS_DENIED), "the server denies access"),
        (RpcFault(FaultStatus.CALL_FAILED), "fault 0x000006be"),
        (ConnectionLost("gone"), "the connection was lost: gone"),
        (ClientError("odd \x1b[2J name"), "odd \ufffd[2J name"),
    ],
)
def test_errors_in_words(error: Exception, text: str) -> None:
    assert text in printable_error(error)


def test_candidates_are_one_a_line() -> None:
    candidates = [{p.PidTagDisplayName: "A\x1b", p.PidTagAccount: "a"}, {p.PidTagEmailAddress: "/o=x"}]
    assert printable_error(AmbiguousName("several", candidates)).splitlines() == [
        "several:",
        "    A\ufffd (a)",
        "    ? </o=x>",
    ]
    assert describe({p.PidTagDisplayName: "B", p.PidTagSmtpAddress: "b@x"}) == "B <b@x>"


def test_kerberos_without_its_library_or_without_tickets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line each, which says what to do."""
    arguments = ["--server", "localhost", "--kerberos", "folders"]
    if kerberos.gss is not None:
        result = run(*arguments, env={"KRB5CCNAME": f"FILE:{tmp_path}/absent"})
        assert result.exit_code == 1
        assert "kinit gets tickets" in result.stderr
    monkeypatch.setattr(kerberos, "gss", None)
    result = run(*arguments)
    assert result.exit_code == 1
    assert "pip install 'openchange-py[kerberos]'" in result.stderr


def test_over_https(tmp_path: Path) -> None:
    certificate, key = make_pair(tmp_path)
    options = ["ocpy:https port = 0", f"ocpy:tls certificate = {certificate}", f"ocpy:tls key = {key}"]
    with node_in_thread(tmp_path, options=options) as node:
        port = json.loads(node.ready_file.read_text())["https"]["port"]
        account = ["--user", "alice", "--password-file", str(node.password_file("alice"))]
        over = ["--server", "localhost", "--transport", "mapihttp", "--https-port", str(port)]
        done = run(*over, "--ca", str(certificate), *account, "folders")
        assert (done.exit_code, "Inbox" in done.output) == (0, True), done.output
        stranger = run(*over, *account, "folders")
        assert (stranger.exit_code, "certificate" in stranger.stderr) == (1, True)
        missing = run(*over, "--ca", str(tmp_path / "none"), *account, "folders")
        assert (missing.exit_code, "no certificates of authorities" in missing.stderr) == (1, True)


def test_a_server_without_https(node: RunningNode) -> None:
    account = ["--user", "alice", "--password-file", str(node.password_file("alice"))]
    done = run("--endpoints", str(node.ready_file), "--transport", "mapihttp", *account, "folders")
    assert (done.exit_code, "names no HTTPS" in done.stderr) == (1, True)
