-- Opens the accounts that are not there yet and returns one row per account asked for, in order:
-- its id, or null when the code belongs to an account of another shape; known is false when nobody declared the asset.
-- A striped account is opened with all its stripes.
create or replace function ledger.open_accounts(
    codes text[],
    assets text[],
    owners uuid[],
    providers text[],
    kinds text[],
    guards boolean[],
    lock_ranks smallint[],
    striped boolean[]
) returns table (id bigint, known boolean)
language plpgsql security definer set search_path = ledger, pg_temp as $$
begin
    -- In one order, so that two processes opening the same accounts wait for each other and never in a circle.
    insert into ledger.account (asset_id, owner, provider, kind, code, guarded, lock_rank)
    select asset.id, asked.owner, asked.provider, asked.kind, asked.code, asked.guarded, asked.lock_rank
    from unnest(codes, assets, owners, providers, kinds, guards, lock_ranks)
        as asked(code, asset, owner, provider, kind, guarded, lock_rank)
    join ledger.asset on asset.code = asked.asset
    where not exists (select from ledger.account where account.code = asked.code)
    order by asked.code
    on conflict do nothing;

    -- Statements of their own: they see what another process committed while the insert waited for it.
    insert into ledger.account (asset_id, provider, kind, code, guarded, lock_rank, stripe_of, stripe)
    select
        account.asset_id, account.provider, account.kind, account.code || '#' || number, account.guarded,
        account.lock_rank, account.id, number
    from unnest(codes, striped) as asked (code, striped)
    join ledger.account on account.code = asked.code
    cross join generate_series(1, 15) as number
    where asked.striped and account.stripe = 0
        and not exists (select from ledger.account as other where other.stripe_of = account.id and other.stripe = number)
    order by account.code, number
    on conflict do nothing;

    return query
    select account.id, asset.id is not null
    from unnest(codes, assets, owners, providers, kinds, guards)
        with ordinality as asked(code, asset, owner, provider, kind, guarded, number)
    left join ledger.asset on asset.code = asked.asset
    left join ledger.account
        on account.code = asked.code
        and account.asset_id = asset.id
        and account.owner is not distinct from asked.owner
        and account.provider is not distinct from asked.provider
        and account.kind = asked.kind
        and account.guarded = asked.guarded
        and account.stripe = 0
    order by asked.number;
end
$$;

revoke execute on function ledger.open_accounts from public;
grant execute on function ledger.open_accounts to comptoir_app;
