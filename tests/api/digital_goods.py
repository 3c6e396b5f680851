"""Something digital in the shop: a variant with a file and a pool of keys, of which its buyer has some."""

from typing import Final
from uuid import UUID

from core.clock import now
from core.ids import Noun, decode, encode, uuid7
from models.database import Connection
from services.access import digest_of
from tests.api.shop import Shop
from tests.support.orders import insert, make_order, make_variant

_PRODUCT: Final = uuid7()
_VARIANT: Final = uuid7()
_MEDIA: Final = uuid7()
_LICENCE: Final = uuid7()
PRODUCT: Final = encode(Noun.PRODUCT, _PRODUCT)
VARIANT: Final = encode(Noun.VARIANT, _VARIANT)
MEDIA: Final = encode(Noun.MEDIA, _MEDIA)
LICENCE: Final = encode(Noun.LICENCE, _LICENCE)
"""A key that the supporter bought."""
LICENCE_KEY: Final = "SOLD-TO-THE-SUPPORTER"
"""Another one, in full."""


async def sell_digital_goods(shop: Shop) -> None:
    """Let the creator sell it, and the supporter buy two keys of it."""
    writer = shop.world.engine.database.writer
    creator = shop.world.key(Noun.CREATOR, shop.creator)
    at = now()
    async with writer.acquire() as connection:
        await make_variant(connection, creator, product_id=_PRODUCT, id=_VARIANT, licence_policy="POOL", stock=0)
        await insert(
            connection,
            "media_files",
            id=_MEDIA,
            creator_id=creator,
            kind="DIGITAL",
            state="STORED",
            file_name="book.epub",
            content_type="application/epub+zip",
            size=1,
            digest=digest_of("book"),
            created_at=at,
            updated_at=at,
        )
        await insert(connection, "variant_files", variant_id=_VARIANT, media_id=_MEDIA, position=0)
    await _sell(shop, _LICENCE, "KEPT-BY-THE-SUPPORTER")
    await _sell(shop, uuid7(), LICENCE_KEY)


async def sold_licence(shop: Shop) -> str:
    """Return the id of a fresh key that the supporter bought and may replace: it was generated, not uploaded."""
    licence, variant = uuid7(), uuid7()
    creator = shop.world.key(Noun.CREATOR, shop.creator)
    async with shop.world.engine.database.writer.acquire() as connection:
        await make_variant(connection, creator, id=variant, licence_policy="GENERATED")
    await _sell(shop, licence, str(licence), variant)
    return encode(Noun.LICENCE, licence)


async def digital_variant(_: Shop) -> str:
    """Return the id of the variant."""
    return VARIANT


async def _sell(shop: Shop, licence: UUID, key: str, variant: UUID = _VARIANT) -> None:
    buyer = decode(Noun.USER, (await shop.supporter.run("{ me { id } }"))["me"]["id"])
    creator = shop.world.key(Noun.CREATOR, shop.creator)
    async with shop.world.engine.database.writer.acquire() as connection:
        made = await make_order(connection, creator, variant, buyer=buyer, granted=False)
        await _key(connection, licence, key, made.line, variant)


async def _key(connection: Connection, licence: UUID, key: str, line: UUID, variant: UUID) -> None:
    at = now()
    await insert(
        connection,
        "licence_keys",
        id=licence,
        variant_id=variant,
        key=key,
        digest=digest_of(key),
        state="ASSIGNED",
        line_id=line,
        created_at=at,
        updated_at=at,
    )
