"""How a school's locale, colour and logo are kept, and which are refused."""

import pytest
from babel import localedata
from hypothesis import given
from hypothesis import strategies as st

from services.school.schools import rules

TAGS = [each for each in localedata.locale_identifiers() if each != "root"]
COLOURS = st.integers(0, 0xFFFFFF).map(lambda number: f"#{number:06X}")


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("de-DE", "de-DE"),
        ("de_de", "de-DE"),
        ("EN-us", "en-US"),
        ("fr", "fr"),
        ("pt-br", "pt-BR"),
        ("zh-tw", "zh-Hant-TW"),
        ("es_419", "es-419"),
        ("iw-IL", "he-IL"),
        ("ca-es-VALENCIA", "ca-ES-valencia"),
    ],
)
def test_a_locale_is_kept_as_bcp_47_writes_it(said: str, kept: str) -> None:
    assert rules.canonical_locale(said) == kept


@pytest.mark.parametrize("tag", ["xx", "xx-GB", "en-XX", "und", "und-DE", "de-DE-DE", "de-", "en-GB\n", "", "root-x"])
def test_a_locale_that_nobody_knows_is_refused(tag: str) -> None:
    with pytest.raises(rules.UnknownLocale):
        rules.canonical_locale(tag)


@given(st.sampled_from(TAGS))
def test_what_is_kept_of_a_locale_is_kept_again(tag: str) -> None:
    kept = rules.canonical_locale(tag)

    assert rules.canonical_locale(kept) == kept


@pytest.mark.parametrize(
    ("colour", "contrast"),
    [("#ffffff", 1.0), ("#000000", 21.0), ("#777777", 4.48), ("#ff0000", 4.0), ("#0000FF", 8.59), ("#ffff00", 1.07)],
)
def test_contrast_is_that_of_wcag(colour: str, contrast: float) -> None:
    assert rules.contrast_with_white(colour) == pytest.approx(contrast, abs=0.005)


@given(COLOURS)
def test_no_colour_is_paler_than_white_or_darker_than_black(colour: str) -> None:
    assert 1 <= rules.contrast_with_white(colour) <= 21


def test_a_colour_is_kept_in_lower_case_from_three_to_one_on() -> None:
    assert rules.seen_on_white("#949494") == "#949494"
    assert rules.seen_on_white("#1A4F8B") == "#1a4f8b"


@pytest.mark.parametrize(("colour", "told"), [("#FFFFFF", "1.0:1"), ("#959595", "2.99:1"), ("#ffd700", "1.4:1")])
def test_a_colour_that_is_not_seen_on_white_is_refused(colour: str, told: str) -> None:
    with pytest.raises(rules.PaleColour, match=f"{told} against white, and 3:1 is the least"):
        rules.seen_on_white(colour)


@pytest.mark.parametrize(
    "url",
    [
        "https://cdn.example/logo.svg",
        "https://cdn.example:8443/a%20b/logo.png?size=2x&at=@2#top",
        "https://[2001:db8::1]/logo.png",
        "https://xn--schule-kln-mcb.example/",
    ],
)
def test_a_logo_is_kept_as_it_was_given(url: str) -> None:
    assert rules.fetched_safely(url) == url


@pytest.mark.parametrize(
    "url",
    [
        "http://cdn.example/logo.svg",
        "//cdn.example/logo.svg",
        "/logo.svg",
        "javascript:alert(1)",
        "data:image/png;base64,aGk=",
        "https://",
        "https:///logo.svg",
        "https://:443/logo.svg",
        "https://cdn.example:0/",
        "https://cdn.example:65536/",
        "https://cdn.example:x/",
        "https://[2001:db8::1/",
        "https://user:secret@cdn.example/logo.svg",
        "https://user@cdn.example/logo.svg",
        "https://@cdn.example/logo.svg",
        "https://cdn.example\\@evil.example/",
        "https://cdn.example/a b",
        "https://cdn.example/\n",
        'https://cdn.example/"onload="x',
        "https://köln.example/logo.svg",
    ],
)
def test_a_logo_that_is_not_safe_to_fetch_is_refused(url: str) -> None:
    with pytest.raises(rules.UnusableLogo):
        rules.fetched_safely(url)
