-- What moves a provider's balance is a group keyed as one of its balance transactions, and what is so keyed moves it,
-- as the chart says: $1, $2 and $3 are prefixes of keys with the kinds of debit and credit that may touch a balance
-- under them. Each balance transaction has one group, under whichever prefix. Whether the provider knows of it, only
-- the provider can tell.
--
-- What was posted by mistake is reversed under a key of any other form: as long as that sends back all that the group
-- had moved of the balance, the two of them together match nothing.
with shape as (
    select *
    from unnest($1::text[], $2::text[], $3::text[]) as shape (prefix, debit, credit)
), undone (prefix, original) as (
    values
        ('refund_returned', 'refund_transaction'),
        ('transfer_reversed', 'transfer'),
        ('dispute_won', 'dispute_withdrawn')
), matched as (
    select
        group_id, key, prefix, split_part(key, ':', 2) as provider,
        substr(key, length(prefix) + length(split_part(key, ':', 2)) + 3) as balance_transaction
    from ledger.request
    cross join lateral (select split_part(key, ':', 1) as prefix) as named
    where tenant = 'platform' and outcome = 'posted' and prefix in (select prefix from shape)
), leg as materialized (
    select
        movement.id, group_id, matched.key, prefix, matched.provider, amount,
        debit.kind as debit, credit.kind as credit,
        'balance' in (debit.kind, credit.kind) as touches,
        coalesce(debit.provider, matched.provider) = matched.provider
            and coalesce(credit.provider, matched.provider) = matched.provider as with_provider
    from ledger.movement
    join ledger.account as debit on debit.id = debit
    join ledger.account as credit on credit.id = credit
    left join matched using (group_id)
    where 'balance' in (debit.kind, credit.kind) or matched.key is not null
), correction as (
    select back.id, original.group_id, reversal.amount
    from leg as back
    join ledger.reversal on movement_id = back.id
    join leg as original on original.id = original_id
    where back.key is null and original.key is not null and original.touches
), whole as (
    select
        group_id, matched.key, matched.prefix, matched.provider, balance_transaction,
        count(*) filter (where touches) as touching,
        count(distinct (debit, credit)) filter (where touches) as shapes,
        count(*) filter (where debit = 'balance' and credit = 'clearing') as collected,
        count(*) filter (where touches and 'suspense' in (debit, credit)) as in_suspense,
        count(*) filter (where touches and 'bank' in (debit, credit)) as with_bank,
        count(*) filter (where debit = 'clearing' and credit = 'balance') as let_go,
        count(*) filter (
            where touches and ('provider_fees' in (debit, credit) or 'dispute_fees' in (debit, credit))
        ) as fees,
        sum(case 'clearing' when credit then amount when debit then -amount else 0 end) as cleared,
        sum(amount) filter (where touches) as moved,
        coalesce(min(corrected), 0) as corrected
    from matched
    left join leg using (group_id)
    left join (select group_id, sum(amount) as corrected from correction group by group_id) as back using (group_id)
    group by group_id, matched.key, matched.prefix, matched.provider, balance_transaction
)
select format('movement %s: of a balance (%s to %s), in no balance transaction''s group', id, debit, credit) as detail
from leg
where key is null and id not in (select id from correction)
union all
select format('%s: %s to %s', key, debit, credit)
from leg
where key is not null and not coalesce(
    case
        when not with_provider then false
        when touches then exists (select from shape where (prefix, debit, credit) = (leg.prefix, leg.debit, leg.credit))
        else prefix in ('dispute_withdrawn', 'dispute_won')
    end,
    false
)
union all
-- Beside what it undoes, a dispute that was won has the fee that is kept and a difference of its own.
select format('%s: %s to %s, not linked to what it undoes', leg.key, debit, credit)
from leg
join undone using (prefix)
where not (touches and (debit = 'dispute_fees' or 'chargebacks' in (debit, credit)))
    and not exists (
        select from ledger.reversal
        join ledger.movement on movement.id = original_id
        join matched on matched.group_id = movement.group_id
        where movement_id = leg.id and matched.prefix = undone.original and matched.provider = leg.provider
    )
union all
select format('%s: not what the chart makes of it', key)
from whole
where touching = 0
    or touching <> shapes
    or balance_transaction = ''
    or prefix = 'charge' and collected <> 1
    or prefix = 'capture_reversed' and let_go <> 1
    or prefix = 'foreign_settlement' and in_suspense > 1
    or prefix in ('platform_payout', 'platform_payout_returned', 'platform_top_up') and with_bank <> 1
    or prefix in (
        'capture_reversed', 'foreign_settlement', 'platform_payout', 'platform_payout_returned', 'platform_top_up',
        'provider_fee'
    )
        and fees > 1
    or prefix in ('dispute_withdrawn', 'dispute_won') and cleared <> 0
union all
select format('%s: corrected in part, %s of %s', key, corrected, moved)
from whole
where corrected not in (0, moved)
union all
select format('%s: the balance transaction %s has %s groups', provider, balance_transaction, count(*))
from whole
where corrected = 0
group by provider, balance_transaction
having count(*) > 1
order by detail
limit 20
