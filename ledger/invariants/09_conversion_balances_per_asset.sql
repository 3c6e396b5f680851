-- A group in more than one asset is a conversion: in each of them it passes through the platform's liquidity (fx). One
-- under a conversion's key is as the chart makes it, too: all that is sold goes into liquidity, and out of that of the
-- other asset goes only what is bought and, as a movement of its own, the spread. So what rounding left is still there.
-- By which rate, and whether the spread is what it was to be, the books do not say.
with conversion as (
    select
        group_id, is_mixed, coalesce(tenant || '/' || key, group_id::text) as name,
        coalesce(tenant = 'platform' and key like 'conversion:%', false) as is_charted
    from (
        select
            group_id, min(asset_id) <> max(asset_id) as is_mixed,
            bool_or(kind in ('conversion.sell', 'conversion.buy', 'conversion.spread')) as is_named
        from ledger.movement
        group by group_id
    ) as moved
    full join ledger.request using (group_id)
    where is_mixed or is_named or tenant = 'platform' and key like 'conversion:%' and outcome = 'posted'
), part as (
    select
        group_id, name, is_mixed, is_charted, movement.asset_id,
        count(*) as legs,
        count(*) filter (where 'fx' in (debit.kind, credit.kind)) as through_liquidity,
        count(*) filter (where credit.kind = 'fx' and movement.kind = 'conversion.sell') as sold,
        count(*) filter (where debit.kind = 'fx' and movement.kind = 'conversion.buy') as bought,
        count(*) filter (
            where debit.kind = 'fx' and credit.kind = 'fees' and movement.kind = 'conversion.spread'
        ) as spread
    from conversion
    left join ledger.movement using (group_id)
    left join ledger.account as debit on debit.id = debit
    left join ledger.account as credit on credit.id = credit
    group by group_id, name, is_mixed, is_charted, movement.asset_id
)
select format('movement %s: from one asset into another', movement.id) as detail
from ledger.movement
join ledger.account as debit on debit.id = debit
join ledger.account as credit on credit.id = credit
where debit.asset_id <> movement.asset_id or credit.asset_id <> movement.asset_id
union all
select format('%s: nothing of asset %s through liquidity', name, asset_id)
from part
where is_mixed and through_liquidity = 0
union all
select format('%s: not what is sold, what is bought and at most a spread', name)
from part
group by group_id, name, is_charted
having not is_charted and bool_or(sold + bought + spread > 0)
    or is_charted and (
        count(*) <> 2
        or count(*) filter (where sold = 1 and legs = 1) <> 1
        or count(*) filter (where bought = 1 and spread <= 1 and legs = bought + spread) <> 1
    )
order by detail
limit 20
