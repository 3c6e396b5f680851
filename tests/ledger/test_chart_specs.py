"""How accounts are named, and what follows from whose they are."""

from uuid import uuid4

from ledger import AccountKind, AccountSpec, chart

USD = "USD"
OWNER = uuid4()


def test_accounts_of_people_have_codes_of_their_own() -> None:
    assert chart.wallet(USD, OWNER).code == f"person:{OWNER}:wallet:USD"
    assert chart.gift_card(USD, OWNER).code == f"gift_card:{OWNER}:gift_card:USD"
    assert chart.creator(AccountKind.OWED, USD, OWNER).code == f"creator:{OWNER}:owed:USD"


def test_accounts_that_every_process_touches_are_striped_and_locked_last() -> None:
    specs = [
        AccountSpec(
            kind,
            USD,
            OWNER if kind in chart.PERSONAL_KINDS else None,
            "sandbox" if kind in chart.PROVIDER_KINDS else None,
        )
        for kind in AccountKind
    ]
    assert {spec.kind for spec in specs if not spec.striped} == chart.PERSONAL_KINDS
    assert {spec.kind for spec in specs if spec.guarded} == chart.PERSONAL_KINDS - {AccountKind.OWED}
    ranks = {striped: {spec.lock_rank for spec in specs if spec.striped is striped} for striped in (True, False)}
    assert max(ranks[False]) < min(ranks[True])
