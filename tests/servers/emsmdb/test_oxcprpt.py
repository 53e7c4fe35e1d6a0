"""[MS-OXCPRPT] as a client sees it: properties and their names."""

from __future__ import annotations

import uuid

import pytest

from openchange_py.wire import proptags as p
from openchange_py.wire.oxcdata.errors import ErrorCode
from openchange_py.wire.oxcdata.named import Kind, PropertyName
from openchange_py.wire.oxcdata.properties import PropertyTag, PropertyType, TaggedPropertyValue
from openchange_py.wire.oxcdata.rows import PropertyError
from openchange_py.wire.oxcdata.values import TypedPropertyValue
from openchange_py.wire.rop.base import RopRequest
from openchange_py.wire.rop.oxcmsg import RopOpenAttachmentRequest
from openchange_py.wire.rop.oxcprpt import (
    RopDeletePropertiesNoReplicateRequest,
    RopDeletePropertiesRequest,
    RopGetNamesFromPropertyIdsRequest,
    RopGetPropertiesAllRequest,
    RopGetPropertiesListRequest,
    RopGetPropertiesSpecificRequest,
    RopGetPropertyIdsFromNamesRequest,
    RopSetPropertiesNoReplicateRequest,
    RopSetPropertiesRequest,
)
from openchange_py.wire.rop.oxcprpt_streams import RopOpenStreamRequest
from tests.servers.emsmdb.parties import NONE, Client, World

NOT_FOUND, TOO_LARGE = PropertyError(ErrorCode.NotFound), PropertyError(ErrorCode.OutOfMemory)
BODY8 = p.PidTagBody.with_type(PropertyType.String8)
NUMBERS, WORDS = PropertyTag(0x80001003), PropertyTag(0x8001101F)


def ask(
    client: Client, handle: int, *tags: PropertyTag, limit: int = 0, unicode: int = 1, **options: int
) -> list[object]:
    request = RopGetPropertiesSpecificRequest(0, 0, limit, unicode, list(tags))
    response = client.ask(request, handle, **options)
    assert response.return_value == 0
    return list(response.row_data.values)


def test_values_stand_in_the_order_of_the_tags(client: Client, world: World) -> None:
    values = ask(client, client.message(world.rich), p.PidTagImportance, p.PidTagSubject, NUMBERS, WORDS, p.PidTagMid)
    assert values == [2, "AW: Grüße aus 東京", [1, 2, 3], ["eins", "zwölf"], world.rich]


def test_no_tags_give_an_empty_row(client: Client) -> None:
    assert ask(client, client.folder()) == []


def test_what_an_object_has_not_is_an_error_in_the_row(client: Client, world: World) -> None:
    wrong_type = p.PidTagSubject.with_type(PropertyType.Integer32)
    values = ask(
        client, client.message(world.rich), p.PidTagSubject, p.PidTagAttachNumber, wrong_type, PropertyTag(0x12340099)
    )
    assert values == ["AW: Grüße aus 東京", NOT_FOUND, NOT_FOUND, NOT_FOUND]


def test_8_bit_texts(client: Client, world: World) -> None:
    tags = (p.PidTagSubject.with_type(0x1E), WORDS.with_type(0x101E))
    assert ask(client, client.message(world.rich), *tags) == [
        "AW: Grüße aus ??".encode("cp1252"),
        [b"eins", "zwölf".encode("cp1252")],
    ]


@pytest.mark.parametrize(
    ("unicode", "subject"),
    [
        (1, TypedPropertyValue(PropertyType.String, "AW: Grüße aus 東京")),
        (0, TypedPropertyValue(PropertyType.String8, "AW: Grüße aus ??".encode("cp1252"))),
    ],
)
def test_tags_without_a_type(client: Client, world: World, unicode: int, subject: TypedPropertyValue) -> None:
    tags = [tag.with_type(0) for tag in (p.PidTagSubject, NUMBERS, p.PidTagAttachNumber, p.PidTagBody)]
    values = ask(client, client.message(world.rich), *tags, p.PidTagImportance, unicode=unicode)
    assert values == [
        subject,
        TypedPropertyValue(PropertyType.MultipleInteger32, [1, 2, 3]),
        TypedPropertyValue(PropertyType.ErrorCode, NOT_FOUND),
        TypedPropertyValue(PropertyType.ErrorCode, TOO_LARGE),
        2,
    ]


def test_a_value_that_no_buffer_holds_is_opened_as_a_stream(client: Client, world: World) -> None:
    assert ask(client, client.message(world.rich), p.PidTagBody, BODY8) == [TOO_LARGE, TOO_LARGE]


@pytest.mark.parametrize(
    ("limit", "expected"), [(0, "RE: letter 0"), (26, "RE: letter 0"), (25, TOO_LARGE), (1, TOO_LARGE)]
)
def test_the_client_s_limit(client: Client, world: World, limit: int, expected: object) -> None:
    assert ask(client, client.message(world.letters[0]), p.PidTagSubject, limit=limit) == [expected]


def test_where_the_values_do_not_fit_together_the_largest_are_errors(client: Client, world: World) -> None:
    message = client.message(world.rich)
    tags = (p.PidTagHtml, p.PidTagSubject, p.PidTagImportance)
    small = ask(client, message, *tags, out_size=8 + 2 + 4 + 62)
    assert small == [b"<p>html</p>", TOO_LARGE, 2]
    assert ask(client, message, *tags) == [b"<p>html</p>", "AW: Grüße aus 東京", 2]


def test_all_properties(client: Client, world: World) -> None:
    message = client.message(world.rich)
    response = client.ask(RopGetPropertiesAllRequest(0, 0, 0, 1), message)
    values = {value.tag: value.value for value in response.property_values}
    assert values[p.PidTagSubject] == "AW: Grüße aus 東京"
    assert values[p.PidTagBody.with_type(PropertyType.ErrorCode)] == ErrorCode.OutOfMemory
    assert p.PidTagBody not in values
    listed = client.ask(RopGetPropertiesListRequest(0, 0), message).property_tags
    assert listed == sorted(listed)
    assert {tag.id for tag in listed} == {tag.id for tag in values}
    narrow = client.ask(RopGetPropertiesAllRequest(0, 0, 0, 0), message)
    assert not [value.tag for value in narrow.property_values if value.tag.type == PropertyType.String]


def test_all_properties_within_a_limit(client: Client, world: World) -> None:
    response = client.ask(RopGetPropertiesAllRequest(0, 0, 20, 1), client.message(world.rich))
    errors = [value.tag.id for value in response.property_values if value.tag.type == PropertyType.ErrorCode]
    assert p.PidTagSubject.id in errors
    assert p.PidTagImportance.id not in errors


@pytest.mark.parametrize("kind", ["logon", "folder", "message", "attachment"])
def test_every_object_lists_what_it_then_answers(client: Client, world: World, kind: str) -> None:
    message = client.message(world.rich)
    handles = {"logon": client.logon, "folder": client.folder(), "message": message}
    handles["attachment"] = client.open(RopOpenAttachmentRequest(0, 0, 1, 0, 0), message)
    tags = client.ask(RopGetPropertiesListRequest(0, 0), handles[kind]).property_tags
    assert len(tags) >= 10
    assert [tag for tag, value in zip(tags, ask(client, handles[kind], *tags), strict=True) if value == NOT_FOUND] == []


@pytest.mark.parametrize(
    "request_",
    [
        RopGetPropertiesSpecificRequest(0, 0, 0, 1, [p.PidTagSubject]),
        RopGetPropertiesAllRequest(0, 0, 0, 1),
        RopGetPropertiesListRequest(0, 0),
        RopOpenStreamRequest(0, 0, 1, p.PidTagBody, 0),
    ],
)
def test_a_table_has_no_properties(client: Client, request_: RopRequest) -> None:
    answer = client.execute(request_, handles=[client.contents(p.PidTagSubject), NONE])
    assert answer.rops[0].return_value == ErrorCode.NotSupported  # type: ignore[attr-defined]


COMPUTED, NOT_KEPT = ErrorCode.ComputedValue, ErrorCode.InvalidType


def test_what_is_set_is_read_back_and_saved(own_world: World) -> None:
    client, other = Client(own_world), Client(own_world)
    values = {
        p.PidTagSubject: "new",
        p.PidTagImportance: 2,
        p.PidTagBody: "text",
        p.PidTagHtml: b"<p>",
        p.PidTagReplyRequested: True,
        NUMBERS: [7, -7],
        WORDS: ["drei"],
    }
    message = client.message(own_world.rich, mode=1)
    assert client.set(message, values) == []
    for reader, handle in ((client, message), (other, other.message(own_world.rich))):
        assert (reader.get(handle, *values) == list(values.values())) == (reader is client)
    client.save(message)
    assert other.get(other.message(own_world.rich), *values) == list(values.values())


def test_8_bit_texts_are_stored_as_unicode(own_world: World) -> None:
    client = Client(own_world)
    message = client.message(own_world.rich, 932, mode=1)
    words = WORDS.with_type(PropertyType.MultipleString8)
    client.set(message, {p.PidTagSubject.with_type(0x1E): "東京".encode("cp932"), words: ["京".encode("cp932")]})
    assert client.get(message, p.PidTagSubject, WORDS) == ["東京", ["京"]]


def test_each_property_that_cannot_be_set_is_a_problem(own_world: World) -> None:
    client = Client(own_world)
    message = client.message(own_world.rich, mode=1)
    before = client.get(message, p.PidTagMid, p.PidTagMessageSize, p.PidTagDisplayTo)
    values = {
        p.PidTagMid: 5,
        p.PidTagSubject: "set",
        p.PidTagMessageSize: 5,
        p.PidTagDisplayTo: "x",
        p.PidTagHtml.with_type(PropertyType.Null): None,
        p.PidTagChangeKey: b"x",
        p.PidTagEntryId: b"x",
        p.PidTagLastModificationTime: 5,
        p.PidTagImportance: 0,
    }
    problems = [(0, COMPUTED), (2, COMPUTED), (3, COMPUTED), (4, NOT_KEPT), (5, COMPUTED), (6, COMPUTED), (7, COMPUTED)]
    assert client.set(message, values) == problems
    assert client.get(message, p.PidTagSubject, p.PidTagImportance) == ["set", 0]
    assert client.get(message, p.PidTagMid, p.PidTagMessageSize, p.PidTagDisplayTo) == before
    attachment = client.open(RopOpenAttachmentRequest(0, 0, 1, 1, 0), message)
    assert client.set(attachment, {p.PidTagAttachNumber: 5, p.PidTagAttachSize: 5}) == [(0, COMPUTED), (1, COMPUTED)]


def test_another_type_replaces_the_property(own_world: World) -> None:
    client = Client(own_world)
    message = client.message(own_world.rich, mode=1)
    text = NUMBERS.with_type(PropertyType.String)
    client.set(message, {text: "one"})
    client.save(message)
    assert client.get(client.message(own_world.rich), text, NUMBERS) == ["one", ErrorCode.NotFound]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({p.PidTagSubject: "RE: new"}, ["RE: new", "RE: ", "new"]),
        ({p.PidTagSubject: "AW: other"}, ["AW: other", "AW: ", "other"]),
        ({p.PidTagSubject: "plain"}, ["plain", "", "plain"]),
        ({p.PidTagNormalizedSubject: "n"}, ["AW: n", "AW: ", "n"]),
        ({p.PidTagSubjectPrefix: "FW: "}, ["FW: Grüße aus 東京", "FW: ", "Grüße aus 東京"]),
        ({p.PidTagSubjectPrefix: "long prefix: ", p.PidTagSubject: "long prefix: x"}, None),
    ],
)
def test_subject_prefix_and_normalized_subject_agree(
    own_world: World, values: dict[PropertyTag, str], expected: list[str] | None
) -> None:
    client = Client(own_world)
    tags = (p.PidTagSubject, p.PidTagSubjectPrefix, p.PidTagNormalizedSubject)
    message = client.message(own_world.rich, mode=1)
    client.set(message, values)
    expected = expected or ["long prefix: x", "long prefix: ", "x"]
    assert client.get(message, *tags) == expected
    client.save(message)
    assert client.get(client.message(own_world.rich), *tags) == expected


def test_deleting_properties(own_world: World) -> None:
    client, other = Client(own_world), Client(own_world)
    message = client.message(own_world.rich, mode=1)
    tags = [p.PidTagHtml, p.PidTagMid, PropertyTag(0x12340003), p.PidTagBody]
    response = client.ask(RopDeletePropertiesRequest(0, 0, tags), message)
    assert [(one.index, one.error_code) for one in response.property_problems] == [(1, COMPUTED)]
    response = client.ask(RopDeletePropertiesNoReplicateRequest(0, 0, [NUMBERS]), message)
    assert response.property_problems == []
    gone = (p.PidTagHtml, p.PidTagBody, NUMBERS)
    assert client.get(message, *gone) == [ErrorCode.NotFound] * 3
    assert other.get(other.message(own_world.rich), NUMBERS) == [[1, 2, 3]]
    client.save(message)
    assert other.get(other.message(own_world.rich), *gone) == [ErrorCode.NotFound] * 3


def test_setting_without_replication_is_setting(own_world: World) -> None:
    client = Client(own_world)
    message = client.message(own_world.rich, mode=1)
    request = RopSetPropertiesNoReplicateRequest(0, 0, [TaggedPropertyValue(p.PidTagImportance, 0)])
    assert client.ask(request, message).property_problems == []
    assert client.get(message, p.PidTagImportance) == [0]


def test_a_read_only_object_and_one_that_cannot_be_changed_yet(client: Client, world: World) -> None:
    value = {p.PidTagSubject: "x"}
    assert client.set(client.message(world.rich), value) == ErrorCode.AccessDenied
    assert client.set(client.folder(), value) == ErrorCode.NotImplemented
    assert client.set(client.logon, value) == ErrorCode.NotImplemented
    deleted = client.ask(RopDeletePropertiesRequest(0, 0, [p.PidTagHtml]), client.message(world.rich))
    assert deleted.return_value == ErrorCode.AccessDenied
    for request in (RopSetPropertiesRequest(0, 0, []), RopDeletePropertiesRequest(0, 0, [])):
        assert client.ask(request, NONE).return_value == ErrorCode.NullObject


def test_more_properties_than_memory_is_given_to(own_world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("openchange_py.servers.emsmdb.objects.working.MOST_IN_MEMORY", 10_000)
    client = Client(own_world)
    message = client.message(own_world.rich, mode=1)
    assert client.set(message, {p.PidTagHtml: b"x" * 9000}) == []
    assert client.set(message, {p.PidTagHtml: b"x" * 9000}) == [(0, ErrorCode.OutOfMemory)]


COMMON = uuid.UUID("00062008-0000-0000-c000-000000000046")
PS_MAPI = uuid.UUID("00020328-0000-0000-c000-000000000046")


def ids_of(client: Client, flags: int, *names: PropertyName) -> tuple[int, list[int]]:
    response = client.ask(RopGetPropertyIdsFromNamesRequest(0, 0, flags, list(names)), client.logon)
    return response.return_value, response.property_ids


def test_ids_of_named_properties(own_world: World) -> None:
    client = Client(own_world)
    reminder, keywords = PropertyName.of_lid(COMMON, 0x8503), PropertyName.of_name(COMMON, "Keywords")
    subject, odd = PropertyName.of_lid(PS_MAPI, 0x37), PropertyName.of_name(PS_MAPI, "x")
    assert ids_of(client, 0, reminder, subject) == (ErrorCode.ErrorsReturned, [0, 0x37])
    code, (first, second) = ids_of(client, 2, reminder, keywords)
    assert (code, first >= 0x8000, second) == (0, True, first + 1)
    assert ids_of(Client(own_world), 0, keywords, reminder) == (0, [second, first])
    assert ids_of(client, 2, odd, reminder) == (ErrorCode.ErrorsReturned, [0, first])
    assert ids_of(client, 2, PropertyName.of_lid(PS_MAPI, 0x8001)) == (ErrorCode.ErrorsReturned, [0])
    assert ids_of(client, 0) == (0, [first, second])
    request = RopGetNamesFromPropertyIdsRequest(0, 0, [first, 0x37, second, 0xFFF0])
    names = client.ask(request, client.folder()).property_names
    assert names[:3] == [reminder, subject, keywords]
    assert names[3].kind == Kind.NoName


def test_a_named_property_is_saved_under_its_id(own_world: World) -> None:
    client = Client(own_world)
    _, (known,) = ids_of(client, 2, PropertyName.of_lid(COMMON, 0x8503))
    tag = PropertyTag(known << 16 | PropertyType.Boolean)
    message = client.message(own_world.rich, mode=1)
    client.set(message, {tag: True})
    client.save(message)
    assert client.get(client.message(own_world.rich), tag) == [True]
