"""Where languages sort letters that others sort elsewhere: [MS-OXNSPI] 2.2.1.4 (LCIDs) and 3.1.4.3.5.

The letters and their places are those of the Unicode CLDR's collation tailorings (primary differences only, as
[MS-OXNSPI] 2.2.1.6 ignores case and marks). Languages that are not named here sort as the neutral order does.
Not done: the stroke and reading orders of Chinese, and those of Japanese and Korean ideographs (readings are sorted
by phonetic name instead).
"""

# ruff: noqa: RUF001, RUF003  the letters are what this is about

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping

#: Behind a letter and before the number of one that follows it: it sorts behind all that may follow a letter itself.
_BEHIND = "\U0010fff0"

#: A rule is a word: `c<č<ć` puts letters behind another one, `=` makes letters equal. Letters that neither rule nor
#: neutral order names sort as what they decompose to (é as e).
NEUTRAL = (
    "o=ø l=ł h=ħ t=ŧ g=ǥ i=ı ae=æ oe=œ d=đ<ð n<ŋ e<ə z<þ "
    "г<ґ д<ђ е<є з<ѕ и<і<й<ј л<љ н<њ т<ћ ч<џ"
)  # fmt: skip

_SCANDINAVIAN = "d=đ=ð th=þ y=ü=ű"
_SOUTH_SLAVIC = "c<č<ć d<dž=ǆ<đ l<lj=ǉ n<nj=ǌ s<š z<ž"

#: By language (of its ISO 639 code, with the kind of order behind it where a language has two).
RULES: Mapping[str, str] = {
    "az": "c<ç e<ə g<ğ h<x<ı i=i̇ k<q o<ö s<ş u<ü",
    "be": "е<ё у<ў",
    "cs": "c<č h<ch r<ř s<š z<ž",
    "cy": "c<ch d<dd f<ff g<ng l<ll p<ph r<rh t<th",
    "da": f"{_SCANDINAVIAN} z<æ=ä<ø=ö=ő=œ<å=aa",
    "de-phonebook": "ae=ä=æ oe=ö=œ ue=ü",
    "es": "n<ñ",
    "es-traditional": "c<ch l<ll n<ñ",
    "et": "s<š<z<ž w<õ<ä<ö<ü",
    "fo": f"{_SCANDINAVIAN} z<æ=ä<ø=ö=ő=œ<å=aa",
    "hr": _SOUTH_SLAVIC,
    "hu": "c<cs d<dz<dzs g<gy l<ly n<ny o<ö=ő s<sz t<ty u<ü=ű z<zs",
    "is": "a<á d<đ=ð e<é i<í o<ó u<ú y<ý z<þ<æ=ä<ö=ø<å",
    "lt": "c<č i=y s<š z<ž",
    "lv": "c<č g<ģ i=y k<ķ l<ļ n<ņ r<ŗ s<š z<ž",
    "mk": "д<ђ<ѓ т<ћ<ќ",
    "pl": "a<ą c<ć e<ę l<ł n<ń o<ó s<ś z<ź<ż",
    "ro": "a<ă<â i<î s<ş=ș t<ţ=ț",
    "sk": "a<ä c<č h<ch o<ô s<š z<ž",
    "sl": "c<č<ć d<đ s<š z<ž",
    "sq": "c<ç d<dh e<ë g<gj l<ll n<nj r<rr s<sh t<th x<xh z<zh",
    "sv": f"{_SCANDINAVIAN} z<å<ä=æ=ę<ö=ø=ő=œ=ô",
    "tr": "c<ç g<ğ h<ı i=i̇ o<ö s<ş u<ü",
    "uk": "и<і<ї<й",
    "vi": "a<ă<â d<đ e<ê o<ô<ơ u<ư",
}

#: By the language of an LCID, its low ten bits ([MS-LCID] 2.2).
_LANGUAGES: Mapping[int, str] = {
    0x05: "cs", 0x06: "da", 0x0A: "es", 0x0B: "sv", 0x0E: "hu", 0x0F: "is", 0x14: "da", 0x15: "pl", 0x18: "ro",
    0x1A: "hr", 0x1B: "sk", 0x1C: "sq", 0x1D: "sv", 0x1F: "tr", 0x22: "uk", 0x23: "be", 0x24: "sl", 0x25: "et",
    0x26: "lv", 0x27: "lt", 0x2A: "vi", 0x2C: "az", 0x2D: "es", 0x2F: "mk", 0x38: "fo", 0x52: "cy", 0x56: "es",
}  # fmt: skip

#: LCIDs whose order is not the one of their language: those with a sort id, and Spanish as Spain sorted it once.
_ORDERS: Mapping[int, str] = {0x040A: "es-traditional", 0x10407: "de-phonebook", 0x1040E: ""}

_WITHOUT_DOT = frozenset(("tr", "az"))
_DOUBLES_SECOND = frozenset(("hu",))


def language_of(locale: int) -> str:
    """The order that is closest to an LCID: a key of `RULES`; empty for the neutral one, which every unknown has."""
    return _ORDERS.get(locale, _LANGUAGES.get(locale & 0x3FF, ""))


@dataclasses.dataclass(frozen=True, slots=True)
class Tailoring:
    """A language's order: letters of one character, and what replaces longer ones before these are looked at."""

    letters: Mapping[str, str]
    contract: Callable[[str], str] | None = None
    #: I is the capital of ı, and İ of i.
    without_dot: bool = False


def tailoring(language: str) -> Tailoring:
    """The order of a language, a key of `RULES` or empty."""
    letters = _places(NEUTRAL) | _places(RULES.get(language, ""))
    long = {letter: place for letter, place in letters.items() if len(letter) > 1}
    if language in _DOUBLES_SECOND:  # ssz is a long sz
        long |= {letter[0] + letter: place * 2 for letter, place in long.items()}
    short = {letter: place for letter, place in letters.items() if len(letter) == 1}
    return Tailoring(short, _contraction(long) if long else None, language in _WITHOUT_DOT)


def _places(rules: str) -> dict[str, str]:
    """By letter the text that sorts where it belongs."""
    places: dict[str, str] = {}
    for rule in rules.split():
        first, *following = (group.split("=") for group in rule.split("<"))
        base = first[0]
        places |= dict.fromkeys(first[1:], base)
        if len(base) == 1 and following:
            places[base] = base  # though the neutral order may have moved it
        for number, group in enumerate(following):
            places |= dict.fromkeys(group, f"{base}{_BEHIND}{chr(0x30 + number)}")
    return places


def _contraction(places: Mapping[str, str]) -> Callable[[str], str]:
    pattern = re.compile("|".join(sorted(map(re.escape, places), key=len, reverse=True)))
    return lambda text: pattern.sub(lambda match: places[match[0]], text)
