"""The ROPs of [MS-OXCROPS], one file per document that defines them. Importing a file registers its ROPs: `base`."""

from openchange_py.wire.rop import (
    oxcfold,
    oxcfxics,
    oxcmsg,
    oxcnotif,
    oxcperm,
    oxcprpt,
    oxcprpt_streams,
    oxcstor,
    oxctabl,
    oxomsg,
    oxorule,
)

__all__ = [
    "oxcfold",
    "oxcfxics",
    "oxcmsg",
    "oxcnotif",
    "oxcperm",
    "oxcprpt",
    "oxcprpt_streams",
    "oxcstor",
    "oxctabl",
    "oxomsg",
    "oxorule",
]
