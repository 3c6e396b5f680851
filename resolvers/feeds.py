"""Feeds: a creator's activity as it happens."""

from collections.abc import AsyncIterator
from typing import Annotated, Any
from uuid import UUID

import strawberry

from core import ids
from core.cursors import decode_cursor, encode_cursor
from core.errors import not_found
from core.ids import Noun
from core.scopes import Scope
from resolvers import shown
from resolvers.context import Info
from resolvers.fields import stream, subscription, top_level
from schema.feeds import Activity, CreatorActivityUpdate
from schema.payments import UpdateKind
from services import creators, feeds, payments
from services.bus import StatusEvent


@strawberry.type
class FeedSubscription:
    @subscription(
        description="A creator's activity: a snapshot first, then every payment that succeeds, in order and none "
        "missing. With `after`, only what came later. For that creator alone.",
        scope=Scope.EARNINGS_READ,
    )
    async def creator_activity(
        self,
        info: Info,
        creator_id: Annotated[strawberry.ID, strawberry.argument(description="Which creator.")],
        after: Annotated[
            str | None, strawberry.argument(description="The cursor of the last message you have.")
        ] = None,
    ) -> AsyncIterator[CreatorActivityUpdate]:
        key = ids.decode(Noun.CREATOR, creator_id)
        if key is None or not await _is_own(info, key):
            raise top_level(not_found("creator", "creatorId"))
        place = None if after is None else decode_cursor(key, after)
        feed = feeds.creator_feed(info.context.engine, key, -1 if after is not None and place is None else place)

        async def show(item: feeds.FeedItem) -> CreatorActivityUpdate:
            info.context.forget()
            return await _update(info, key, item)

        async for update in stream(feed, key, show):
            yield update


async def _is_own(info: Info, key: UUID) -> bool:
    viewer = info.context.viewer
    rows = await creators.by_id(info.context.engine, [key])
    return bool(rows) and rows[0]["user_id"] == viewer.user_id and viewer.may(Scope.EARNINGS_READ)


async def _update(info: Info, key: UUID, item: feeds.FeedItem) -> CreatorActivityUpdate:
    if isinstance(item, feeds.Reset):
        return CreatorActivityUpdate(kind=UpdateKind.RESET, cursor=encode_cursor(key, 0), activity=None, recent=[])
    cursor = encode_cursor(key, item.cursor)
    if isinstance(item, feeds.Snapshot):
        recent = await _activities(info, key, item.recent)
        return CreatorActivityUpdate(kind=UpdateKind.SNAPSHOT, cursor=cursor, activity=None, recent=recent)
    activity = (await _activities(info, key, [item.event]))[0]
    return CreatorActivityUpdate(kind=UpdateKind.EVENT, cursor=cursor, activity=activity, recent=[])


async def _activities(info: Info, key: UUID, events: Any) -> list[Activity]:
    found: list[StatusEvent] = list(events)
    rows = await payments.of_payee(info.context.engine, key, [event.subject for event in found])
    by_id = {row["id"]: row for row in rows}
    return [
        shown.activity(by_id[event.subject], encode_cursor(key, event.creator_offset or 0), event.at)
        for event in found
    ]
