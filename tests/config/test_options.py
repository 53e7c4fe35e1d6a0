"""How the text of an option becomes its value."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from openchange_py.config import options
from openchange_py.config.options import LogLevels, Option

PARSERS: list[tuple[Callable[[str], Any], str, Any]] = [
    (options.boolean, "Yes", True),
    (options.boolean, "ON", True),
    (options.boolean, "0", False),
    (options.names, "a, b;c\td", ("a", "b", "c", "d")),
    (options.names, '"two words" one', ("two words", "one")),
    (options.names, "it's", ("it's",)),
    (options.names, "", ()),
    (options.ldap_urls, "ldaps://a.test, ldap://[::1]:389/", ("ldaps://a.test", "ldap://[::1]:389/")),
    (options.ldap_urls, "", ()),
    (options.ldap_urls, "ldapi://%2Frun%2Fldapi", ("ldapi://%2Frun%2Fldapi",)),
    (options.directory_url, "sqlite:////var/d.db", "sqlite:////var/d.db"),
    (options.directory_url, "ldaps://a.test, ldaps://b.test", "ldaps://a.test, ldaps://b.test"),
    (options.host, "mail.example.test", "mail.example.test"),
    (options.optional_https_url, "", ""),
    (options.optional_https_url, "https://eas.test:8443/x", "https://eas.test:8443/x"),
    (options.integer(0, 65535), "1024", 1024),
    (options.seconds, "90", 90.0),
    (options.seconds, "5 min", 300.0),
    (options.seconds, "500ms", 0.5),
    (options.size, "4 MiB", 4 << 20),
    (options.size, "1.5k", 1536),
    (options.upper, "exchange", "EXCHANGE"),
    (options.optional_path, "", None),
    (options.log_levels, "3", LogLevels(3)),
    (options.log_levels, "1 rpc:10 proxy:3", LogLevels(1, (("rpc", 10), ("proxy", 3)))),
    (options.log_levels, "all:5", LogLevels(5)),
]


@pytest.mark.parametrize(("parse", "text", "value"), PARSERS)
def test_values(parse: Callable[[str], Any], text: str, value: Any) -> None:
    assert parse(text) == value


@pytest.mark.parametrize(
    ("parse", "text", "reason"),
    [
        (options.boolean, "maybe", "'maybe' is neither yes nor no"),
        (options.names, 'a "b', "quote without its end"),
        (options.ldap_urls, "https://a.test", "is no ldap://HOST"),
        (options.ldap_urls, "ldap://", "is no ldap://HOST"),
        (options.ldap_urls, "ldapi:///run/ldapi", "is no ldap://HOST"),
        (options.directory_url, "ldaps://a.test, sqlite:///x", "is no ldap://HOST"),
        (options.ldap_urls, "ldap://a.test:port", "port"),
        (options.ldap_urls, "ldap://user@a.test", "nothing but scheme, host and port"),
        (options.ldap_urls, "ldap://a.test/dc=x", "nothing but scheme, host and port"),
        (options.host, "mail example", "is no host's name"),
        (options.host, "", "is no host's name"),
        (options.optional_https_url, "http://eas.test/x", "is no https://HOST"),
        (options.optional_https_url, "https://eas.test:port/x", "port"),
        (options.integer(0, 65535), "65536", "65536 is not between 0 and 65535"),
        (options.integer(0, 65535), "٣", "is no number"),
        (options.seconds, "5 weeks", "'weeks' is none of"),
        (options.seconds, "-1", "is no time span"),
        (options.size, "big", "is no size"),
        (options.path, "relative/path", "is no absolute path"),
        (options.log_levels, "11", "11 is not between 0 and 10"),
        (options.log_levels, "rpc:lots", "is no number"),
    ],
)
def test_reasons(parse: Callable[[str], Any], text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse(text)


def test_log_levels_read_back() -> None:
    assert str(options.log_levels("1 rpc:10")) == "1 rpc:10"


def test_an_options_key_and_prefix() -> None:
    option = Option("OCPY: Data Directory", options.text, "", "")
    assert (option.key, option.prefix) == ("ocpy:datadirectory", "ocpy")
