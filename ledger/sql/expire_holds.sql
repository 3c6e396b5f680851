-- Ends up to batch of the holds whose time is over, so that what is left of them is available again. Returns how many
-- there were; any number of processes may call it at once.
create or replace function ledger.expire_holds(batch int) returns int
language plpgsql security definer
set search_path = ledger, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
as $$
#variable_conflict use_column
declare
    due uuid[];
    rows bigint[];
    moment timestamptz;
    expired int;
begin
    select array_agg(id), array_agg(debit) || array_agg(credit)
    into due, rows
    from (
        select id, debit, credit
        from ledger.hold
        where ended_at is null and expires_at <= clock_timestamp()
        order by expires_at
        limit batch
    ) as over;
    if due is null then
        return 0;
    end if;

    -- A hold changes under the locks of its accounts, which everybody takes in one order.
    perform from ledger.account where id = any (rows) order by lock_rank, id for no key update;
    -- After the locks, and never before what happened already: the clock may be set back.
    select greatest(
        clock_timestamp(),
        (select max(posted_at) from ledger.account where id = any (rows)),
        (select max(changed_at) from ledger.hold where id = any (due))
    )
    into moment;
    with ended as (
        update ledger.hold
        set released = amount - captured, changed_at = moment, ended_at = moment, ending = 'expired', entries = entries + 1
        from unnest(due) as given (id)
        join lateral (
            select amount - captured - released as rest from ledger.hold where hold.id = given.id and ended_at is null
        ) as before on true
        where hold.id = given.id and ended_at is null
        returning hold.id, entries, debit, credit, rest
    ), told as (
        insert into ledger.hold_entry (hold_id, number, event, amount, at)
        select id, entries, 'expired', rest, moment from ended
    ), freed as (
        update ledger.account
        set held_out = held_out - coalesce(outgoing, 0), held_in = held_in - coalesce(incoming, 0)
        from (
            select row, sum(rest) filter (where side = 'debit') as outgoing,
                sum(rest) filter (where side = 'credit') as incoming
            from (
                select debit as row, 'debit' as side, rest from ended
                union all
                select credit, 'credit', rest from ended
            ) as sides
            group by row
        ) as freed
        where account.id = freed.row
    )
    select count(*) into expired from ended;
    return expired;
end
$$;

revoke execute on function ledger.expire_holds from public;
grant execute on function ledger.expire_holds to comptoir_app;
