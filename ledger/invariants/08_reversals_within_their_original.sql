-- What was sent back of a movement is what its reversals sent back, and no more than it moved; each of them goes the
-- other way between the same rows, later.
with sent_back as (
    select original_id, sum(amount) as amount
    from ledger.reversal
    group by original_id
)
select format(
    'movement %s over %s: %s of %s sent back, by its reversals %s',
    coalesce(movement_id, original_id), movement.amount, reversed, reversed.amount, sent_back.amount
) as detail
from ledger.reversed
full join sent_back on original_id = movement_id
left join ledger.movement on movement.id = movement_id
where reversed is distinct from sent_back.amount
    or reversed.amount is distinct from movement.amount
    or reversed > reversed.amount
union all
select format('movement %s: is no reversal of %s', movement_id, original_id)
from ledger.reversal
left join ledger.movement as back on back.id = movement_id
left join ledger.movement as original on original.id = original_id
where (back.debit, back.credit, back.asset_id, back.amount)
        is distinct from (original.credit, original.debit, original.asset_id, reversal.amount)
    or back.posted_at < original.posted_at
    or back.debit_version <= original.credit_version
    or back.credit_version <= original.debit_version
union all
-- What only reversals are called: where nobody names them, and in the chart.
select format('movement %s: %s, but of nothing', id, kind)
from ledger.movement
where not exists (select from ledger.reversal where movement_id = movement.id) and (
    kind like '%.reversed'
    or kind in (
        'dispute.won', 'dispute.write_off_undone', 'payout.transfer_reversed', 'refund.failed', 'refund_returned'
    )
)
order by detail
limit 20
