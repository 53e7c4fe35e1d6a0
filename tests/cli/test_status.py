"""`ocpy status`."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path

import pytest

from openchange_py.addressbook.base import DirectoryStatus
from openchange_py.addressbook.database import DirectoryDatabase
from openchange_py.addressbook.follower_state import FollowerRow
from openchange_py.cli.status import lag_of, trouble_of
from tests.cli.commands import Installation

#: Nobody is there.
URL = "ldaps://dc.example.test"


@pytest.fixture
def ldap(tmp_path: Path) -> Installation:
    (tmp_path / "data").mkdir()
    password = tmp_path / "password"
    password.write_text("secret\n")
    password.chmod(0o600)
    lines = (f"ocpy:directory = {URL}", "ldap admin dn = cn=admin", f"ocpy:ldap password file = {password}")
    return Installation.make(tmp_path, "".join(f"    {line}\n" for line in lines))


def follow(installation: Installation, **state: object) -> None:
    """As the follower of a server leaves it."""
    database = DirectoryDatabase(f"sqlite:///{installation.place}/data/directory.db")
    row = FollowerRow(database, URL)
    row.begin(0)
    row.end(0, **state)
    database.close()


def test_an_embedded_directory_has_no_lag(tmp_path: Path) -> None:
    installation = Installation.make(tmp_path).provisioned("alice")
    shown = json.loads(installation.ok("status", "--json"))["directory"]
    assert (shown["kind"], shown["entries"], shown["lag"], shown["ok"]) == ("embedded", 2, None, True)
    assert "2 entries" in installation.ok("status")


def test_a_directory_that_is_not_there(tmp_path: Path) -> None:
    assert "ocpy provision" in Installation.make(tmp_path).fails("status")


def test_an_index_that_was_never_complete(ldap: Installation) -> None:
    result = ldap.run("status")
    assert result.exit_code == 1
    assert "never completed" in result.stdout


def test_an_index_that_is_followed(ldap: Installation) -> None:
    ldap.run("status")
    follow(ldap, as_of=time.time(), contact=time.time())
    shown = json.loads(ldap.ok("status", "--json"))["directory"]
    assert shown["ok"] is True
    assert 0 <= shown["lag"] < 60
    assert shown["last_contact"].endswith("+00:00")
    assert URL in ldap.ok("status")


def test_an_index_that_nobody_follows_any_more(ldap: Installation) -> None:
    ldap.run("status")
    follow(ldap, as_of=time.time() - 1000, contact=time.time() - 1000)
    result = ldap.run("status")
    assert result.exit_code == 1
    assert "nobody has followed it" in result.stdout
    assert ldap.run("status", "--max-lag", "5000").exit_code == 0


def test_a_server_that_is_away(ldap: Installation) -> None:
    ldap.run("status")
    follow(ldap, as_of=time.time(), contact=time.time(), error="it does not answer")
    result = ldap.run("status", "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["directory"]["error"] == "it does not answer"


def test_what_is_wrong() -> None:
    assert trouble_of(DirectoryStatus("embedded", "sqlite://", 3), 0) is None
    assert "5 s" in str(trouble_of(DirectoryStatus("LDAP", URL, 3, lag=5.2), 5))


def test_the_metric_of_the_lag(tmp_path: Path) -> None:
    directory = Installation.make(tmp_path).provisioned().directory()
    assert math.isnan(lag_of(directory)())
    directory.close()
