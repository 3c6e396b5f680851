-- A provider's charge transaction is one group: the gross out of its balance into its clearing and at most one fee. And
-- nothing else moves from a provider's balance into its clearing. Whether the provider knows of it, only the provider can tell.
with charge as (
    select
        request.tenant, request.key, split_part(request.key, ':', 2) as provider,
        debit.kind as debit_kind, debit.provider as debit_provider,
        credit.kind as credit_kind, credit.provider as credit_provider
    from ledger.request
    join ledger.movement on movement.group_id = request.group_id
    join ledger.account as debit on debit.id = movement.debit
    join ledger.account as credit on credit.id = movement.credit
    where outcome = 'posted' and request.key like 'charge:%'
), classified as (
    select
        tenant, key,
        debit_kind = 'balance' and credit_kind = 'clearing'
            and debit_provider = provider and credit_provider = provider as is_gross,
        debit_kind = 'provider_fees' and credit_kind = 'balance' and credit_provider = provider as is_fee
    from charge
)
select format('%s/%s: is not one gross and at most one fee', tenant, key) as detail
from classified
group by tenant, key
having count(*) filter (where is_gross) <> 1
    or count(*) filter (where is_fee) > 1
    or not bool_and(is_gross or is_fee)
union all
select format('movement %s: collected by %s outside a charge', movement.id, debit.provider)
from ledger.movement
join ledger.account as debit on debit.id = movement.debit
join ledger.account as credit on credit.id = movement.credit
left join ledger.request on request.group_id = movement.group_id
where debit.kind = 'balance' and credit.kind = 'clearing'
    and coalesce(request.key, '') not like format('charge:%s:%%', debit.provider)
limit 20
