"""The house rules that a machine can check: who imports whom, who has its tests, and where things belong.

Each rule has a list of exceptions, by name and with a reason. An exception that is no longer needed fails too.
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT

PACKAGE = ROOT / "openchange_py"
TESTS = ROOT / "tests"

#: What each part may import of the project, besides itself. docs/architecture.md, "Layers".
MAY_IMPORT: dict[str, set[str]] = {
    "wire": set(),
    "rpc": {"wire"},
    "config": {"rpc", "wire"},
    "store": {"wire.oxcdata"},
    "addressbook": {"wire.oxcdata"},
    "mime": {"wire.oxcdata", "store"},
    "auth": {"wire", "rpc", "addressbook"},
    "transports": {"wire", "rpc"},
    "proxy": {"wire", "rpc", "auth", "transports", "config", "addressbook"},
    "servers": {"wire", "rpc", "auth", "store", "addressbook"},
    "client": {"wire", "rpc", "auth", "transports"},
    "cli": {"*"},
}

#: (file, imported module): why it may.
IMPORT_EXCEPTIONS: dict[tuple[str, str], str] = {
    ("mime/envelope.py", "openchange_py.wire.buffer"): "EncodeError of the entry ids that it makes",
    ("store/properties.py", "openchange_py.wire.buffer"): "the blob of a message's properties is packed with them",
}

#: Source files without a test file of their own, and where they are tested.
UNTESTED: dict[str, str] = {}

#: Files that declare types and constants for others, of which nothing can be run.
DECLARATIONS: dict[str, str] = {
    "addressbook/followed.py": "the interface of sources; the follower of an index reads them",
    "auth/krb5_structures.py": "structures of krb5.h; auth/krb5.py fills and reads them",
}

#: Test files beside the others that hold all of a folder against recordings.
CROSS_TESTS = {"test_recorded.py", "test_oxnspi_golden.py"}

#: Modules that every layer may import.
EVERYWHERE = {"openchange_py", "openchange_py.resources", "openchange_py.wire.proptags"}


@functools.cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"), str(path))


def name_of(path: Path) -> str:
    return str(path.relative_to(PACKAGE))


def sources() -> list[Path]:
    return sorted(path for path in PACKAGE.rglob("*.py") if "__pycache__" not in path.parts)


def imports_of(path: Path) -> Iterator[str]:
    """The modules of the project that a file imports, wherever in it, absolute or relative."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith("openchange_py"))
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name_of(path)}:{node.lineno}: a relative import"
            yield from _imported_from(node.module or "", [alias.name for alias in node.names])


def _imported_from(module: str, names: list[str]) -> Iterator[str]:
    """`from package import module` means the modules, `from module import name` the module."""
    if module != "openchange_py" and not module.startswith("openchange_py."):
        return
    folder = ROOT.joinpath(*module.split("."))
    for name in names:
        is_module = (folder / f"{name}.py").exists() or (folder / name).is_dir()
        yield f"{module}.{name}" if is_module else module


def is_allowed(part: str, module: str) -> bool:
    target = module.removeprefix("openchange_py.")
    granted = MAY_IMPORT[part] | {part}
    return (
        "*" in granted
        or module in EVERYWHERE
        or any(target == name or target.startswith(name + ".") for name in granted)
    )


def test_every_part_of_the_package_has_a_layer() -> None:
    parts = {path.relative_to(PACKAGE).parts[0] for path in sources() if path.parent != PACKAGE}
    assert parts <= set(MAY_IMPORT), f"which layer are these in? {sorted(parts - set(MAY_IMPORT))}"


def test_layers_import_only_what_is_below_them() -> None:
    broken, used = [], set()
    for path in sources():
        if path.parent == PACKAGE:
            continue
        for module in imports_of(path):
            if not is_allowed(path.relative_to(PACKAGE).parts[0], module):
                if (name_of(path), module) in IMPORT_EXCEPTIONS:
                    used.add((name_of(path), module))
                else:
                    broken.append(f"{name_of(path)} imports {module}")
    assert not broken, "\n".join(broken)
    assert not set(IMPORT_EXCEPTIONS) - used, "these exceptions are not needed any more"


@pytest.mark.parametrize(
    ("part", "module", "allowed"),
    [
        ("wire", "openchange_py.rpc.call", False),
        ("servers", "openchange_py.proxy.hooks", False),
        ("servers", "openchange_py.transports.tcp", False),
        ("store", "openchange_py.wire.oxcdata.ids", True),
        ("store", "openchange_py.wire.oxcdataelse", False),
        ("proxy", "openchange_py.servers.nspi", False),
        ("cli", "openchange_py.servers.nspi", True),
    ],
)
def test_the_import_rule_itself(part: str, module: str, allowed: bool) -> None:
    assert is_allowed(part, module) is allowed


def test_every_source_file_has_its_test_file() -> None:
    missing, superfluous = [], []
    excused = UNTESTED | DECLARATIONS
    for path in sources():
        relative = path.relative_to(PACKAGE)
        test = TESTS / relative.parent / f"test_{relative.name}"
        if relative.name in ("__init__.py", "__main__.py"):
            continue
        if test.exists():
            superfluous += [name_of(path)] if name_of(path) in excused else []
        elif name_of(path) not in excused:
            missing.append(f"{name_of(path)}: no tests/{relative.parent}/test_{relative.name}")
    assert not missing, "\n".join(missing)
    assert not superfluous, f"these have their test files now, no exception is needed: {superfluous}"


def test_every_test_file_tests_a_source_file() -> None:
    """A renamed source file takes its tests along. Folders that test the whole are left out."""
    parts = set(MAY_IMPORT)
    lost = []
    for path in sorted(TESTS.rglob("test_*.py")):
        relative = path.relative_to(TESTS)
        if relative.parts[0] in parts and relative.name not in CROSS_TESTS:
            source = PACKAGE / relative.parent / relative.name.removeprefix("test_")
            package = PACKAGE / relative.parent / relative.stem.removeprefix("test_")
            if not source.exists() and not package.is_dir():
                lost.append(f"tests/{relative}: there is no {source.relative_to(ROOT)}")
    assert not lost, "\n".join(lost)


def test_exceptions_name_files_that_exist() -> None:
    for name in [*UNTESTED, *DECLARATIONS, *(source for source, _ in IMPORT_EXCEPTIONS)]:
        assert (PACKAGE / name).exists(), f"{name} is excused and not there"


def attribute_uses(path: Path, names: set[str]) -> Iterator[tuple[int, str]]:
    """Where a file uses an attribute of one of these names: line and `object.attribute`."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Attribute) and node.attr in names:
            yield node.lineno, ast.unparse(node)


def test_tasks_are_started_in_one_place() -> None:
    bare = {"create_task", "ensure_future"}
    found = [
        f"{name_of(path)}:{line}: {use}"
        for path in sources()
        if name_of(path) != "transports/tasks.py"
        for line, use in attribute_uses(path, bare)
    ]
    assert not found, "use openchange_py.transports.tasks.spawn:\n" + "\n".join(found)


def test_raw_bytes_are_taken_apart_only_where_they_belong() -> None:
    unpacking = {"unpack_from", "iter_unpack"}
    found = []
    for path in sources():
        if path.relative_to(PACKAGE).parts[0] in ("wire", "rpc", "auth"):
            continue
        found += [f"{name_of(path)}:{line}: {use}" for line, use in attribute_uses(path, unpacking)]
        found += [
            f"{name_of(path)}:{line}: {use}"
            for line, use in attribute_uses(path, {"unpack"})
            if use.startswith("struct.")
        ]
        found += [f"{name_of(path)}: from struct import" for _ in struct_imports(path)]
    assert not found, "use openchange_py.wire.buffer.Reader:\n" + "\n".join(found)


def struct_imports(path: Path) -> Iterator[ast.ImportFrom]:
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.ImportFrom) and node.module == "struct":
            yield node


def test_wire_knows_no_socket_no_clock_and_no_database() -> None:
    banned = {"asyncio", "socket", "ssl", "sqlalchemy", "time", "threading", "logging", "ldap3"}
    found = []
    for path in (PACKAGE / "wire").rglob("*.py"):
        for node in ast.walk(tree_of(path)):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            found += [f"{name_of(path)}: {name}" for name in names if name.partition(".")[0] in banned]
    assert not found, "\n".join(found)


def test_every_module_says_what_it_is() -> None:
    silent = [name_of(path) for path in sources() if not ast.get_docstring(tree_of(path))]
    assert not silent


#: Longer than 600 lines, and why. The architecture asks for about 350.
LONG: dict[str, str] = {"wire/proptags.py": "generated"}


def test_files_stay_small() -> None:
    counts = {name_of(path): len(path.read_text("utf-8").splitlines()) for path in sources()}
    long = {name: count for name, count in counts.items() if count > 600}
    assert set(long) <= set(LONG), f"time to split these: {long}"
