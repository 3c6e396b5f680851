"""The states of an order: everything named can happen, and nothing else."""

from itertools import product
from pathlib import Path

import pytest

from core.orders import TRANSITIONS, UNPAID, OrderEventKind, OrderStatus, follow, order_message

_ALL = list(product(OrderStatus, OrderEventKind))


@pytest.mark.parametrize(("status", "kind"), _ALL)
def test_only_what_is_named_can_happen(status: OrderStatus, kind: OrderEventKind) -> None:
    to = TRANSITIONS[status].get(kind)
    if to is None:
        with pytest.raises(ValueError, match=f"An order that is {status} cannot become {kind}"):
            follow(status, kind)
    else:
        assert follow(status, kind) is to


def test_every_status_is_reached_from_the_first() -> None:
    reached = {OrderStatus.PENDING}
    while True:
        found = {to for status in reached for to in TRANSITIONS[status].values()}
        if found <= reached:
            break
        reached |= found
    assert reached == set(OrderStatus) == set(TRANSITIONS)


def test_every_kind_of_event_can_happen() -> None:
    # An order is made PENDING; nothing becomes it.
    used = {kind for moves in TRANSITIONS.values() for kind in moves} | {OrderEventKind.CREATED}
    assert used == set(OrderEventKind)


def test_nothing_is_sent_or_given_back_before_it_is_paid() -> None:
    for status in UNPAID:
        assert set(TRANSITIONS[status]) <= {OrderEventKind.PAID, OrderEventKind.CANCELED}


def test_no_paid_order_becomes_unpaid() -> None:
    for status in set(OrderStatus) - UNPAID:
        assert not UNPAID & set(TRANSITIONS[status].values())


def test_the_guide_shows_the_transitions_there_are() -> None:
    guide = (Path(__file__).resolve().parents[2] / "docs" / "orders.md").read_text(encoding="utf-8")
    shown = guide.split("<!-- transitions -->\n")[1].split("\n<!-- end -->")[0].splitlines()
    head, _, *rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in shown]
    assert head[1:] == [status.value for status in OrderStatus]
    assert {row[0].strip("`") for row in rows} == {kind.value for kind in OrderEventKind} - {"CREATED"}
    for name, *cells in rows:
        kind = OrderEventKind(name.strip("`"))
        expected = [TRANSITIONS[status].get(kind) for status in OrderStatus]
        assert cells == ["–" if to is None else to.value for to in expected]  # ruff: ignore[ambiguous-unicode-character-string] - as it is printed


def test_every_status_has_words_for_people() -> None:
    words = {order_message(status, None) for status in OrderStatus}
    assert len(words) == len(OrderStatus)
    assert "sold out" in order_message(OrderStatus.PAID, "STOCK_LOST")
