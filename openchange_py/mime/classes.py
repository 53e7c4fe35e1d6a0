"""The message class that a MIME message gets: [MS-OXCMAIL] 2.2.3.3 (message classes), [MS-OXOSMIME] 2.1.

Not done yet: the properties of a delivery report's recipients; clear-signed mail becomes IPM.Note with its signature
as an attachment, not IPM.Note.SMIME.MultipartSigned; calendar messages.
"""

from __future__ import annotations

import re

from openchange_py.mime.attachments import flat_bytes
from openchange_py.mime.bodies import sub_parts
from openchange_py.mime.parser import Part

#: RFC 3464, 2.3.3 (Action) -> the report's suffix.
_ACTIONS = {
    "failed": "NDR",
    "delivered": "DR",
    "delayed": "Delayed.DR",
    "relayed": "Relayed.DR",
    "expanded": "Expanded.DR",
}
_ENCRYPTED = {"application/pkcs7-mime", "application/x-pkcs7-mime"}


def message_class(message: Part) -> str:
    """`IPM.Note`, `REPORT.IPM.Note.NDR`, ..."""
    kind = message.get_content_type()
    if kind in _ENCRYPTED:
        return "IPM.Note.SMIME"
    if kind != "multipart/report":
        return "IPM.Note"
    for part in sub_parts(message):
        if part.get_content_type() in ("message/delivery-status", "message/global-delivery-status"):
            action = _field(part, "Action").split(" ")[0]
            return f"REPORT.IPM.Note.{_ACTIONS.get(action, 'NDR')}"
        if part.get_content_type() in ("message/disposition-notification", "message/global-disposition-notification"):
            disposition = _field(part, "Disposition").partition(";")[2]
            return "REPORT.IPM.Note.IPNRN" if "displayed" in disposition else "REPORT.IPM.Note.IPNNRN"
    return "IPM.Note"


def _field(part: Part, name: str) -> str:
    """The first field of that name in any block of the report, in lower case."""
    report = flat_bytes(part)[:65536].decode("latin-1")
    match = re.search(rf"^{name}[ \t]*:[ \t]*(.*)$", report, re.IGNORECASE | re.MULTILINE)
    return match.group(1).strip().lower() if match else ""
