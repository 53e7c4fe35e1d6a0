# ruff: noqa: RUF001

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openchange_py.addressbook.sortkeys import sort_key
from openchange_py.addressbook.tailorings import RULES, language_of, tailoring


@pytest.mark.parametrize(
    ("locale", "names"),
    [
        (0x041D, "Adam Ya Übel Yx Zz Åsa Ärla Östen"),
        (0x040B, "Ahti Zacharias Åke Äijö Öhman"),
        (0x0406, "Adam Ðe Dz Zz Ære Ødegård Aasa Åse"),
        (0x0414, "Zz Ærlig Øye Ås"),
        (0x0438, "Zz Ærlig Øye Ås"),
        (0x0407, "Mufti Muller Müllers Mulz"),
        (0x10407, "Mueller Müllerin Mufti Muller"),
        (0x040A, "Cz Chavez Da Lz Llosa Ma Nz Ñu Oz"),
        (0x0C0A, "Cb Chavez Cz Da Lk Llosa Lz Nz Ñu"),
        (0x0405, "Cibule Cz Čech Hus Hz Chalupa Ivan Rz Řezáč Sz Šíma Zz Žák"),
        (0x041B, "Az Äb Cz Čo Hz Cho Oz Ôb"),
        (0x0415, "Az Ąb Cz Ćb Ez Ęb Lz Łb Nz Ńb Oz Ób Sz Śb Zz Źb Żb"),
        (0x040E, "Cukor Czakó Csaba Dr Dzz Dzsa Gz Gyula Lz Lyon Nz Nyár Oz Öb Őc Sy Sza Tz Tyl Uz Üb Űc Zr Zsa"),
        (0x041F, "Cz Çelik Gz Ğa Hz Ilgaz ılık Işık Iz İpek iz Oz Öb Sz Şa Uz Üb"),
        (0x0425, "Saar Sz Šaar Zoo Žanna Tamm Wz Õun Äär Öö Ülo Xy"),
        (0x0427, "Cz Čia Ia Yb Ic Sz Ša Zz Ža"),
        (0x0426, "Gz Ģirts Ia Yb Ic Kz Ķa Lz Ļa Nz Ņa Sz Ša Zz Ža"),
        (0x041A, "Cz Čiro Ćiro Dz Džep Đuro Lz Ljubo Nz Njegoš Sz Ša Zz Ža"),
        (0x0424, "Cz Če Ćo Dz Đu Sz Ša Zz Ža"),
        (0x040F, "Ada Az Ása Dz Ðe Ez Éb Iz Ísak Ja Zoe Þor Ævar Örn"),
        (0x0418, "Az Ăb Âb Iz Îb Sz Șb Tz Țb"),
        (0x041C, "Cz Ça Dz Dha Ez Ëb Lz Lla Rz Rra"),
        (0x042A, "Az Ăb Âb Dz Đa Oz Ôb Ơb"),
        (0x0419, "Anna Zoe Ёж Елена Ель Иван Йосиф Катя Ящук"),
        (0x0422, "Гуз Ґава Дом Ез Єва Жук Игор Іван Їжак Йосип Кат"),
        (0x0423, "Ез Ёа Жа Уз Ўа Фа"),
        (0x042F, "Дз Ѓа Ез Ѕа Из Ја Лз Ља Нз Ња Тз Ќа Уз Чз Џа Ша"),
        (0x0408, "Anna Άννα Βάσω Γιώργος Ζωή Ήρα Ώρα"),
        (0x042C, "Ez Əli Fa Hz Xəyal Iz Kz Qara La"),
        (0x0452, "Cz Cha Dz Dda Gz Nga Ha"),
    ],
)  # fmt: skip
def test_each_language_sorts_its_letters_where_its_dictionaries_do(locale: int, names: str) -> None:
    expected = names.split()
    keys = [sort_key(name, locale) for name in expected]
    assert keys == sorted(set(keys))


def test_a_long_double_letter_of_hungarian_is_two() -> None:
    assert sort_key("Asszony", 0x040E) == sort_key("Aszszony", 0x040E)


def test_a_dot_makes_another_letter_in_turkish_alone() -> None:
    assert sort_key("DIYARBAKIR", 0x041F) == sort_key("dıyarbakır", 0x041F) != sort_key("diyarbakir", 0x041F)
    assert sort_key("İZMİR", 0x041F) == sort_key("izmir", 0x041F)
    assert sort_key("DIYARBAKIR") == sort_key("dıyarbakır") == sort_key("diyarbakir")


def test_symbols_count_in_the_neutral_order_alone() -> None:
    # [MS-OXNSPI] 2.2.1.6: NSPI_NON_DEFAULT_LOCALE_COMPARE_FLAGS has NORM_IGNORESYMBOLS
    assert sort_key("O'Brien, A", 0x0405) == sort_key("OBrien A", 0x0405) == sort_key("obriena", 0x0405)
    assert sort_key("O'Brien") != sort_key("OBrien")


@pytest.mark.parametrize("locale", [0, 0x0409, 0x0407, 0x040C, 0x0411, 0x1040E, 0x7FFF, 0xFFFFFFFF])
def test_what_has_no_order_of_its_own_sorts_neutrally(locale: int) -> None:
    assert language_of(locale) == ""
    assert sort_key("Ängström, A.", locale) == sort_key("Ängström, A.")


@pytest.mark.parametrize("language", RULES)
def test_every_rule_is_a_letter_and_no_letter_has_two_places(language: str) -> None:
    letters = [letter for rule in RULES[language].split() for group in rule.split("<") for letter in group.split("=")]
    assert all(letters)
    assert len(letters) == len(set(letters))
    assert tailoring(language).letters


@given(st.text(), st.sampled_from([0x041D, 0x040E, 0x0405, 0x041F, 0x0422]))
def test_any_text_has_a_key_in_any_order(text: str, locale: int) -> None:
    key = sort_key(text, locale)
    assert 0xFF not in key
    assert sort_key(text.strip(), locale) == key
