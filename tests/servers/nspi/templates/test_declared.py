from openchange_py.servers.nspi.properties import known_tags
from openchange_py.servers.nspi.templates.declared import ADDRESS_TEMPLATES, DETAILS
from openchange_py.wire.oxoabkt import ControlFlags, pack_script


def test_dialogs_show_properties_that_the_address_book_has() -> None:
    known = {tag.id for tag in known_tags()}
    for pages in DETAILS.values():
        tags = {field.tag for page in pages for box in page.boxes for line in box.lines for field in line}
        assert {tag for tag in tags if tag.id not in known} == set()


def test_only_what_is_searched_for_and_new_addresses_can_be_entered() -> None:
    for kind, pages in DETAILS.items():
        flags = {field.flags for page in pages for box in page.boxes for line in box.lines for field in line}
        assert flags == ({ControlFlags.EDITABLE} if kind == 0x200 else {0})


def test_the_script_of_a_new_address_uses_what_its_dialog_collects() -> None:
    for template in ADDRESS_TEMPLATES:
        entered = {field.tag for box in template.boxes for line in box.lines for field in line}
        assert {operand for _, *operands in template.script for operand in operands} <= entered
        assert pack_script(template.script)
