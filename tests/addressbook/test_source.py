import pytest

from openchange_py.addressbook.base import DirectoryError, Organization
from openchange_py.addressbook.source import open_directory


def test_an_sqlite_url_is_the_embedded_directory(url: str) -> None:
    directory = open_directory(url)
    assert directory.provision(Organization("First", "Group"), "SRV")
    assert directory.organization().name == "First"


@pytest.mark.parametrize("url", ["", "mysql://host/db", "/var/lib/directory.db", "ldap://dc.example.test"])
def test_what_is_no_directory_is_refused(url: str) -> None:
    with pytest.raises(DirectoryError, match="is no directory"):
        open_directory(url)


@pytest.mark.parametrize(
    "url", ["mysql://user:secret@host/db", "postgresql+psycopg://user:secret@host:port/db", "LDAPX://a:secret@b"]
)
def test_no_error_shows_a_password(url: str) -> None:
    with pytest.raises(DirectoryError) as error:
        open_directory(url)
    assert "secret" not in str(error.value)
