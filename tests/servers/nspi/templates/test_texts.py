import pytest

from openchange_py.servers.nspi.templates import declared
from openchange_py.servers.nspi.templates.layout import Page
from openchange_py.servers.nspi.templates.texts import ENGLISH, GERMAN, LANGUAGES, Language, closest


def texts(pages: tuple[Page, ...]) -> set[str]:
    boxes = [box for page in pages for box in page.boxes]
    fields = [field for box in boxes for line in box.lines for field in line]
    return {page.title for page in pages} | {box.title for box in boxes} | {field.label for field in fields} - {""}


USED = set().union(*map(texts, (*declared.DETAILS.values(), *(t.pages for t in declared.ADDRESS_TEMPLATES))))


@pytest.mark.parametrize(
    "language", [known for known in LANGUAGES if known is not ENGLISH], ids=lambda known: known.name
)
def test_every_text_is_translated_and_no_other(language: Language) -> None:
    assert set(language.texts) == USED


def test_a_text_without_translation_stays_english() -> None:
    assert GERMAN.text("Shoe size") == "Shoe size"


@pytest.mark.parametrize(
    ("locale_id", "language"),
    [
        (0x0407, GERMAN),
        (0x1407, GERMAN),  # Liechtenstein
        (0x0409, ENGLISH),
        (0x0419, ENGLISH),  # Russian
        (0x0000, ENGLISH),
        (0x0800, ENGLISH),
        (0x03FF, None),
        (0x0C00, None),
        (0x100407, None),
        (0xFFFFFFFF, None),
    ],
)
def test_the_closest_language_of_a_locale(locale_id: int, language: Language | None) -> None:
    assert closest(locale_id) is language
