"""What is wrong with an address is said as a person would say it."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaign.address import AddressError, parse_address


class TestWords:
    """What is wrong is said as a person would say it."""

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("ann@x.test,", "'ann@x.test,' ends in a comma; take it off"),
            ("ann@x.test; ", "'ann@x.test;' ends in a semicolon; take it off"),
            (
                "ann@my_shop.test",
                "'my_shop.test' is no domain: it has an underscore in it,"
                " and a domain has letters, digits and hyphens",
            ),
            ("ann@x.test/", "'x.test/' is no domain: it has a slash in it"),
            ("ann@☃.test", "'☃.test' is no domain: it has '☃' in it"),
            ("ann@x..test", "'x..test' is no domain: it has one dot too many"),
            ("ann@-x.test", "'-x.test' is no domain: a part of it begins or ends with a hyphen"),
            (
                "ann@" + "x" * 64 + ".test",
                "is no domain: it is too long, or a part of it between two dots is",
            ),
            ("a\u200bnn@x.test", "@x.test' has an invisible character (zero width space) in it; take it out"),
            (
                "a@x.test\nb@x.test",
                "line break in it; one cell, one address: 'a@x.test[a line break]b@x.test'",
            ),
            ("a@x.\ttest", "the address has a tab in it; take it out: 'a@x.[a tab]test'"),
            ("a\x1b@x.test", "a control character in it; take it out: 'a[a control character]@x.test'"),
            (
                "a..b@x.test",
                "'a..b@x.test' has two dots in a row, before the @;"
                ' if that is how it is written, put that part in quotes: "a..b"@…',
            ),
            (".ann@x.test", "has a dot at the beginning or the end, before the @; if that is how it is"),
        ],
    )
    def test_said(self, text: str, said: str) -> None:
        with pytest.raises(AddressError) as caught:
            parse_address(text)
        assert said in str(caught.value)

    def test_the_advice_holds(self) -> None:
        assert parse_address('"a..b"@x.test') == '"a..b"@x.test'

    @pytest.mark.parametrize("text", ["<ann@x.test>", " < ann@x.test > ", "<Ann@X.test>"])
    def test_angle_brackets_are_taken_off(self, text: str) -> None:
        assert parse_address(text).lower() == "ann@x.test"

    @pytest.mark.parametrize(
        "text", ["<>", "< >", "<ann@x.test", "ann@x.test>", "<<ann@x.test>>", "<a@x.test><b@x.test>"]
    )
    def test_nothing_else_is_made_of_them(self, text: str) -> None:
        with pytest.raises(AddressError):
            parse_address(text)

    @given(st.text(max_size=20))
    def test_no_domain_is_explained_by_code_points(self, domain: str) -> None:
        with pytest.raises(AddressError) as caught:
            parse_address(f"ann@{domain}_.test")
        assert "odepoint" not in str(caught.value)
        assert "U+" not in str(caught.value).replace(domain, "")

    @given(st.text(st.characters(categories=["Cc", "Cf", "Cn", "Co", "Zl", "Zp"]), min_size=1, max_size=3))
    def test_no_unseen_character_is_said_as_its_number(self, hidden: str) -> None:
        for text in (f"ann{hidden}x@x.test", f"ann@x{hidden}_x.test"):
            with suppress(AddressError):
                parse_address(text)
                continue
            with pytest.raises(AddressError) as caught:
                parse_address(text)
            assert "U+" not in str(caught.value)
            assert "\\" not in str(caught.value)
