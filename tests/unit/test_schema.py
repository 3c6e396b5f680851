"""The contract: described to the last argument, the same in git as in the code, whole."""

import re
from pathlib import Path

import pytest
from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLSchema,
    get_named_type,
    is_specified_scalar_type,
)

import schema as contract
from app.graphql import SCHEMA_FILE, ComptoirSchema, printed_schema
from resolvers.loaders import LOADERS
from schema.base import unbound

FOLDER = Path(contract.__file__).parent


@pytest.fixture(scope="module")
def built() -> GraphQLSchema:
    return ComptoirSchema(introspection=True)._schema


def _own_types(built: GraphQLSchema) -> list[GraphQLNamedType]:
    return [
        found
        for name, found in built.type_map.items()
        if not name.startswith("__") and not is_specified_scalar_type(found)
    ]


def test_everything_has_a_description(built: GraphQLSchema) -> None:
    bare: list[str] = []
    for found in _own_types(built):
        if not found.description:
            bare.append(found.name)
        if isinstance(found, GraphQLEnumType):
            bare += [f"{found.name}.{name}" for name, value in found.values.items() if not value.description]
        for name, field in getattr(found, "fields", {}).items():
            if not field.description:
                bare.append(f"{found.name}.{name}")
            bare += [
                f"{found.name}.{name}({argument})"
                for argument, given in getattr(field, "args", {}).items()
                if not given.description
            ]

    assert bare == []


def test_descriptions_are_sentences(built: GraphQLSchema) -> None:
    unfinished = [
        f"{found.name}.{name}"
        for found in _own_types(built)
        for name, field in getattr(found, "fields", {}).items()
        if not field.description.endswith((".", ".)", "`."))
    ]

    assert unfinished == []


def test_every_mutation_takes_one_input_with_a_key_and_returns_a_payload_with_errors(built: GraphQLSchema) -> None:
    assert built.mutation_type is not None
    for name, field in built.mutation_type.fields.items():
        noun_and_verb = f"{name[0].upper()}{name[1:]}"
        assert {argument: str(given.type) for argument, given in field.args.items()} == {
            "input": f"{noun_and_verb}Input!"
        }
        asked = get_named_type(field.args["input"].type)
        assert isinstance(asked, GraphQLInputObjectType)
        assert str(asked.fields["idempotencyKey"].type) == "String!"
        payload = get_named_type(field.type)
        assert isinstance(payload, GraphQLObjectType)
        assert str(field.type) == f"{noun_and_verb}Payload!"
        assert [interface.name for interface in payload.interfaces] == ["Payload"]
        assert str(payload.fields["errors"].type) == "[UserError!]!"
        others = [str(other.type) for kind, other in payload.fields.items() if kind != "errors"]
        assert others
        assert not any(kind.endswith("!") for kind in others), "an object that may be missing beside an error"


def test_every_error_type_is_in_the_schema(built: GraphQLSchema) -> None:
    interface = built.type_map["UserError"]
    assert isinstance(interface, GraphQLInterfaceType)

    assert {found.name for found in built.get_possible_types(interface)} == {
        "InputError",
        "InsufficientStock",
        "PriceChanged",
        "DiscountRejected",
        "BuyerLimitExceeded",
        "NotReleased",
        "AddressInvalid",
        "CartCheckedOut",
        "QuantityTooLarge",
        "PaymentDeclined",
        "AmountOutOfRange",
        "RefundTooLarge",
        "DisputeResponseLate",
        "InsufficientBalance",
        "PayoutBelowMinimum",
    }


def test_nothing_is_a_float(built: GraphQLSchema) -> None:
    assert "Float" not in built.type_map


def test_every_list_is_a_connection_with_a_page_size(built: GraphQLSchema) -> None:
    connections = 0
    for found in _own_types(built):
        if not isinstance(found, GraphQLObjectType):
            continue
        for name, field in found.fields.items():
            if get_named_type(field.type).name.endswith("Connection"):
                connections += 1
                assert {"first", "after", "last", "before"} <= set(field.args), f"{found.name}.{name}"

    assert connections >= 6


def test_ids_are_opaque_everywhere(built: GraphQLSchema) -> None:
    wrong = [
        f"{found.name}.{name}"
        for found in _own_types(built)
        for name, field in getattr(found, "fields", {}).items()
        if (name == "id" or name.endswith("Id")) and get_named_type(field.type).name != "ID"
    ]

    assert wrong == []


def test_every_nested_field_declared_by_name_is_bound() -> None:
    declared = {name for text in _sources() for name in re.findall(r'nested\("(\w+)"\)', text)}

    assert declared
    assert unbound(declared) == set()
    assert unbound({"nothing of this name"}) == {"nothing of this name"}


def test_every_edge_has_its_loader_and_every_loader_its_edge() -> None:
    declared = {name for text in _sources() for name in re.findall(r'(?:edge|loaders\.load)\(\s*"(\w+)"', text)}

    assert declared == set(LOADERS)


def _sources() -> list[str]:
    return [path.read_text() for path in FOLDER.glob("*.py")]


def test_schema_in_git_is_the_schema_of_the_code() -> None:
    assert SCHEMA_FILE.read_text() == printed_schema()
