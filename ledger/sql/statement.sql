-- Lines of an account's statement, oldest first: with the number of each line and the balance of the account after it.
-- Of a striped account it is the statements of its stripes merged by time; each line also has its row and its version
-- there. since is included, until is not, both by the time of posting. after_* is the position of the last line that
-- the caller has.
create or replace function ledger.statement(
    the_account bigint,
    after_time timestamptz,
    after_row bigint,
    after_version bigint,
    since timestamptz,
    until timestamptz,
    lines int
) returns table (
    "version" bigint, movement_id uuid, group_id uuid, kind text, amount numeric, balance numeric, counterparty bigint,
    reference uuid, posted_at timestamptz, effective_at timestamptz, "row" bigint, row_version bigint
)
language sql stable
set search_path = ledger, pg_temp
set enable_seqscan = off
as $$
    with stripe as (
        -- Where each row's part begins: behind the position, or behind everything before since.
        select account.id, opening.version
        from ledger.account
        cross join lateral (
            select greatest(
                case
                    when after_time is null then 0
                    when account.id = after_row then after_version
                    else ledger.version_at(account.id, after_time, account.id < after_row)
                end,
                case when since is null then 0 else ledger.version_at(account.id, since, false) end
            ) as version
        ) as opening
        where account.id = the_account and account.stripe = 0 or account.stripe_of = the_account
    ), opened as (
        select
            sum(stripe.version) as version,
            sum(coalesce((
                select entry.balance from ledger.entry where entry.account = stripe.id and entry.version = stripe.version
            ), 0)) as balance
        from stripe
    )
    select
        (opened.version + row_number() over line)::bigint, line.movement_id, line.group_id, line.kind, line.amount,
        opened.balance + sum(line.amount) over line, coalesce(other.stripe_of, other.id), line.reference,
        line.posted_at, line.effective_at, line.account, line.version
    from opened
    cross join (
        select entry.*
        from stripe
        cross join lateral (
            select *
            from ledger.entry
            where entry.account = stripe.id and entry.version > stripe.version
                and (until is null or entry.posted_at < until)
            order by entry.version
            limit lines
        ) as entry
        order by entry.posted_at, entry.account, entry.version
        limit lines
    ) as line
    join ledger.account as other on other.id = line.counterparty
    window line as (order by line.posted_at, line.account, line.version rows unbounded preceding)
    order by line.posted_at, line.account, line.version
$$;

-- A moment whose past is settled for an account: before it, the merged statement of a striped account does not change any
-- more. Who comes later reads a later clock, and whoever was posting is waited for.
create or replace function ledger.settled_moment(the_account bigint) returns timestamptz
language plpgsql security definer
set search_path = ledger, pg_temp
as $$
declare
    moment constant timestamptz := clock_timestamp();
begin
    perform ledger.wait_for_postings(the_account, moment);
    return moment;
end
$$;

revoke execute on function ledger.statement, ledger.settled_moment from public;
grant execute on function ledger.statement, ledger.settled_moment to comptoir_app;
