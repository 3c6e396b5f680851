"""Every event of the chart with the key and the movements that it has to have."""

from collections.abc import Iterator
from uuid import UUID, uuid4

from ledger import AccountKind, AccountSpec, Draft, chart
from ledger.chart import RecoveryLine, Return, Share, Split

USD = "USD"
CREATOR = UUID("0190b3c4-0000-7000-8000-000000000001")
OTHER = UUID("0190b3c4-0000-7000-8000-000000000002")
PAYMENT = uuid4()
EVENT = uuid4()


def name(spec: AccountSpec) -> str:
    owner = "other " if spec.owner == OTHER else ""
    return f"{spec.provider}:{spec.kind}" if spec.provider else f"{owner}{spec.kind}"


def moves(draft: Draft) -> list[str]:
    return list(_moves(draft))


def _moves(draft: Draft) -> Iterator[str]:
    for line in draft.lines:
        way = f"{name(line.debit)} → {name(line.credit)}"
        if isinstance(line, RecoveryLine):
            yield f"{way} debt"
        else:
            shortfall = f" or {name(line.shortfall)}" if line.shortfall else ""
            yield f"{way} {line.amount}{shortfall}"


def captured(net: int = 850, fee: int = 100, tax: int = 50) -> Draft:
    return chart.capture(
        payment=PAYMENT, creator_id=CREATOR, provider="sandbox", asset=USD, net=net, fee=fee, tax=tax
    )


def charged(gross: int = 1000, provider_fee: int = 59) -> Draft:
    return chart.charge(
        provider="sandbox", balance_transaction="txn_1", asset=USD, gross=gross, provider_fee=provider_fee
    )


def matured(net: int = 850, reserve: int = 85, **more: object) -> Draft:
    return chart.earning(payment=PAYMENT, creator_id=CREATOR, asset=USD, net=net, reserve=reserve, **more)


def due(**more: object) -> Draft:
    return chart.reserve_due(payment=PAYMENT, creator_id=CREATOR, asset=USD, amount=85, **more)


def back(taken_from: AccountKind = AccountKind.PENDING, from_reserve: int = 0) -> Return:
    return Return(CREATOR, Split(425, 50, 25), taken_from, from_reserve)


def refunded(*returns: Return) -> Draft:
    return chart.refund(refund=EVENT, provider="sandbox", asset=USD, returns=returns)


def withdrawn(amount: int = 500, dispute_fee: int = 1500) -> Draft:
    return chart.dispute_withdrawn(
        dispute=EVENT, provider="sandbox", balance_transaction="txn_3", asset=USD, returns=[back()],
        withdrawn=amount, dispute_fee=dispute_fee,
    )  # fmt: skip


def won(**more: int) -> Draft:
    return chart.dispute_won(
        dispute=EVENT, provider="sandbox", balance_transaction="txn_4", withdrawal="txn_3", asset=USD, **more
    )


PAYOUT = {"payout": EVENT, "asset": USD, "amount": 700}
AT_PROVIDER = {"provider": "sandbox", "asset": USD}
OWN = {**AT_PROVIDER, "balance_transaction": "txn_8"}


def foreign_dispute(gross: int, fee: int) -> Draft:
    return chart.foreign_settlement(
        **AT_PROVIDER, balance_transaction="txn_1", gross=gross, provider_fee=fee, fees_to=AccountKind.DISPUTE_FEES
    )


def taken(amount: int = 500) -> Draft:
    return chart.dispute_taken(dispute=EVENT, **AT_PROVIDER, returns=[back()], amount=amount)


EVENTS: list[tuple[Draft, str, list[str]]] = [
    (
        captured(),
        f"capture:{PAYMENT}",
        ["sandbox:clearing → pending 850", "sandbox:clearing → fees 100", "sandbox:clearing → tax_payable 50"],
    ),
    (
        chart.capture_order(
            payment=PAYMENT,
            **AT_PROVIDER,
            shares=[Share(CREATOR, Split(600, 70, 30), uuid4()), Share(OTHER, Split(255, 30, 15), uuid4())],
        ),
        f"capture:{PAYMENT}",
        [
            "sandbox:clearing → pending 600",
            "sandbox:clearing → fees 70",
            "sandbox:clearing → tax_payable 30",
            "sandbox:clearing → other pending 255",
            "sandbox:clearing → fees 30",
            "sandbox:clearing → tax_payable 15",
        ],
    ),
    (
        charged(),
        "charge:sandbox:txn_1",
        ["sandbox:balance → sandbox:clearing 1000", "provider_fees → sandbox:balance 59"],
    ),
    (
        chart.capture_reversed(**AT_PROVIDER, balance_transaction="txn_9", amount=750),
        "capture_reversed:sandbox:txn_9",
        ["sandbox:clearing → sandbox:balance 750"],
    ),
    (
        chart.capture_reversed(**AT_PROVIDER, balance_transaction="txn_9", amount=750, provider_fee=3),
        "capture_reversed:sandbox:txn_9",
        ["sandbox:clearing → sandbox:balance 750", "provider_fees → sandbox:balance 3"],
    ),
    (
        chart.capture_reversed(**AT_PROVIDER, balance_transaction="txn_9", amount=750, provider_fee=-22),
        "capture_reversed:sandbox:txn_9",
        ["sandbox:clearing → sandbox:balance 750", "sandbox:balance → provider_fees 22"],
    ),
    (
        chart.foreign_settlement(**AT_PROVIDER, balance_transaction="txn_1", gross=920, provider_fee=40),
        "foreign_settlement:sandbox:txn_1",
        ["sandbox:balance → suspense 920", "provider_fees → sandbox:balance 40"],
    ),
    (
        chart.foreign_settlement(**AT_PROVIDER, balance_transaction="txn_1", gross=-920, provider_fee=0),
        "foreign_settlement:sandbox:txn_1",
        ["suspense → sandbox:balance 920"],
    ),
    (
        foreign_dispute(-920, 1500),
        "foreign_settlement:sandbox:txn_1",
        ["suspense → sandbox:balance 920", "dispute_fees → sandbox:balance 1500"],
    ),
    (
        foreign_dispute(900, -1500),
        "foreign_settlement:sandbox:txn_1",
        ["sandbox:balance → suspense 900", "sandbox:balance → dispute_fees 1500"],
    ),
    (
        chart.foreign_settlement(**AT_PROVIDER, balance_transaction="txn_1", gross=920, provider_fee=-40),
        "foreign_settlement:sandbox:txn_1",
        ["sandbox:balance → suspense 920", "sandbox:balance → provider_fees 40"],
    ),
    (
        chart.platform_payout(**OWN, amount=5000, fee=25),
        "platform_payout:sandbox:txn_8",
        ["bank → sandbox:balance 5000", "provider_fees → sandbox:balance 25"],
    ),
    (
        chart.platform_payout(**OWN, amount=5000, fee=-25),
        "platform_payout:sandbox:txn_8",
        ["bank → sandbox:balance 5000", "sandbox:balance → provider_fees 25"],
    ),
    (
        chart.platform_payout_returned(**OWN, amount=5000, fee=25),
        "platform_payout_returned:sandbox:txn_8",
        ["sandbox:balance → bank 5000", "provider_fees → sandbox:balance 25"],
    ),
    (
        chart.platform_payout_returned(**OWN, amount=5000, fee=-25),
        "platform_payout_returned:sandbox:txn_8",
        ["sandbox:balance → bank 5000", "sandbox:balance → provider_fees 25"],
    ),
    (
        chart.platform_top_up(**OWN, amount=5000, fee=25),
        "platform_top_up:sandbox:txn_8",
        ["sandbox:balance → bank 5000", "provider_fees → sandbox:balance 25"],
    ),
    (
        chart.platform_top_up(**OWN, amount=-5000, fee=-25),
        "platform_top_up:sandbox:txn_8",
        ["bank → sandbox:balance 5000", "sandbox:balance → provider_fees 25"],
    ),
    (
        chart.provider_fee(**OWN, amount=25),
        "provider_fee:sandbox:txn_8",
        ["provider_fees → sandbox:balance 25"],
    ),
    (
        chart.provider_fee(**OWN, amount=-25),
        "provider_fee:sandbox:txn_8",
        ["sandbox:balance → provider_fees 25"],
    ),
    (matured(), f"earning:{PAYMENT}", ["pending → available 765", "pending → reserve 85"]),
    (
        matured(recover=True),
        f"earning:{PAYMENT}",
        ["pending → available 765", "pending → reserve 85", "available → owed debt"],
    ),
    (matured(reserve=0, returned_by=EVENT), f"earning:{PAYMENT}:{EVENT}", ["pending → available 850"]),
    (due(), f"reserve:{PAYMENT}", ["reserve → available 85"]),
    (due(recover=True), f"reserve:{PAYMENT}", ["reserve → available 85", "available → owed debt"]),
    (due(returned_by=EVENT), f"reserve:{PAYMENT}:{EVENT}", ["reserve → available 85"]),
    (
        chart.overpaid_debt(returned_by=EVENT, creator_id=CREATOR, asset=USD, amount=85),
        f"overpaid_debt:{EVENT}",
        ["owed → available 85"],
    ),
    (
        chart.overpaid_debt(returned_by=EVENT, creator_id=OTHER, asset=USD, amount=85, share=PAYMENT),
        f"overpaid_debt:{EVENT}:{PAYMENT}",
        ["other owed → other available 85"],
    ),
    (
        refunded(back()),
        f"refund:{EVENT}",
        [
            "pending → sandbox:clearing 425 or owed",
            "fees → sandbox:clearing 50",
            "tax_payable → sandbox:clearing 25",
        ],
    ),
    (
        refunded(back(AccountKind.AVAILABLE, from_reserve=85), Return(OTHER, Split(9, 1, 0), AccountKind.PENDING)),
        f"refund:{EVENT}",
        [
            "reserve → sandbox:clearing 85 or owed",
            "available → sandbox:clearing 340 or owed",
            "fees → sandbox:clearing 50",
            "tax_payable → sandbox:clearing 25",
            "other pending → sandbox:clearing 9 or other owed",
            "fees → sandbox:clearing 1",
        ],
    ),
    (
        chart.refund_transaction(**AT_PROVIDER, balance_transaction="txn_2", amount=500),
        "refund_transaction:sandbox:txn_2",
        ["sandbox:clearing → sandbox:balance 500"],
    ),
    (
        withdrawn(),
        "dispute_withdrawn:sandbox:txn_3",
        [
            "pending → sandbox:clearing 425 or owed",
            "fees → sandbox:clearing 50",
            "tax_payable → sandbox:clearing 25",
            "sandbox:clearing → sandbox:balance 500",
            "dispute_fees → sandbox:balance 1500",
        ],
    ),
    (
        taken(),
        f"dispute:{EVENT}:taken",
        [
            "pending → sandbox:clearing 425 or owed",
            "fees → sandbox:clearing 50",
            "tax_payable → sandbox:clearing 25",
        ],
    ),
    (
        taken(510),
        f"dispute:{EVENT}:taken",
        [
            "pending → sandbox:clearing 425 or owed",
            "fees → sandbox:clearing 50",
            "tax_payable → sandbox:clearing 25",
            "chargebacks → sandbox:clearing 10",
        ],
    ),
    (
        chart.dispute_written_off(dispute=EVENT, asset=USD, debts={CREATOR: 425, OTHER: 17}),
        f"dispute:{EVENT}:written_off",
        ["chargebacks → owed 425", "chargebacks → other owed 17"],
    ),
    (
        chart.payout_asked(**PAYOUT, creator_id=CREATOR),
        f"payout:{EVENT}",
        ["available → owed debt", "available → payout 700"],
    ),
    (
        chart.payout_transferred(**PAYOUT, provider="sandbox", balance_transaction="txn_5"),
        "transfer:sandbox:txn_5",
        ["sandbox:connected → sandbox:balance 700"],
    ),
    (
        chart.payout_paid(**PAYOUT, creator_id=CREATOR, provider="sandbox"),
        f"payout:{EVENT}:paid",
        ["payout → sandbox:connected 700"],
    ),
    (
        chart.payout_failed(**PAYOUT, creator_id=CREATOR, provider="sandbox"),
        f"payout:{EVENT}:failed",
        ["payout → available 700"],
    ),
    (
        chart.payout_failed(**PAYOUT, creator_id=CREATOR, provider="sandbox", paid=True),
        f"payout:{EVENT}:failed",
        ["sandbox:connected → payout 700", "payout → available 700"],
    ),
    (
        chart.wallet_transfer(transfer=EVENT, sender=CREATOR, recipient=OTHER, asset=USD, amount=5),
        f"wallet_transfer:{EVENT}",
        ["wallet → other wallet 5"],
    ),
]

REVERSALS: list[tuple[Draft, str, str]] = [
    (chart.refund_failed(refund=EVENT), f"refund:{EVENT}:failed", f"refund:{EVENT}"),
    (
        chart.refund_returned(provider="sandbox", balance_transaction="txn_6", refund_transaction="txn_2"),
        "refund_returned:sandbox:txn_6",
        "refund_transaction:sandbox:txn_2",
    ),
    (won(), "dispute_won:sandbox:txn_4", "dispute_withdrawn:sandbox:txn_3"),
    (
        chart.dispute_given_back(dispute=EVENT),
        f"dispute:{EVENT}:taken:undone",
        f"dispute:{EVENT}:taken",
    ),
    (
        chart.write_off_undone(dispute=EVENT),
        f"dispute:{EVENT}:written_off:undone",
        f"dispute:{EVENT}:written_off",
    ),
    (
        chart.transfer_reversed(provider="sandbox", balance_transaction="txn_7", transfer="txn_5"),
        "transfer_reversed:sandbox:txn_7",
        "transfer:sandbox:txn_5",
    ),
]
