"""Documents: parsed and validated once, the latest kept, what is refused never."""

import pytest
from graphql import GraphQLSchema, GraphQLSyntaxError

from app.documents import MAXIMUM_TOKENS, Documents
from app.graphql import ComptoirSchema

GOOD = "{ me { id } }"


@pytest.fixture(scope="module")
def built() -> GraphQLSchema:
    return ComptoirSchema(introspection=True)._schema


def _good(number: int) -> str:
    return f"query Q{number} {{ me {{ id }} }}"


def test_document_asked_for_again_is_the_same_and_a_hit(built: GraphQLSchema) -> None:
    documents = Documents(introspection=True)

    first = documents.get(built, GOOD)
    again = [documents.get(built, GOOD) for _ in range(3)]

    assert all(document is first for document in again)
    assert first.errors == ()
    assert (documents.misses, documents.hits) == (1, 3)


def test_document_that_differs_by_a_space_is_another(built: GraphQLSchema) -> None:
    documents = Documents(introspection=True)

    assert documents.get(built, GOOD) is not documents.get(built, GOOD + " ")
    assert (documents.misses, documents.hits) == (2, 0)


@pytest.mark.parametrize(
    "text",
    [
        "{ nothing }",
        "{ me }",
        "{ me { id(x: 1) } }",
        '{ creator(handle: "4242424242424242") { id } }',
        '{ creator(handle: "\\u0000") { id } }',
        "query A { me { id } } query A { me { id } }",
        "{ " + " ".join(f"a{number}: me {{ id }}" for number in range(40)) + " }",
        '{ creator(handle: "x") {' + " products(first: 1) { nodes { creator {" * 8 + " id " + "}}}" * 8 + "} }",
    ],
    ids=len,
)
def test_document_that_is_refused_is_not_kept(built: GraphQLSchema, text: str) -> None:
    documents = Documents(introspection=True)

    for _ in range(3):
        assert len(documents.get(built, text).errors) >= 1

    assert (documents.misses, documents.hits) == (3, 0)


@pytest.mark.parametrize("text", ["", "{", "{ me { id }", "nonsense", "{ me { id } } }", '{ a(b: "\\ud800") }'])
def test_document_that_cannot_be_parsed_is_an_error_each_time(built: GraphQLSchema, text: str) -> None:
    documents = Documents(introspection=True)

    for _ in range(2):
        with pytest.raises(GraphQLSyntaxError):
            documents.get(built, text)

    assert documents.hits == 0


def test_document_of_more_tokens_than_any_needs_is_not_parsed(built: GraphQLSchema) -> None:
    documents = Documents(introspection=True)
    fields = MAXIMUM_TOKENS - 5

    assert documents.get(built, "{ me { " + "id " * fields + "} }").node.kind == "document"
    with pytest.raises(GraphQLSyntaxError, match="tokens"):
        documents.get(built, "{ me { " + "id " * (fields + 1) + "} }")


def test_no_more_documents_are_kept_than_there_is_room_for(built: GraphQLSchema) -> None:
    documents = Documents(introspection=True, size=3)
    for number in range(5):
        documents.get(built, _good(number))

    for number in (2, 3, 4):
        documents.get(built, _good(number))
    assert (documents.misses, documents.hits) == (5, 3)
    for number in (0, 1):
        documents.get(built, _good(number))
    assert (documents.misses, documents.hits) == (7, 3)


def test_document_nobody_asks_for_makes_room_first(built: GraphQLSchema) -> None:
    documents = Documents(introspection=True, size=2)
    documents.get(built, _good(1))
    documents.get(built, _good(2))
    documents.get(built, _good(1))

    documents.get(built, _good(3))

    documents.get(built, _good(1))
    assert (documents.misses, documents.hits) == (3, 2)
    documents.get(built, _good(2))
    assert (documents.misses, documents.hits) == (4, 2)


def test_refused_documents_displace_none(built: GraphQLSchema) -> None:
    documents = Documents(introspection=True, size=1)
    documents.get(built, GOOD)

    for number in range(20):
        documents.get(built, f"{{ nothing{number} }}")

    documents.get(built, GOOD)
    assert documents.hits == 1


def test_very_long_document_is_run_and_not_kept(built: GraphQLSchema) -> None:
    documents = Documents(introspection=True)
    text = GOOD + " " * 20_000

    for _ in range(2):
        assert documents.get(built, text).errors == ()

    assert (documents.misses, documents.hits) == (2, 0)


def test_introspection_is_refused_where_it_is_hidden(built: GraphQLSchema) -> None:
    for text in ("{ __schema { types { name } } }", '{ __type(name: "Query") { name } }'):
        assert Documents(introspection=True).get(built, text).errors == ()
        assert len(Documents(introspection=False).get(built, text).errors) >= 1
    assert Documents(introspection=False).get(built, "{ __typename }").errors == ()
