"""Access tokens: which are believed, and that none of the others reads or writes anything."""

import base64
import hashlib
import hmac
import time
from collections.abc import Callable
from typing import Any

import httpx
import orjson
import pytest
from cryptography.hazmat.primitives import serialization
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from core.ids import uuid7
from core.scopes import Scope
from tests.api.shop import Shop, document, unchanged, usd
from tests.support.world import World

pytestmark = pytest.mark.asyncio(loop_scope="module")

ALL_SCOPES = " ".join(Scope)
NOT_VALID = "The access token is not valid, or no longer. Sign in again."
NOT_SENT = "Send the access token as: Authorization: Bearer TOKEN."
NO_SUBJECT = "The access token names no subject."
OTHER_KEY = ECKey.generate_key("P-256", auto_kid=True)


def issuer_key(world: World) -> ECKey:
    return ECKey.import_key(world.settings.development.issuer_key)


def token(world: World, key: Any = None, header: dict[str, Any] | None = None, **changed: Any) -> str:
    """Return a token that would do, but for what was changed; a claim of None is left out."""
    now = int(time.time())
    claims = {
        "iss": world.settings.issuer,
        "aud": world.settings.jwt_audience,
        "sub": "supporter",
        "iat": now,
        "exp": now + 600,
        "scope": ALL_SCOPES,
        **changed,
    }
    key = key or issuer_key(world)
    kept = {name: value for name, value in claims.items() if value is not None}
    header = {"alg": "ES256", "kid": issuer_key(world).kid, **(header or {})}
    return jwt.encode(header, kept, key, algorithms=[header["alg"]])


def unsigned(world: World, algorithm: str = "none") -> str:
    header, claims, _ = token(world).split(".")
    given = orjson.loads(base64.urlsafe_b64decode(header + "=="))
    return f"{_encoded({**given, 'alg': algorithm})}.{claims}."


def with_claims_changed(world: World) -> str:
    header, claims, signature = token(world).split(".")
    given = orjson.loads(base64.urlsafe_b64decode(claims + "=="))
    return f"{header}.{_encoded({**given, 'sub': 'fable'})}.{signature}"


def with_signature_changed(world: World) -> str:
    start, _, signature = token(world).rpartition(".")
    return f"{start}.{'A' if signature[0] != 'A' else 'B'}{signature[1:]}"


def signed_with_the_public_key(world: World) -> str:
    public = issuer_key(world).public_key.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return _hs256(world, public)


def signed_with_the_public_jwk(world: World) -> str:
    return _hs256(world, orjson.dumps(world.settings.development.public_keys()["keys"][0]))


def with_a_key_of_its_own(world: World) -> str:
    return token(world, OTHER_KEY, {"kid": OTHER_KEY.kid, "jwk": OTHER_KEY.as_dict(private=False)})


def _hs256(world: World, secret: bytes) -> str:
    header, claims, _ = token(world).split(".")
    given = orjson.loads(base64.urlsafe_b64decode(header + "=="))
    unsigned_part = f"{_encoded({**given, 'alg': 'HS256'})}.{claims}"
    signature = hmac.digest(secret, unsigned_part.encode(), hashlib.sha256)
    return f"{unsigned_part}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"


def _encoded(value: object) -> str:
    return base64.urlsafe_b64encode(orjson.dumps(value)).decode().rstrip("=")


def jwt_of_a_list(world: World) -> str:
    header, _, _ = token(world).split(".")
    return f"{header}.{_encoded(['sub', 'supporter'])}.{'A' * 86}"


BAD_TOKENS: dict[str, Callable[[World], str]] = {
    "expired": lambda world: token(world, exp=int(time.time()) - 60),
    "expired long ago": lambda world: token(world, exp=1),
    "without an end": lambda world: token(world, exp=None),
    "end is text": lambda world: token(world, exp="tomorrow"),
    "end beyond the calendar": lambda world: token(world, exp=10**15),
    "not yet valid": lambda world: token(world, nbf=int(time.time()) + 600),
    "foreign issuer": lambda world: token(world, iss="https://elsewhere.test"),
    "without an issuer": lambda world: token(world, iss=None),
    "wrong audience": lambda world: token(world, aud="another-service"),
    "without an audience": lambda world: token(world, aud=None),
    "claims changed": with_claims_changed,
    "signature changed": with_signature_changed,
    "signature missing": lambda world: token(world).rpartition(".")[0] + ".",
    "no algorithm": unsigned,
    "no algorithm, shouted": lambda world: unsigned(world, "NONE"),
    "HS256 with the public key": signed_with_the_public_key,
    "HS256 with the public JWK": signed_with_the_public_jwk,
    "HS256 with an empty secret": lambda world: _hs256(world, b""),
    "another's key under the issuer's name": lambda world: token(world, OTHER_KEY),
    "a key it brings along": with_a_key_of_its_own,
    "empty subject": lambda world: token(world, sub=""),
    "without a subject": lambda world: token(world, sub=None),
    "payment token of another deployment": lambda world: jwt.encode(
        {"alg": "HS256"},
        {"aud": "comptoir:payment", "sub": str(uuid7()), "exp": int(time.time()) + 600},
        OctKey.import_key("another deployment's secret of 32 characters"),
        algorithms=["HS256"],
    ),
    "not a token": lambda _: "nonsense",
    "three dots": lambda _: "..",
    "JSON": lambda _: '{"sub":"supporter"}',
    "encrypted": lambda _: "a.b.c.d.e",
    "header is no object": lambda world: f"{_encoded([])}.{token(world).partition('.')[2]}",
    "claims are no object": jwt_of_a_list,
}
NO_SUBJECTS: dict[str, Callable[[World], str]] = {
    "subject too long": lambda world: token(world, sub="s" * 256),
    "subject with NUL": lambda world: token(world, sub="a\0b"),
}


async def _post(shop: Shop, authorization: str) -> httpx.Response:
    tip = {"idempotencyKey": str(uuid7()), "creatorId": shop.creator, "amount": usd("5.00")}
    return await shop.nobody.post(
        {"query": document("tipCreate"), "variables": {"input": tip}}, {"authorization": authorization}
    )


def _is_unauthenticated(response: httpx.Response, says: str) -> None:
    assert response.status_code == 401
    assert response.headers["www-authenticate"] == 'Bearer error="invalid_token"'
    assert response.json() == {
        "errors": [{"message": says, "extensions": {"code": "UNAUTHENTICATED", "nextAction": "SIGN_IN"}}]
    }


async def test_token_that_is_changed_in_nothing_is_believed(shop: Shop) -> None:
    response = await _post(shop, f"Bearer {token(shop.world)}")

    assert response.status_code == 200
    assert response.json()["data"]["tipCreate"]["errors"] == []


@pytest.mark.parametrize("kind", BAD_TOKENS)
async def test_token_that_cannot_be_believed_does_nothing(shop: Shop, kind: str) -> None:
    given = BAD_TOKENS[kind](shop.world)

    async with unchanged(shop.world):
        responses = [await _post(shop, f"Bearer {given}") for _ in range(2)]

    for response in responses:
        _is_unauthenticated(response, NOT_VALID)


@pytest.mark.parametrize("kind", NO_SUBJECTS)
async def test_token_that_names_nobody_does_nothing(shop: Shop, kind: str) -> None:
    async with unchanged(shop.world):
        response = await _post(shop, f"Bearer {NO_SUBJECTS[kind](shop.world)}")

    _is_unauthenticated(response, NO_SUBJECT)


@pytest.mark.parametrize("authorization", ["Bearer", "Basic dXNlcjpwYXNz", "token", "Bearer " + "x" * 8_193])
async def test_authorization_of_another_kind_does_nothing(shop: Shop, authorization: str) -> None:
    async with unchanged(shop.world):
        response = await _post(shop, authorization)

    _is_unauthenticated(response, NOT_SENT)


async def test_scopes_nobody_knows_allow_nothing(shop: Shop) -> None:
    given = token(shop.world, scope="tips:read TIPS:WRITE tips:write:all *")

    async with unchanged(shop.world):
        response = await _post(shop, f"Bearer {given}")

    payload = response.json()["data"]["tipCreate"]
    assert [(error["code"], error["path"], error["nextAction"]) for error in payload["errors"]] == [
        ("FORBIDDEN", None, "SIGN_IN")
    ]
    assert payload["tip"] is None


@pytest.mark.parametrize("scope", [None, "", ["tips:write"], 7])
async def test_token_whose_scope_is_no_text_allows_nothing(shop: Shop, scope: object) -> None:
    async with unchanged(shop.world):
        response = await _post(shop, f"Bearer {token(shop.world, scope=scope)}")

    assert [error["code"] for error in response.json()["data"]["tipCreate"]["errors"]] == ["FORBIDDEN"]


@pytest.mark.parametrize("kind", [*BAD_TOKENS, *NO_SUBJECTS])
async def test_socket_with_a_token_that_cannot_be_believed_is_closed(shop: Shop, kind: str) -> None:
    given = {**BAD_TOKENS, **NO_SUBJECTS}[kind](shop.world)

    await _is_closed(shop, {"Authorization": f"Bearer {given}"})


@pytest.mark.parametrize("authorization", [7, ["Bearer x"], {"token": "x"}, True, "Basic dXNlcjpwYXNz"])
async def test_socket_with_a_credential_of_another_kind_is_closed(shop: Shop, authorization: object) -> None:
    await _is_closed(shop, {"Authorization": authorization})


async def _is_closed(shop: Shop, payload: dict[str, object]) -> None:
    address = shop.world.url.replace("http", "ws", 1) + "/graphql"
    async with (
        unchanged(shop.world),
        connect(address, subprotocols=[Subprotocol("graphql-transport-ws")]) as socket,
    ):
        await socket.send(orjson.dumps({"type": "connection_init", "payload": payload}).decode())
        with pytest.raises(ConnectionClosed) as closed:
            await socket.recv()

    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 4403


async def test_name_that_cannot_be_stored_is_left_out(shop: Shop) -> None:
    given = token(shop.world, sub="nameless", name="a\0b")

    response = await shop.nobody.post({"query": "{ me { name } }"}, {"authorization": f"Bearer {given}"})

    assert response.status_code == 200
    assert response.json()["data"] == {"me": {"name": None}}
