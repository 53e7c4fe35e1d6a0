"""XML from strangers, and to them."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from openchange_py.servers.autodiscover.markup import (
    MAXIMUM_SIZE,
    Markup,
    MarkupError,
    document,
    element,
    parse,
    text_of,
)

BILLION = b"""<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY lol "lol"><!ENTITY lol2 "&lol;&lol;&lol;&lol;">]>
<lolz>&lol2;</lolz>"""
FILE = b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>'


def test_names_have_their_namespace_and_text_loses_the_space_around_it() -> None:
    root = parse(b'<a xmlns="urn:x" xmlns:y="urn:y" y:k="1">\n <b> text </b><c xmlns=""/></a>')
    assert (root.tag, root.attrib) == ("{urn:x}a", {"{urn:y}k": "1"})
    assert text_of(root, "{urn:x}b") == "text"
    assert text_of(root, "missing") == ""
    assert [child.tag for child in root] == ["{urn:x}b", "c"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "iso-8859-1"])
def test_encodings_that_clients_declare_are_read(encoding: str) -> None:
    assert parse(f'<?xml version="1.0" encoding="{encoding}"?><a>Äöü</a>'.encode(encoding)).text == "Äöü"


@pytest.mark.parametrize(
    ("hostile", "why"),
    [
        (BILLION, "document type"),
        (FILE, "document type"),
        (b"<!DOCTYPE a><a/>", "document type"),
        (b"<a>" * 1000, "too deep"),
        (b"<a>" + b"<b/>" * 3000 + b"</a>", "too many elements"),
        (b"<a " + b" ".join(b'k%d=""' % number for number in range(100)) + b"/>", "attributes"),
        (b"<a>" + b"x" * MAXIMUM_SIZE + b"</a>", "more than"),
        (b"", "not well-formed"),
        (b"<a>&nbsp;</a>", "not well-formed"),
        (b"<a></b>", "not well-formed"),
        (b"<a/><b/>", "not well-formed"),
        (b"<x:a/>", "not well-formed"),
        (b"\x00\xff\xfe<", "not well-formed"),
        (b'<?xml version="1.0" encoding="rot13"?><a/>', "encoding"),
        (b'<?xml version="1.0" encoding="no-such"?><a/>', "encoding"),
    ],
    ids=range(15),
)
def test_what_is_hostile_is_refused_with_the_reason(hostile: bytes, why: str) -> None:
    with pytest.raises(MarkupError, match=why):
        parse(hostile)


def test_what_is_written_is_escaped_and_read_again_as_it_was() -> None:
    text = "a <b> & \"c\" 'd' ]]> Ä \N{PILE OF POO}"
    root = ElementTree.fromstring(document(element("a", text, element("b", text), None, k=text)))
    assert (root.text, root.find("b").text, root.get("k")) == (text, text, text)  # type: ignore[union-attr]


def test_characters_that_xml_has_not_are_replaced() -> None:
    assert element("a", "1\x002\x0b3\ud8004\uffff") == "<a>1\ufffd2\ufffd3\ufffd4\ufffd</a>"


def test_an_element_without_content_is_an_empty_tag_and_namespaces_are_attributes() -> None:
    assert element("a", xmlns="urn:x", xmlns_s="urn:s", s_k="1") == '<a xmlns="urn:x" xmlns:s="urn:s" s:k="1"/>'
    assert element("a", Markup("<b/>")) == "<a><b/></a>"
