"""What is refused whatever an operation asks for: card numbers, texts that cannot be stored, endless nesting."""

from typing import Final

from graphql import DocumentNode, StringValueNode, Visitor, visit

from core.cards import text_holds_card_number
from core.errors import ErrorCode, Refused
from core.texts import is_storable

# A filter of filters, each a list of objects with a range of two amounts: 16 levels.
_DEEPEST: Final = 32
_SHORTEST_CARD_NUMBER: Final = 13


def refusal_of_variables(variables: object) -> Refused | None:
    """Return what speaks against an operation's variables, as they were read from JSON."""
    unstorable = False
    level: list[object] = [variables]
    # Level by level: a function that calls itself ends where Python's stack does.
    for _ in range(_DEEPEST + 1):
        deeper: list[object] = []
        for value in level:
            if isinstance(value, str):
                if len(value) >= _SHORTEST_CARD_NUMBER and text_holds_card_number(value):
                    return _card_number()
                unstorable = unstorable or not is_storable(value)
            elif isinstance(value, dict):
                deeper.extend(value)
                deeper.extend(value.values())
            elif isinstance(value, list):
                deeper.extend(value)
            elif isinstance(value, (int, float)) and text_holds_card_number(f"{value:.0f}"):
                return _card_number()
        if not deeper:
            return _unstorable() if unstorable else None
        level = deeper
    return Refused(ErrorCode.LIMIT_EXCEEDED, "The variables are nested too deeply.")


def refusal_of_document(document: DocumentNode) -> Refused | None:
    """Return what speaks against the strings and numbers written into a document."""
    literals = _Literals()
    visit(document, literals)
    if literals.card_number:
        return _card_number()
    return _unstorable() if literals.unstorable else None


class _Literals(Visitor):
    def __init__(self) -> None:
        super().__init__()
        self.card_number = False
        self.unstorable = False

    def enter_string_value(self, node: StringValueNode, *_: object) -> None:
        self.card_number = self.card_number or text_holds_card_number(node.value)
        self.unstorable = self.unstorable or not is_storable(node.value)

    enter_int_value = enter_string_value
    enter_float_value = enter_string_value


def _card_number() -> Refused:
    return Refused(
        ErrorCode.CARD_NUMBER_REFUSED,
        "This looks like a card number. Card numbers are never sent here: send the token that the payment "
        "provider gave for the card.",
    )


def _unstorable() -> Refused:
    return Refused(ErrorCode.INPUT_INVALID, "A text holds a character that cannot be stored. Remove it.")
