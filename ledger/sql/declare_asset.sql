-- Declares an asset and returns it as it stands: one that is there already stays as it is. Currencies have their ISO 4217
-- numbers; whatever else there is begins at 1001.
create or replace function ledger.declare_asset(the_code text, the_scale int, the_kind text)
returns table (id int, code text, scale smallint, kind text)
language plpgsql security definer
set search_path = ledger, pg_temp
as $$
begin
    if not exists (select from ledger.asset where asset.code = the_code) then
        -- One at a time: the number is the next one.
        lock table ledger.asset in share row exclusive mode;
        insert into ledger.asset (id, code, scale, kind)
        select greatest(1000, max(asset.id)) + 1, the_code, the_scale, the_kind
        from ledger.asset
        on conflict do nothing;
    end if;
    return query select asset.id, asset.code, asset.scale, asset.kind from ledger.asset where asset.code = the_code;
end
$$;

revoke execute on function ledger.declare_asset from public;
grant execute on function ledger.declare_asset to comptoir_app;
