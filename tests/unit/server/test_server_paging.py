"""Paging: every item once and in order whatever the page size, and only tokens that were given out."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intently_server.errors import InvalidInput
from intently_server.servicer.models import DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE, page


@given(count=st.integers(0, 300), size=st.integers(0, 400))
def test_pages_hold_every_item_once(count: int, size: int) -> None:
    seen: list[int] = []
    token, pages = "", 0
    while True:
        items, token = page(range(count), size, token)
        seen += items
        pages += 1
        if not token:
            break
        assert len(items) == (size or DEFAULT_PAGE_SIZE)

    assert seen == list(range(count))
    assert pages == max(1, -(-count // (size or DEFAULT_PAGE_SIZE)))


def test_a_page_has_a_greatest_size() -> None:
    items, token = page(range(3 * MAX_PAGE_SIZE), 2**31 - 1, "")

    assert len(items) == MAX_PAGE_SIZE
    assert token


def forged(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    "token",
    [
        "x",
        "öö",
        "AAAA",
        forged("o"),
        forged("o-1"),
        forged("o11"),
        forged("o1.5"),
        forged("o" + "9" * 6000),
        "b" * 9999,
    ],
)
def test_a_token_that_was_not_given_out_is_refused(token: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        page(range(10), 5, token)

    assert [violation.field for violation in caught.value.violations] == ["page_token"]


@given(st.text(max_size=50))
def test_any_text_as_a_token_is_answered_or_refused_by_name(token: str) -> None:
    try:
        items, _ = page(range(10), 5, token)
    except InvalidInput as error:
        assert [violation.field for violation in error.violations] == ["page_token"]  # noqa: PT017
    else:
        assert len(items) <= 5


def test_a_negative_size_is_refused() -> None:
    with pytest.raises(InvalidInput) as caught:
        page(range(10), -1, "")

    assert [violation.field for violation in caught.value.violations] == ["page_size"]
