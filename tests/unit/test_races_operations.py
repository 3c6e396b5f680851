"""What races and benchmarks send is what the contract takes."""

import pytest
from graphql import build_schema, parse, validate

from app.graphql import printed_schema
from benchmarks import commerce_shop
from races import operations

CONTRACT = build_schema(printed_schema())
SENT = {
    f"{module.__name__}.{name}": text
    for module in (operations, commerce_shop)
    for name, text in vars(module).items()
    if isinstance(text, str) and text.lstrip().startswith(("query", "mutation", "{"))
}


def test_operations_are_found() -> None:
    assert len(SENT) > 20


@pytest.mark.parametrize("text", SENT.values(), ids=SENT.keys())
def test_operation_is_valid_in_the_contract(text: str) -> None:
    assert validate(CONTRACT, parse(text)) == []
