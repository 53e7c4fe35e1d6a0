import itertools

import pytest

from openchange_py.servers.nspi.templates.declared import DETAILS
from openchange_py.servers.nspi.templates.layout import Field, box, controls, page
from openchange_py.wire import proptags as p
from openchange_py.wire.oxoabkt import Control, ControlType


def test_where_the_controls_of_a_page_stand() -> None:
    pages = (
        page(
            "Seite",
            box("A", (Field("l", p.PidTagGivenName), Field("r", p.PidTagSurname)), Field("w", p.PidTagComment, 3)),
            box("B", Field("", p.PidTagAddressBookMember, lines=2)),
        ),
    )
    assert controls(pages, str.upper) == [
        Control(0, 0, 0, 0, ControlType.PAGE, text="SEITE"),
        Control(6, 359, 4, 72, ControlType.GROUP_BOX, text="A"),
        Control(12, 58, 18, 8, ControlType.LABEL, text="L"),
        Control(72, 108, 16, 12, ControlType.EDIT, 0, 0x3A06001E, 256, "*"),
        Control(192, 58, 18, 8, ControlType.LABEL, text="R"),
        Control(252, 107, 16, 12, ControlType.EDIT, 0, 0x3A11001E, 256, "*"),
        Control(12, 58, 32, 8, ControlType.LABEL, text="W"),
        Control(72, 287, 30, 40, ControlType.EDIT, 1, 0x3004001E, 256, "*"),
        Control(6, 359, 80, 44, ControlType.GROUP_BOX, text="B"),
        Control(12, 347, 92, 26, ControlType.LIST_BOX, 0, 0x8009000D),
    ]


@pytest.mark.parametrize("kind", DETAILS)
def test_no_control_overlaps_another_or_leaves_its_page(kind: int) -> None:
    by_page: list[list[Control]] = []
    for control in controls(DETAILS[kind], str):
        if control.type == ControlType.PAGE:
            by_page.append([])
        else:
            by_page[-1].append(control)
    for on_page in by_page:
        for control in on_page:
            assert control.x + control.width <= 365
            assert control.y + control.height <= 260
        inner = [control for control in on_page if control.type != ControlType.GROUP_BOX]
        for one, other in itertools.combinations(inner, 2):
            beside = one.x + one.width <= other.x or other.x + other.width <= one.x
            assert beside or one.y + one.height <= other.y or other.y + other.height <= one.y, (one, other)
