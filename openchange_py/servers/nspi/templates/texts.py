"""The languages of address book templates, and which of them a locale gets.

English texts are the keys. A language that lacks one shows it in English; a test says that none does.
"""

from __future__ import annotations

import dataclasses
import locale
from collections.abc import Mapping
from typing import Final


@dataclasses.dataclass(frozen=True, slots=True)
class Language:
    """A language with the locale (LCID) that stands for it in distinguished names."""

    name: str
    locale_id: int
    texts: Mapping[str, str] = dataclasses.field(repr=False, compare=False)

    def text(self, english: str) -> str:
        return self.texts.get(english, english)


ENGLISH: Final = Language("en", 0x0409, {})

GERMAN: Final = Language(
    "de",
    0x0407,
    {
        "General": "Allgemein",
        "Name": "Name",
        "First": "Vorname",
        "Initials": "Initialen",
        "Last": "Nachname",
        "Display": "Anzeigename",
        "Alias": "Alias",
        "Address": "Adresse",
        "Street": "Straße",
        "City": "Ort",
        "State": "Bundesland",
        "Postal code": "Postleitzahl",
        "Country/Region": "Land/Region",
        "Work": "Beruf",
        "Title": "Position",
        "Company": "Firma",
        "Department": "Abteilung",
        "Office": "Büro",
        "Assistant": "Assistent",
        "Phone": "Telefon",
        "Organization": "Organisation",
        "Manager": "Vorgesetzter",
        "Direct reports": "Mitarbeiter",
        "Phone and notes": "Telefon und Notizen",
        "Telephone numbers": "Rufnummern",
        "Business": "Geschäftlich",
        "Business 2": "Geschäftlich 2",
        "Home": "Privat",
        "Home 2": "Privat 2",
        "Mobile": "Mobil",
        "Pager": "Pager",
        "Fax": "Fax",
        "Notes": "Notizen",
        "Member of": "Mitglied von",
        "Group membership": "Gruppenmitgliedschaft",
        "E-mail addresses": "E-Mail-Adressen",
        "Owner": "Besitzer",
        "Members": "Mitglieder",
        "Resource": "Ressource",
        "Description": "Beschreibung",
        "Network addresses": "Netzwerkadressen",
        "Search": "Suche",
        "Find names": "Namen suchen",
        "Internet address": "Internetadresse",
        "Display name": "Anzeigename",
        "E-mail address": "E-Mail-Adresse",
    },
)

FRENCH: Final = Language(
    "fr",
    0x040C,
    {
        "General": "Général",
        "Name": "Nom",
        "First": "Prénom",
        "Initials": "Initiales",
        "Last": "Nom",
        "Display": "Nom complet",
        "Alias": "Alias",
        "Address": "Adresse",
        "Street": "Rue",
        "City": "Ville",
        "State": "Département",
        "Postal code": "Code postal",
        "Country/Region": "Pays/région",
        "Work": "Travail",
        "Title": "Fonction",
        "Company": "Société",
        "Department": "Service",
        "Office": "Bureau",
        "Assistant": "Assistant(e)",
        "Phone": "Téléphone",
        "Organization": "Organisation",
        "Manager": "Responsable",
        "Direct reports": "Collaborateurs",
        "Phone and notes": "Téléphone et notes",
        "Telephone numbers": "Numéros de téléphone",
        "Business": "Bureau",
        "Business 2": "Bureau 2",
        "Home": "Domicile",
        "Home 2": "Domicile 2",
        "Mobile": "Mobile",
        "Pager": "Récepteur",
        "Fax": "Télécopie",
        "Notes": "Notes",
        "Member of": "Membre de",
        "Group membership": "Appartenance aux groupes",
        "E-mail addresses": "Adresses de messagerie",
        "Owner": "Propriétaire",
        "Members": "Membres",
        "Resource": "Ressource",
        "Description": "Description",
        "Network addresses": "Adresses réseau",
        "Search": "Recherche",
        "Find names": "Rechercher des noms",
        "Internet address": "Adresse Internet",
        "Display name": "Nom complet",
        "E-mail address": "Adresse de messagerie",
    },
)

SPANISH: Final = Language(
    "es",
    0x0C0A,
    {
        "General": "General",
        "Name": "Nombre",
        "First": "Nombre",
        "Initials": "Iniciales",
        "Last": "Apellidos",
        "Display": "Para mostrar",
        "Alias": "Alias",
        "Address": "Dirección",
        "Street": "Calle",
        "City": "Ciudad",
        "State": "Provincia",
        "Postal code": "Código postal",
        "Country/Region": "País o región",
        "Work": "Trabajo",
        "Title": "Puesto",
        "Company": "Organización",
        "Department": "Departamento",
        "Office": "Oficina",
        "Assistant": "Ayudante",
        "Phone": "Teléfono",
        "Organization": "Organización",
        "Manager": "Superior",
        "Direct reports": "Subordinados",
        "Phone and notes": "Teléfono y notas",
        "Telephone numbers": "Números de teléfono",
        "Business": "Trabajo",
        "Business 2": "Trabajo 2",
        "Home": "Particular",
        "Home 2": "Particular 2",
        "Mobile": "Móvil",
        "Pager": "Localizador",
        "Fax": "Fax",
        "Notes": "Notas",
        "Member of": "Miembro de",
        "Group membership": "Pertenencia a grupos",
        "E-mail addresses": "Direcciones de correo",
        "Owner": "Propietario",
        "Members": "Miembros",
        "Resource": "Recurso",
        "Description": "Descripción",
        "Network addresses": "Direcciones de red",
        "Search": "Buscar",
        "Find names": "Buscar nombres",
        "Internet address": "Dirección de Internet",
        "Display name": "Nombre para mostrar",
        "E-mail address": "Dirección de correo",
    },
)

LANGUAGES: Final = (ENGLISH, GERMAN, FRENCH, SPANISH)

#: [MS-LCID] 2.1: the low ten bits are the language, the next six where it is spoken, the next four how it is sorted.
_PRIMARY: Final = 0x3FF
_LARGEST: Final = 0xFFFFF
_KNOWN: Final = frozenset(known & _PRIMARY for known in locale.windows_locale)
#: LOCALE_NEUTRAL, LOCALE_USER_DEFAULT and LOCALE_SYSTEM_DEFAULT, which leave the choice to the server.
_NO_LANGUAGE: Final = (0x0000, 0x0400, 0x0800)


def closest(locale_id: int) -> Language | None:
    """The language for a locale: its own wherever it is spoken, else English; None for what is no locale."""
    primary = locale_id & _PRIMARY
    if locale_id > _LARGEST or (primary not in _KNOWN and locale_id not in _NO_LANGUAGE):
        return None
    return next((known for known in LANGUAGES if known.locale_id & _PRIMARY == primary), ENGLISH)
