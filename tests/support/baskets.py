"""Baskets drawn at random: who sells what to whom, under which taxes, discounts and fees, and how it goes back."""

from dataclasses import dataclass
from typing import Final

from hypothesis import strategies as st

from core.addresses import Address
from core.discounts import DiscountKind
from tests.support.carts import HOME

# What something ordinary costs: 19.99, 2,000 and 6.150 in their smallest units.
ORDINARY: Final = {"USD": 1_999, "JPY": 2_000, "KWD": 6_150}
HOMES: Final = {
    "US": HOME,
    "AT": Address(name="Ada Example", line1="Ring 1", city="Wien", country="AT", postal_code="1010"),
    "DE": Address(name="Ada Example", line1="Beispielweg 1", city="Berlin", country="DE", postal_code="10115"),
}
_CATEGORIES: Final = ("standard", "books", "exempt")
_MOST_STEPS: Final = 3


@dataclass(frozen=True)
class Tax:
    """A rate of a country's table for a category, or for ``shipping``."""

    basis_points: int
    inclusive: bool


NONE: Final = Tax(0, inclusive=True)


@dataclass(frozen=True)
class Line:
    """So many of one variant. ``chosen``: what the buyer pays for each where they may say; ``price`` is the least."""

    seller: int
    quantity: int
    price: int
    chosen: int | None
    category: str
    shipped: bool

    @property
    def unit_price(self) -> int:
        return self.price if self.chosen is None else self.chosen


@dataclass(frozen=True)
class Offer:
    """A discount of a seller, by a code or without one; ``line`` None: on all they sell."""

    seller: int
    code: str | None
    kind: DiscountKind
    basis_points: int
    amount: int
    line: int | None


@dataclass(frozen=True)
class Fees:
    """The platform's rule, and when earnings mature under it: at once, or not while the test runs."""

    basis_points: int
    fixed: int
    matures: bool
    reserve_basis_points: int

    def of(self, amount: int) -> int:
        """Return what the platform keeps of an amount without tax: halves are the creator's."""
        return (amount * self.basis_points + 4_999) // 10_000 + self.fixed


@dataclass(frozen=True)
class Step:
    """A refund of a seller's sale: so many of lines, by their numbers. ``rest``: all that is left, shipping too."""

    seller: int
    quantities: tuple[tuple[int, int], ...]
    shipping: bool
    rest: bool
    restock: bool


@dataclass(frozen=True)
class Basket:
    """A basket with everything that decides what it costs, and the refunds that give all of it back.

    ``shipping`` are the prices of each seller's methods, ``chosen`` the number of the buyer's. ``sent``: what is
    shipped was sent before the first refund. ``settled``: each refund is settled before the next.
    """

    currency: str
    country: str
    lines: tuple[Line, ...]
    offers: tuple[Offer, ...]
    shipping: tuple[tuple[int, ...], ...]
    chosen: tuple[int, ...]
    taxes: dict[tuple[str, str], Tax]
    fees: Fees
    sent: bool
    settled: bool
    steps: tuple[Step, ...]

    @property
    def sellers(self) -> list[int]:
        """Those who sell something in it."""
        return sorted({line.seller for line in self.lines})

    @property
    def codes(self) -> list[str]:
        return sorted({offer.code for offer in self.offers if offer.code is not None})

    def tax(self, category: str) -> Tax:
        """Return the rate of a category where it goes."""
        if category == "exempt":
            return NONE
        return self.taxes.get((self.country, category)) or self.taxes.get((self.country, "standard"), NONE)


def baskets(currency: str) -> st.SearchStrategy[Basket]:
    """Draw baskets of one to three sellers, with one to four lines. Fees leave some of them nothing."""
    return _baskets(currency)


@st.composite
def _baskets(draw: st.DrawFn, currency: str) -> Basket:
    ordinary = ORDINARY[currency]
    several = draw(st.integers(1, 3))
    lines = tuple(draw(st.lists(_lines(ordinary, several), min_size=several, max_size=4)))
    shipping = tuple(
        tuple(draw(st.lists(st.one_of(st.just(0), st.integers(1, ordinary)), min_size=1, max_size=2)))
        for _ in range(several)
    )
    country = draw(st.sampled_from(sorted(HOMES)))
    points = st.one_of(st.integers(0, 10_000), st.sampled_from([500, 825, 1_900]))
    taxes = st.builds(Tax, points, st.booleans())
    places = [(place, category) for place in sorted(HOMES) for category in ("standard", "books", "shipping")]
    return Basket(
        currency=currency,
        country=country,
        lines=lines,
        offers=_told_apart(draw(st.lists(_offers(ordinary, lines), max_size=4)), lines),
        shipping=shipping,
        chosen=tuple(draw(st.integers(0, len(prices) - 1)) for prices in shipping),
        taxes={(country, "standard"): draw(taxes), **draw(st.dictionaries(st.sampled_from(places), taxes))},
        fees=draw(_fees(ordinary)),
        sent=draw(st.booleans()),
        settled=draw(st.booleans()),
        steps=draw(_steps(lines)),
    )


@st.composite
def _lines(draw: st.DrawFn, ordinary: int, sellers: int) -> Line:
    price = draw(st.one_of(st.just(ordinary), st.integers(1, 99), st.integers(1, ordinary * 9)))
    chooses = draw(st.booleans())
    least = draw(st.sampled_from([0, 1, price])) if chooses else price
    return Line(
        seller=draw(st.integers(0, sellers - 1)),
        quantity=draw(st.integers(1, 7)),
        price=least,
        chosen=price if chooses else None,
        category=draw(st.sampled_from(_CATEGORIES)),
        shipped=draw(st.booleans()),
    )


@st.composite
def _offers(draw: st.DrawFn, ordinary: int, lines: tuple[Line, ...]) -> Offer:
    number = draw(st.integers(0, len(lines) - 1))
    return Offer(
        seller=lines[number].seller,
        code=draw(st.sampled_from([None, "SHARED", "OTHER"])),
        kind=draw(st.sampled_from(DiscountKind)),
        basis_points=draw(st.one_of(st.just(10_000), st.integers(1, 5_000))),
        amount=draw(st.integers(1, ordinary * 3)),
        line=draw(st.sampled_from([None, number])),
    )


def _told_apart(offers: list[Offer], lines: tuple[Line, ...]) -> tuple[Offer, ...]:
    """Return offers whose codes are each seller's once; what applies to nothing goes without one, unnoticed."""
    seen: set[tuple[int, str]] = set()
    kept = []
    for offer in offers:
        code = offer.code
        if code is not None and ((offer.seller, code) in seen or not _applies(offer, lines)):
            code = None
        if code is not None:
            seen.add((offer.seller, code))
        kept.append(
            Offer(offer.seller, code, offer.kind, offer.basis_points, offer.amount, offer.line),
        )
    return tuple(kept)


def _applies(offer: Offer, lines: tuple[Line, ...]) -> bool:
    meant = [line for number, line in enumerate(lines) if offer.line in {None, number}]
    ships = any(line.shipped for line in meant if line.seller == offer.seller)
    return offer.kind is not DiscountKind.FREE_SHIPPING or ships


def _fees(ordinary: int) -> st.SearchStrategy[Fees]:
    """Odd basis points: few amounts are divided without a rest."""
    modest = st.builds(
        Fees,
        basis_points=st.integers(0, 999).map(lambda half: 2 * half + 1),
        fixed=st.integers(0, ordinary // 50),
        matures=st.booleans(),
        reserve_basis_points=st.sampled_from([0, 1_001, 10_000]),
    )
    harsh = st.builds(
        Fees,
        basis_points=st.integers(3_000, 4_999).map(lambda half: 2 * half + 1),
        fixed=st.integers(ordinary // 2, ordinary * 5),
        matures=st.booleans(),
        reserve_basis_points=st.just(0),
    )
    return st.one_of(modest, harsh)


@st.composite
def _steps(draw: st.DrawFn, lines: tuple[Line, ...]) -> tuple[Step, ...]:
    """Draw refunds of everything: of each seller's sale in any portions, their shipping among them, interleaved."""
    queues = {seller: draw(_steps_of(seller, lines)) for seller in sorted({line.seller for line in lines})}
    turns = [seller for seller, queue in queues.items() for _ in queue]
    return tuple(queues[seller].pop(0) for seller in draw(st.permutations(turns)))


@st.composite
def _steps_of(draw: st.DrawFn, seller: int, lines: tuple[Line, ...]) -> list[Step]:
    left = {number: line.quantity for number, line in enumerate(lines) if line.seller == seller}
    portions = []
    while any(left.values()):
        portion = {number: draw(st.integers(0, most)) for number, most in left.items()}
        if not any(portion.values()) or len(portions) == _MOST_STEPS:
            portion = dict(left)
        portions.append(tuple((number, quantity) for number, quantity in portion.items() if quantity))
        left = {number: most - portion[number] for number, most in left.items()}
    steps = [
        Step(seller, portion, shipping=False, rest=False, restock=draw(st.booleans())) for portion in portions
    ]
    place = draw(st.integers(0, len(steps) - 1))
    match draw(st.sampled_from(["alone", "with lines", "with the rest"])):
        case "alone":
            steps.insert(
                draw(st.integers(0, len(steps))), Step(seller, (), shipping=True, rest=False, restock=False)
            )
        case "with lines":
            steps[place] = Step(seller, steps[place].quantities, shipping=True, rest=False, restock=False)
        case _:
            steps[-1] = Step(seller, steps[-1].quantities, shipping=True, rest=True, restock=False)
    return steps
