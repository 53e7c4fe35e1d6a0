"""Subject, prefix and normalized subject: [MS-OXCMSG] 2.2.1.9, 2.2.1.10, 2.2.1.46 and 3.2.5.2."""

from __future__ import annotations

import re
import uuid

from openchange_py.store.base import StoreError
from openchange_py.wire import proptags
from openchange_py.wire.oxcdata.properties import PropertyMap, PropertyTag

#: One to three characters that are not digits, a colon and a space: what counts as a prefix where none is given.
_PREFIX = re.compile(r"[^\d\s:]{1,3}: ")


def split_subject(subject: str) -> tuple[str, str]:
    """Prefix (`"Re: "`, or none) and normalized subject; together they are the subject."""
    match = _PREFIX.match(subject)
    if match is None:
        return "", subject
    return subject[: match.end()], subject[match.end() :]


_PARTS = (proptags.PidTagSubject, proptags.PidTagSubjectPrefix, proptags.PidTagNormalizedSubject)


def _text(properties: PropertyMap, tag: PropertyTag) -> str | None:
    value = properties.get(tag)
    if value is not None and not isinstance(value, str):
        raise StoreError(f"{tag!r}: {type(value).__name__} where a text is needed")
    return value


def complete_subject(properties: PropertyMap) -> PropertyMap:
    """The same properties with those that a saved message always has: the subject's parts, topic and search key."""
    complete = dict(properties)
    subject, prefix, normalized = (_text(properties, tag) for tag in _PARTS)
    if subject is not None:
        if prefix is not None and subject.startswith(prefix):
            normalized = subject[len(prefix) :]
        else:
            prefix, normalized = split_subject(subject)
    if normalized is not None:
        complete[proptags.PidTagSubjectPrefix] = prefix or ""
        complete[proptags.PidTagNormalizedSubject] = normalized
        complete.setdefault(proptags.PidTagConversationTopic, normalized)
    # [MS-OXCPRPT] 2.2.1.9: unique to the message and its copies.
    complete.setdefault(proptags.PidTagSearchKey, uuid.uuid4().bytes)
    return complete
