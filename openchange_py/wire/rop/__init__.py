"""The ROPs of [MS-OXCROPS], one file per document that defines them. Importing a file registers its ROPs: `base`."""

from openchange_py.wire.rop import oxcfold, oxcmsg, oxcstor, oxctabl

__all__ = ["oxcfold", "oxcmsg", "oxcstor", "oxctabl"]
