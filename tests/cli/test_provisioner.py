"""Which directory `ocpy provision` prepares."""

from __future__ import annotations

from openchange_py.cli.provisioner import shown


def test_passwords_of_urls_are_not_shown() -> None:
    assert shown("postgresql://ocpy:secret@db/ocpy") == "postgresql://ocpy:***@db/ocpy"
    assert shown("ldaps://a.test, ldaps://b.test") == "ldaps://a.test, ldaps://b.test"
