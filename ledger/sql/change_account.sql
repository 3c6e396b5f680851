-- Changes how far an account may be overdrawn (change 'credit_limit', in its smallest unit), or closes or reopens it.
-- Returns 'done', 'unknown', or why not: 'in_use' (it is overdrawn further than that, counting what is held), 'not_empty'
-- (only an account with nothing posted and nothing held is closed). What it is already is done, and not told twice.
create or replace function ledger.change_account(the_account bigint, change text, new_limit numeric) returns text
language plpgsql security definer
set search_path = ledger, pg_temp
as $$
#variable_conflict use_column
declare
    before ledger.account;
begin
    -- All its stripes, in the order of posting.
    perform from ledger.account
    where id = the_account or stripe_of = the_account
    order by lock_rank, id
    for no key update;
    select * into before from ledger.account where id = the_account and stripe = 0;
    if not found then
        return 'unknown';
    end if;
    case change
        when 'credit_limit' then
            if before.credit_limit = new_limit then
                return 'done';
            end if;
            if before.guarded and before.posted - before.held_out < -new_limit then
                return 'in_use';
            end if;
            update ledger.account set credit_limit = new_limit where id = the_account;
        when 'closed', 'reopened' then
            if (before.state = 'closed') = (change = 'closed') then
                return 'done';
            end if;
            if change = 'closed' and exists (
                select
                from ledger.account
                where id = the_account or stripe_of = the_account
                having sum(posted) <> 0 or sum(held_out) <> 0 or sum(held_in) <> 0
            ) then
                return 'not_empty';
            end if;
            update ledger.account
            set state = case change when 'closed' then 'closed' else 'open' end
            where id = the_account or stripe_of = the_account;
    end case;
    insert into ledger.account_change (account, number, change, credit_limit, at_version, changed_at)
    select
        the_account,
        1 + coalesce((select max(number) from ledger.account_change where account = the_account), 0),
        change, credit_limit, version, clock_timestamp()
    from ledger.account
    where id = the_account;
    return 'done';
end
$$;

revoke execute on function ledger.change_account from public;
grant execute on function ledger.change_account to comptoir_app;
