import tomllib
from pathlib import Path

import pytest

from openchange_py import resources
from tests.conftest import ROOT


def test_a_checkout_has_them_beside_the_package() -> None:
    root = Path(resources.__file__).parents[1]
    assert resources.migrations_path() == root / "migrations"
    assert (resources.migrations_path() / "directory" / "env.py").is_file()
    assert resources.setup_path() == root / "setup"


def test_a_wheel_has_them_inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "_migrations").mkdir()
    monkeypatch.setattr(resources, "_PACKAGE", tmp_path)
    assert resources.migrations_path() == tmp_path / "_migrations"


def test_an_installation_without_them_says_where_it_looked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resources, "_PACKAGE", tmp_path / "package")
    with pytest.raises(FileNotFoundError, match="no setup"):
        resources.setup_path()


def test_a_wheel_is_given_all_that_the_program_looks_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    included = project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    folders = [ROOT / "setup" / name for name in ("ad", "openldap", "sample-mailbox")]
    wanted = [*ROOT.glob("setup/smb.conf.*"), *ROOT.glob("setup/*.service"), *folders]
    assert {str(path.relative_to(ROOT)) for path in wanted} | {"migrations"} == set(included)
    for source, target in included.items():
        assert target == f"openchange_py/_{source}"
