from collections.abc import Iterator
from pathlib import Path

import pytest

from openchange_py.addressbook.base import Organization
from openchange_py.addressbook.embedded import EmbeddedDirectory
from openchange_py.addressbook.migrate import upgrade

ORGANIZATION = Organization("First Organization", "Exchange Administrative Group")


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A directory database with its tables."""
    url = f"sqlite:///{tmp_path}/directory.db"
    upgrade(url)
    return url


@pytest.fixture
def directory(url: str) -> Iterator[EmbeddedDirectory]:
    """An embedded directory that is provisioned."""
    directory = EmbeddedDirectory(url)
    directory.provision(ORGANIZATION, "SRV")
    yield directory
    directory.close()
