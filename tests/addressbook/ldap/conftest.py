from collections.abc import Iterator

import pytest

from tests.slapd import Slapd, running_slapd


@pytest.fixture(scope="module")
def slapd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slapd]:
    """A server with the tree and no accounts."""
    with running_slapd(tmp_path_factory.mktemp("slapd")) as server:
        yield server
