-- The last version of an account's row whose movement was posted by a moment; 0 if there is none. Times are ordered as
-- versions are, so it is found by halving: some twenty look-ups in the indexes of the versions for a million lines.
create or replace function ledger.version_at(the_row bigint, moment timestamptz, inclusive boolean) returns bigint
language plpgsql stable
set search_path = ledger, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
as $$
#variable_conflict use_column
declare
    low bigint := 0;
    high bigint := (select version from ledger.account where id = the_row);
    middle bigint;
    posted_then timestamptz;
begin
    while low < high loop
        middle := (low + high + 1) / 2;
        select posted_at into posted_then from ledger.entry where account = the_row and version = middle;
        if posted_then < moment or inclusive and posted_then = moment then
            low := middle;
        else
            high := middle - 1;
        end if;
    end loop;
    return low;
end
$$;

-- Waits for whoever is posting to an account and may have read the clock before a moment that is past: locks each row of
-- it as a reader would, one after the other, and lets go of it at once, so that nobody waits for this in his turn.
create or replace function ledger.wait_for_postings(the_account bigint, moment timestamptz) returns void
language plpgsql
set search_path = ledger, pg_temp
as $$
#variable_conflict use_column
declare
    this bigint;
begin
    for this in
        select id
        from ledger.account
        where (id = the_account or stripe_of = the_account) and (posted_at is null or posted_at <= moment)
        order by lock_rank, id
    loop
        begin
            perform from ledger.account where id = this for share;
            -- What a subtransaction has locked is free again when it is rolled back.
            raise sqlstate 'LG001';
        exception
            when sqlstate 'LG001' then null;
        end;
    end loop;
end
$$;

-- What an account held at a moment, over all its stripes, with the number of lines of its statement by then and when the
-- last of them was posted; all null if there is no such account. What it says never changes afterwards: where the moment
-- is later than the last movement, whoever is posting to the account right now is waited for first, because that may
-- become a movement of before the moment.
create or replace function ledger.balance_at(
    the_account bigint, moment timestamptz, out posted numeric, out version bigint, out posted_at timestamptz
)
language plpgsql security definer
set search_path = ledger, pg_temp
as $$
#variable_conflict use_column
begin
    if moment > clock_timestamp() then
        raise exception 'the balance of the future is not known' using errcode = 'invalid_parameter_value';
    end if;
    perform ledger.wait_for_postings(the_account, moment);
    select sum(coalesce(entry.balance, 0)), sum(latest.version), max(entry.posted_at)
    into posted, version, posted_at
    from ledger.account
    cross join lateral (select ledger.version_at(account.id, moment, true) as version) as latest
    left join lateral (
        select balance, entry.posted_at from ledger.entry where account = account.id and entry.version = latest.version
    ) as entry on true
    where account.id = the_account and account.stripe = 0 or account.stripe_of = the_account;
end
$$;

revoke execute on function ledger.version_at, ledger.balance_at, ledger.wait_for_postings from public;
grant execute on function ledger.version_at, ledger.balance_at to comptoir_app;
