"""A creator of digital things with a buyer, on a server where nothing happens by itself."""

import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg
import httpx

from app.client import Client
from core.clock import now
from core.ids import Noun, decode, encode, uuid7
from core.scopes import PERSONAL_SCOPES
from core.viewer import Viewer
from resolvers.loaders import LOADERS
from schema.downloads import Download
from schema.licences import LicenceKey
from services.engine import Engine
from tests.support.orders import insert, make_variant
from tests.support.world import World

ERRORS = "errors { __typename code message path nextAction }"


@dataclass
class Stall:
    """What the creator and the buyer of digital things are."""

    world: World
    owner: asyncpg.Connection
    creator: UUID
    buyer: UUID

    @property
    def engine(self) -> Engine:
        return self.world.engine

    @property
    def seller(self) -> Client:
        """The creator."""
        return self.world.client("fable")

    @property
    def viewer(self) -> Viewer:
        """The buyer, as a loader sees them."""
        return Viewer(user_id=self.buyer, scopes=PERSONAL_SCOPES)

    async def media(
        self,
        content: bytes,
        name: str = "book.epub",
        *,
        kind: str = "DIGITAL",
        state: str = "STORED",
        **media: Any,
    ) -> UUID:
        """Upload a file; return its id."""
        file_id = uuid7()

        async def chunks() -> AsyncIterator[bytes]:
            yield content

        if state == "STORED":
            await self.engine.files.put(str(file_id), chunks())
        at = now()
        row = {"creator_id": self.creator, "content_type": "application/epub+zip", **media}
        return await insert(
            self.owner,
            "media_files",
            id=file_id,
            kind=kind,
            state=state,
            file_name=name,
            size=len(content),
            digest=hashlib.sha256(content).digest() if state == "STORED" else None,
            created_at=at,
            updated_at=at,
            **row,
        )

    async def variant(self, *media: UUID, stock: int | None = None, **variant: Any) -> UUID:
        """Offer a variant that is sold with files; return its id."""
        made = await make_variant(self.owner, self.creator, stock=stock, **variant)
        for place, media_id in enumerate(media):
            await insert(self.owner, "variant_files", variant_id=made, media_id=media_id, position=place)
        return made

    async def downloads(self, line: UUID) -> list[Download]:
        """Return the files of a line, as its buyer sees them."""
        return list(await self.seen("downloads_of_line", line, self.viewer))

    async def licences(self, line: UUID, viewer: Viewer | None = None) -> list[LicenceKey]:
        """Return the keys of a line, as its buyer sees them."""
        return list(await self.seen("licences_of_line", line, viewer or self.viewer))

    async def seen(self, loader: str, line: UUID, viewer: Viewer) -> Any:
        """Return what a viewer sees of a line."""
        [found] = await LOADERS[loader](self.engine, viewer, [line])
        return found


async def open_stall(world: World, owner: asyncpg.Connection) -> Stall:
    """Let a creator and a buyer sign in."""
    creator = decode(Noun.CREATOR, await world.creator("fable"))
    buyer = decode(Noun.USER, (await world.client("buyer").run("{ me { id } }"))["me"]["id"])
    assert creator is not None
    assert buyer is not None
    return Stall(world, owner, creator, buyer)


async def run(
    client: Client, mutation: str, shown: str, idempotency_key: str | None = None, **values: Any
) -> dict[str, Any]:
    """Send a mutation with a fresh idempotency key, or the one that is given; return its payload."""
    kind = f"{mutation[0].upper()}{mutation[1:]}Input"
    text = f"mutation ($input: {kind}!) {{ {mutation}(input: $input) {{ {shown} {ERRORS} }} }}"
    data = await client.run(text, input={"idempotencyKey": idempotency_key or str(uuid7()), **values})
    payload: dict[str, Any] = data[mutation]
    return payload


def variant_id(value: UUID) -> str:
    return encode(Noun.VARIANT, value)


def url_of(download: Download) -> str:
    assert download.url is not None
    return download.url


async def fetch(url: str, method: str = "GET", **headers: str) -> httpx.Response:
    """Fetch a link; header names with underscores."""
    async with httpx.AsyncClient() as client:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        # httpx would ask for compression otherwise, which nobody answers here.
        return await client.request(method, url, headers={"accept-encoding": "identity", **sent})
