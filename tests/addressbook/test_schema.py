from sqlalchemy import LargeBinary

from openchange_py.addressbook import schema


def test_all_tables_have_the_directory_s_prefix_so_that_mailboxes_may_live_beside_them() -> None:
    assert all(name.startswith("directory_") for name in schema.metadata.tables)


def test_secrets_are_in_no_table_but_their_own() -> None:
    holders = [table.name for table in schema.metadata.tables.values() if "nt_hash" in table.c]
    assert holders == ["directory_credential"]


def test_what_is_ordered_is_bytes_so_that_no_collation_matters() -> None:
    assert isinstance(schema.entry.c.sort_key.type, LargeBinary)
    assert isinstance(schema.token.c.token.type, LargeBinary)


def test_no_table_lets_the_database_choose_ids() -> None:
    keys = [table.c.mid for table in (schema.entry, schema.container, schema.credential, schema.token)]
    assert all(key.autoincrement is False for key in keys)
