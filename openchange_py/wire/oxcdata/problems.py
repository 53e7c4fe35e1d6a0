"""PropertyProblem: [MS-OXCDATA] 2.7, a property of a request that could not be handled."""

from __future__ import annotations

from typing import Annotated

from openchange_py.wire.codecs import U16, U32, Counted, Structure, structure, u16
from openchange_py.wire.oxcdata.properties import PropertyTag32


@structure
class PropertyProblem(Structure):
    """`index` is the property's place in the request."""

    index: U16
    property_tag: PropertyTag32
    error_code: U32


#: Problems behind their 16-bit count.
PropertyProblems16 = Annotated[list[PropertyProblem], Counted(u16, PropertyProblem)]
