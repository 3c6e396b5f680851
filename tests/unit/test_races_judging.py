"""What a race takes for held, and what not."""

from typing import Any

import pytest

from races.caller import RaceError, Refusal, Reply
from races.guests import Order, Payment
from races.judging import SOLD_OUT, Ended, counted, losers, winners

GUEST: Any = None
DONE = Reply({}, ())


def refused(code: str, kind: str = "InsufficientStock") -> Reply:
    return Reply({}, (Refusal(code, kind, {}),))


def ended(reply: Reply, status: str | None = None, *, captured: int = 0, refunded: int = 0) -> Ended:
    if status is None:
        return Ended(GUEST, reply, None, None)
    payment = Payment("pay_1", "", 1000, captured, refunded, 0, 1, ())
    return Ended(GUEST, reply, Order("ord_1", status, 1000, 0, (), (), ()), payment)


def test_one_winner_and_losers_who_were_told_hold() -> None:
    all_of_them = [
        ended(DONE, "PAID", captured=1000),
        ended(refused("OUT_OF_STOCK")),
        ended(refused("OUT_OF_STOCK")),
    ]

    assert winners(all_of_them, 1) == all_of_them[:1]
    assert losers(all_of_them, SOLD_OUT, "InsufficientStock") == all_of_them[1:]


def test_two_winners_of_one_unit_do_not_hold() -> None:
    with pytest.raises(RaceError, match="2 orders are paid, not 1"):
        winners([ended(DONE, "PAID", captured=1000)] * 2, 1)


def test_winner_of_whom_more_or_less_than_the_total_was_kept_does_not_hold() -> None:
    for captured in (2000, 500):
        with pytest.raises(RaceError, match=f"{captured} was kept for an order of 1000"):
            winners([ended(DONE, "PAID", captured=captured)], 1)


def test_loser_whose_money_was_kept_does_not_hold() -> None:
    with pytest.raises(RaceError, match="400 was kept"):
        losers(
            [ended(refused("OUT_OF_STOCK"), "CANCELED", captured=1000, refunded=600)],
            SOLD_OUT,
            "InsufficientStock",
        )


def test_loser_who_was_told_nothing_does_not_hold() -> None:
    for reply in (DONE, refused("INTERNAL"), refused("OUT_OF_STOCK", "InputError")):
        with pytest.raises(RaceError, match="was told"):
            losers([ended(reply, "PENDING")], SOLD_OUT, "InsufficientStock")


def test_loser_who_was_given_back_everything_holds() -> None:
    one = ended(DONE, "REFUNDED", captured=1000, refunded=1000)

    assert losers([one], SOLD_OUT, "InsufficientStock") == [one]


def test_answers_are_counted_by_code_the_most_frequent_first() -> None:
    assert counted([refused("OUT_OF_STOCK"), DONE, refused("OUT_OF_STOCK")]) == "2 OUT_OF_STOCK, 1 done"
