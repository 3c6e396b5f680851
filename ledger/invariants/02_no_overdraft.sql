-- Not now, counting what is held, and not after any movement of the past, under the limits of that time. (How much was
-- held after a movement of the past is not written down.) A limit was 0 before its first change. At the version of a
-- change both limits held, the one before it and the one after it.
with change as (
    select
        *,
        row_number() over history as expected_number,
        lag(credit_limit, 1, 0::numeric) over history as limit_before,
        lag(at_version) over history as version_before,
        lead(at_version) over history as next_version,
        -- 1 while it is closed.
        count(*) filter (where change = 'closed') over history
            - count(*) filter (where change = 'reopened') over history as closed
    from ledger.account_change
    window history as (partition by account order by number rows unbounded preceding)
), latest as (
    select distinct on (account) account, credit_limit, closed, at_version
    from change
    order by account, number desc
), limits as (
    select account, at_version as first_version, next_version as last_version, credit_limit
    from change
    union all
    select id, 0, at_version, 0
    from ledger.account
    left join change on account = id and number = 1
    where guarded
)
select format('%s: %s after version %s, below %s', code, balance, entry.version, -limits.credit_limit) as detail
from ledger.entry
join ledger.account on account.id = entry.account
join limits
    on limits.account = entry.account
    and entry.version >= first_version
    and (last_version is null or entry.version <= last_version)
where guarded and balance < 0 and balance < -limits.credit_limit
union all
select format('%s: %s with %s held, below %s', code, posted, held_out, -credit_limit)
from ledger.account
where guarded and posted - held_out < -credit_limit
union all
select format(
    '%s: the limit is %s, but %s by its changes', code, account.credit_limit, coalesce(latest.credit_limit, 0)
)
from ledger.account
left join latest on latest.account = account.id
where account.credit_limit <> coalesce(latest.credit_limit, 0)
union all
select format('%s: is %s, but not by its changes', code, state)
from ledger.account
left join latest on latest.account = coalesce(stripe_of, id)
where (state = 'closed') <> (coalesce(closed, 0) = 1)
union all
select format('%s: change %s cannot follow the one before it', code, number)
from change
join ledger.account on account.id = change.account
where number <> expected_number
    or at_version < version_before
    or at_version > version
    or closed not in (0, 1)
    or (change.credit_limit = limit_before) = (change = 'credit_limit')
union all
select format('%s: moved while it was closed, after version %s', code, at_version)
from change
join ledger.account on account.id = change.account
where closed = 1 and at_version <> coalesce(next_version, version)
union all
select format('%s: is closed and not empty', min(code))
from ledger.account
where state = 'closed'
group by coalesce(stripe_of, id)
having sum(posted) <> 0 or sum(held_out) <> 0 or sum(held_in) <> 0
union all
select format('%s: a person''s money without a guard', code)
from ledger.account
where not guarded and kind in ('wallet', 'gift_card', 'pending', 'available', 'reserve', 'payout')
union all
select format('%s: is not as its kind %s says', code, account.kind)
from ledger.account
left join ledger.account_kind using (kind)
where (account.guarded, owner is not null, provider is not null)
    is distinct from (account_kind.guarded, has_owner, has_provider)
union all
select format('%s: a stripe of a guarded account', code)
from ledger.account
where guarded and stripe_of is not null
union all
select format('%s: is not as the account that it is a stripe of', stripe.code)
from ledger.account as stripe
left join ledger.account as whole on whole.id = stripe.stripe_of and whole.stripe_of is null
where stripe.stripe_of is not null
    and (stripe.asset_id, stripe.owner, stripe.provider, stripe.kind, stripe.guarded)
        is distinct from (whole.asset_id, whole.owner, whole.provider, whole.kind, whole.guarded)
order by detail
limit 20
