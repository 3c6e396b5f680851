"""What a fresh database starts with: fee and tax rates, and in development a few made-up creators to play with."""

from datetime import timedelta
from typing import Final
from uuid import UUID

from app.engine import open_engine
from app.settings import Settings
from core.clock import now
from core.discounts import DiscountKind
from core.ids import uuid7
from core.money import Money, currency
from core.scopes import PERSONAL_SCOPES
from core.viewer import Viewer
from services import (
    collections,
    creators,
    discount_terms,
    products,
    shipping_methods,
    shipping_zones,
    taxes,
    users,
    variant_rows,
)
from services.engine import Engine

_WEEK: Final = timedelta(days=7)

# kind, currency, percentage in basis points, fixed fee in the smallest unit
_FEE_RULES: Final = (
    ("tip", None, 500, 0),
    ("purchase", None, 800, 0),
    ("purchase", "USD", 800, 30),
    ("purchase", "EUR", 800, 25),
    ("purchase", "JPY", 800, 40),
)
_ADD_FEE_RULE: Final = """
    insert into fee_rules (id, kind, currency, plan, percent_basis_points, fixed, maturity_delay_seconds,
        valid_from, created_at)
    values ($1, $2, $3, 'standard', $4, $5, $6, '2020-01-01T00:00:00Z', $7)
    on conflict on constraint one_fee_rule_per_moment do nothing
"""

# handle, name, bio, products: (title, description, amount in the smallest unit, currency, stock)
_CREATORS: Final = (
    (
        "nonesuch_ceramics",
        "Nonesuch Ceramics",
        "Imaginary bowls for imaginary soup.",
        (
            ("A bowl that isn't there", "Holds exactly nothing.", 2_400, "USD", 12),
            ("Glaze recipes", "Forty glazes nobody has fired.", 900, "USD", None),
        ),
    ),
    (
        "fable_radio",
        "Fable Radio",
        "News from places that do not exist.",
        (("Season pass", "All broadcasts of a made-up year.", 3_000, "EUR", None),),
    ),
    (
        "paper_moon_press",
        "Paper Moon Press",
        "Prints of moons made of paper.",
        (("Moon print", "One of three.", 1_500, "JPY", 3),),
    ),
)

_WEAVER: Final = "nonesuch_ceramics"


async def seed(settings: Settings, dsn: str) -> str:
    """Add what is missing and return a sentence that says what there is."""
    async with open_engine(settings, dsn, subscribers=False) as engine:
        for kind, code, percent, fixed in _FEE_RULES:
            await engine.database.writer.execute(
                _ADD_FEE_RULE, uuid7(), kind, code, percent, fixed, int(_WEEK.total_seconds()), now()
            )
        if settings.is_production:
            return f"There are {len(_FEE_RULES)} fee rules. Tax rates are yours to load: comptoir tax import."
        await taxes.load_bundled(engine)
        for handle, name, bio, offers in _CREATORS:
            await _creator(engine, settings.issuer, handle, name, bio, offers)
    return f"There are {len(_FEE_RULES)} fee rules and {len(_CREATORS)} made-up creators with their products."


async def _creator(
    engine: Engine,
    issuer: str,
    handle: str,
    name: str,
    bio: str,
    offers: tuple[tuple[str, str, int, str, int | None], ...],
) -> UUID:
    user_id = await users.sign_in(engine, issuer, handle, name)
    viewer = Viewer(user_id=user_id, scopes=PERSONAL_SCOPES)
    # The keys are the same in every run, so a second run changes nothing.
    creator_id, _ = await creators.create(
        engine, viewer, creators.CreateCreator(handle, name, bio, key=f"seed:{handle}")
    )
    for number, (title, description, amount, code, stock) in enumerate(offers):
        price = Money(amount, currency(code))
        command = products.CreateProduct(
            creator_id, title, description, price, stock, key=f"seed:{handle}:{number}"
        )
        await products.create(engine, viewer, command)
    if handle == _WEAVER:
        await _tunics(engine, viewer, creator_id)
    return creator_id


async def _tunics(engine: Engine, viewer: Viewer, creator_id: UUID) -> None:
    """Add something in several variants and currencies, and a collection that shows it."""
    sizes = [
        variant_rows.VariantDraft(
            prices=(Money(2_900, currency("USD")), Money(2_700, currency("EUR"))),
            choices=(size,),
            stock=stock,
            sku=f"TUNIC-{size}",
            requires_shipping=True,
            weight_grams=220,
        )
        for size, stock in (("S", 4), ("M", 7), ("L", 0))
    ]
    command = products.CreateProduct(
        creator_id,
        "A tunic nobody wove",
        "Warm in weather that is made up.",
        None,
        None,
        key="seed:tunic",
        variants=tuple(sizes),
        options=("Size",),
        tags=("clothes", "winter"),
    )
    product_id, _ = await products.create(engine, viewer, command)
    made = collections.CreateCollection(creator_id, "Winter that never was", "winter", None, key="seed:winter")
    collection_id, _ = await collections.create(engine, viewer, made)
    chosen = collections.SetProducts(collection_id, (product_id,), key="seed:winter:products")
    await collections.set_products(engine, viewer, chosen)
    await _shipping(engine, viewer, creator_id)


async def _shipping(engine: Engine, viewer: Viewer, creator_id: UUID) -> None:
    """Have tunics shipped everywhere, and a code that takes something off."""
    zone = shipping_zones.CreateZone(creator_id, "Everywhere", (), key="seed:everywhere")
    zone_id, _ = await shipping_zones.create_zone(engine, viewer, zone)
    rates = tuple(
        shipping_methods.RateGiven(Money(amount, currency(code))) for amount, code in ((700, "USD"), (600, "EUR"))
    )
    method = shipping_methods.CreateMethod(zone_id, "Paper boat", 3, 9, rates, key="seed:paper-boat")
    await shipping_methods.create_method(engine, viewer, method)
    tenth_off = discount_terms.CreateDiscount(
        creator_id,
        "TENTH",
        "A tenth off",
        DiscountKind.PERCENT,
        1_000,
        None,
        discount_terms.Terms(),
        key="seed:tenth",
    )
    await discount_terms.create(engine, viewer, tenth_off)
