"""The interface's values."""

from __future__ import annotations

from openchange_py.store.base import AttachmentDraft, MessageDraft, NoSuchObject, SpecialFolder, StoreError


def test_the_first_thirteen_special_folders_are_those_of_a_logon_in_its_order() -> None:
    """[MS-OXCSTOR] 2.2.1.1.3."""
    assert [folder.name for folder in list(SpecialFolder)[:13]] == [
        "ROOT",
        "DEFERRED_ACTION",
        "SPOOLER_QUEUE",
        "IPM_SUBTREE",
        "INBOX",
        "OUTBOX",
        "SENT_ITEMS",
        "DELETED_ITEMS",
        "COMMON_VIEWS",
        "SCHEDULE",
        "SEARCH",
        "VIEWS",
        "SHORTCUTS",
    ]
    assert [int(folder) for folder in SpecialFolder] == list(range(len(SpecialFolder)))


def test_drafts_do_not_share_their_parts() -> None:
    first, second = MessageDraft({}), MessageDraft({})
    first.attachments.append(AttachmentDraft({}))
    assert (second.attachments, second.recipients) == ([], [])


def test_what_is_not_there_is_a_store_error() -> None:
    assert issubclass(NoSuchObject, StoreError)
