"""Where the files that come with the package are: alembic's migrations, and what set-up needs.

In a checkout (an editable install) they stand beside the package, in a wheel inside of it.
"""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).parent


def migrations_path() -> Path:
    """The folder of `directory/` and `mailbox/`, each an alembic environment."""
    return _resource("migrations")


def setup_path() -> Path:
    """The folder of the sample configurations, service units and directory schema."""
    return _resource("setup")


def _resource(name: str) -> Path:
    for path in (_PACKAGE / f"_{name}", _PACKAGE.parent / name):
        if path.is_dir():
            return path
    raise FileNotFoundError(f"this installation has no {name}: neither {_PACKAGE}/_{name} nor {_PACKAGE.parent}/{name}")
