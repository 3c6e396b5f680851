-- Posts a batch of groups and returns one row, with an array entry for each group, in order, and for each movement
-- that stands in the books for them. Each group is posted whole or refused whole, and a refused group never touches
-- its neighbours. Groups are judged in order: what one leaves, the next one finds.
--
-- keys, hashes, group_ids and effective_times have one entry per group, and so has sizes: how many of the operations
-- below are the group's, in order. The other arrays have one entry per operation. operations is null where all of them
-- are plain movements; otherwise it holds their codes:
--   0 movement: amount from debit to credit, what debit lacks from the account in shortfalls (its part in extra_ids);
--   1 recovery: as much as debit has available and credit is below zero;
--   2 hold: the hold named in targets is placed, until expiries;
--   3 capture: of the hold in targets; 4: the same, and what is left is released; amount null: all that is left;
--   5 increment and 6 release: of the hold in targets; amount null: all that is left;
--   7 reversal: of the movement in targets; amount null: what was not sent back before.
--
-- outcomes are 'posted', or why not. Stored under the key for ever: posted; insufficient_funds (accounts names the one
-- that was short, missing what it lacked for the first operation it could not do); account_closed; balance_too_large;
-- hold_ended; hold_expired; hold_exceeded and reversal_exceeded (missing: what was asked for beyond what is left).
-- Not stored, because nothing was decided: key_reused, malformed (something is missing), no_movements,
-- amount_not_positive, amount_not_whole, amount_too_large, same_account, unknown_account, asset_mismatch,
-- unknown_hold, hold_exists, unknown_movement.
--
-- Where every group was posted just now as it was asked for, outcomes is null, moments has the one moment, and the arrays of
-- rows, balances and versions have an entry for each movement in the order of the operations.
create or replace function ledger.post(
    for_tenant text,
    keys text[],
    hashes bytea[],
    group_ids uuid[],
    effective_times timestamptz[],
    sizes int[],
    movement_ids uuid[],
    debits bigint[],
    credits bigint[],
    amounts numeric[],
    movement_kinds text[],
    movement_references uuid[],
    operations smallint[],
    targets uuid[],
    shortfalls bigint[],
    extra_ids uuid[],
    expiries timestamptz[],
    out outcome_ids uuid[],
    out replays boolean[],
    out outcomes text[],
    out accounts bigint[],
    out missing numeric[],
    out moments timestamptz[],
    out posted_groups int[],
    out posted_ids uuid[],
    out debit_rows bigint[],
    out credit_rows bigint[],
    out posted_amounts numeric[],
    out debit_afters numeric[],
    out credit_afters numeric[],
    out debit_versions bigint[],
    out credit_versions bigint[]
)
language plpgsql security definer
set search_path = ledger, pg_temp
-- A plan is kept for the life of a connection, and the next batch may be 500 times as long: one that was made while a
-- table was small must not scan it when it is large. Hence no sequential scans and no hash or merge joins, which would
-- read a whole index.
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
as $$
#variable_conflict use_column
declare
    too_large constant numeric := 1e38;     -- where numeric(38, 0) ends
    stripe_number constant int := pg_backend_pid() % 16;
    group_count constant int := coalesce(cardinality(keys), 0);
    operation_count constant int := coalesce(cardinality(movement_ids), 0);
    smallest int;
    size_sum bigint;
    moment timestamptz;
    sound boolean := false;

    -- By movement.
    groups_of uuid[];
    effective_of timestamptz[];
    assets int[];

    -- By row that was touched.
    touched_rows bigint[];
    striped bigint[];                       -- accounts that are striped, and the rows of theirs that are this connection's
    stripes bigint[];
    opening_versions bigint[];
    closing_versions bigint[];
    closing_balances numeric[];
    moved_rows int;
begin
    -- After waiting for another transaction, the next statement has to see what that one committed.
    if current_setting('transaction_isolation') <> 'read committed' then
        raise exception 'the ledger posts in READ COMMITTED transactions only'
            using errcode = 'active_sql_transaction';
    end if;
    select min(size), coalesce(sum(size), 0) into smallest, size_sum from unnest(sizes) as size;
    if smallest < 0 or size_sum <> operation_count then
        raise exception 'the sizes of the groups do not add up to the operations'
            using errcode = 'invalid_parameter_value';
    end if;

    -- What is nothing but sound movements is judged by one statement, set-based.
    if operations is null and smallest > 0 then
        touched_rows := debits || credits;
        select array_agg(stripe_of), array_agg(id)
        into striped, stripes
        from ledger.account
        where stripe_of = any (touched_rows) and stripe = stripe_number;
        if striped is not null then
            touched_rows := array(select unnest(touched_rows) except select unnest(striped)) || stripes;
        end if;

        with locked as materialized (
            -- One order of locking for everybody. Which rows come back is what they are once they are locked.
            select
                coalesce(stripe_of, id) as account, id, asset_id, posted, version, posted_at,
                case when guarded then held_out - credit_limit end as least, state = 'closed' as closed
            from ledger.account
            where id = any (touched_rows)
            order by lock_rank, id
            for no key update
        ), clock as materialized (
            -- Read after the last lock, and never before what was posted already: it may have been set back.
            select greatest(clock_timestamp(), max(posted_at)) as moment from locked
        ), legs as (
            -- An account's balance is its first leg, of no movement.
            select account, 0 as number, 0 as side, posted as change, id as row, asset_id, version, least, closed
            from locked
            union all
            select debit, number, 1, -amount, null, null, null, null, null
            from unnest(debits, amounts) with ordinality as movement (debit, amount, number)
            union all
            select credit, number, 2, amount, null, null, null, null, null
            from unnest(credits, amounts) with ordinality as movement (credit, amount, number)
        ), run as materialized (
            select
                number, side, change,
                first_value(row) over line as row,
                first_value(asset_id) over line as asset_id,
                first_value(least) over line as least,
                first_value(closed) over line as closed,
                first_value(version) over line as opening,
                first_value(version) over line + row_number() over line - 1 as version,
                sum(change) over line as balance,
                lead(1) over line is null as is_last
            from legs
            window line as (partition by account order by number, side rows unbounded preceding)
        ), sides as (
            -- First all the debits, then all the credits, both in order.
            select
                coalesce(bool_and(
                    case side when 1 then change < 0 else change > 0 end
                    and change > -too_large and change < too_large and change = trunc(change)
                    and balance > -too_large and balance < too_large and not closed
                    and (least is null or side = 2 or balance >= least)
                ), false) and count(row) = 2 * operation_count as sound,
                array_agg(row) as rows, array_agg(asset_id) as assets, array_agg(balance) as balances,
                array_agg(version) as versions
            from (select * from run where number > 0 order by side, number) as leg
        ), closing as (
            select
                array_agg(row) as rows, array_agg(opening) as openings, array_agg(version) as versions,
                array_agg(balance) as balances
            from run
            where number > 0 and is_last
        )
        select
            clock.moment,
            sides.sound and sides.assets[:operation_count] = sides.assets[operation_count + 1:]
                and not exists (select from unnest(debits, credits) as movement (debit, credit) where debit = credit),
            sides.rows[:operation_count], sides.rows[operation_count + 1:], sides.assets[:operation_count],
            sides.balances[:operation_count], sides.balances[operation_count + 1:],
            sides.versions[:operation_count], sides.versions[operation_count + 1:], closing.*
        into moment, sound, debit_rows, credit_rows, assets, debit_afters, credit_afters, debit_versions,
            credit_versions, touched_rows, opening_versions, closing_versions, closing_balances
        from clock
        cross join sides
        cross join closing;
    end if;

    if sound then
        if group_count = operation_count then
            groups_of := group_ids;
            effective_of := effective_times;
        else
            select array_agg(group_id), array_agg(effective_at)
            into groups_of, effective_of
            from unnest(sizes, group_ids, effective_times) as given (size, group_id, effective_at)
            cross join generate_series(1, size);
        end if;
        begin
            insert into ledger.request (tenant, key, body_hash, group_id, outcome, movements, decided_at)
            select for_tenant, key, body_hash, group_id, 'posted', size, moment
            from unnest(keys, hashes, group_ids, sizes) as given (key, body_hash, group_id, size)
            -- One order of keys for everybody, as with the locks: two batches may share keys and no accounts.
            order by key;

            insert into ledger.movement (
                id, group_id, asset_id, kind, debit, credit, amount, reference,
                debit_after, credit_after, debit_version, credit_version, posted_at, effective_at
            )
            select
                id, group_id, asset_id, kind, debit, credit, amount, reference,
                debit_after, credit_after, debit_version, credit_version, moment, coalesce(effective_at, moment)
            from unnest(
                movement_ids, groups_of, assets, movement_kinds, debit_rows, credit_rows, amounts, movement_references,
                debit_afters, credit_afters, debit_versions, credit_versions, effective_of
            ) as movement (
                id, group_id, asset_id, kind, debit, credit, amount, reference,
                debit_after, credit_after, debit_version, credit_version, effective_at
            );

            update ledger.account
            set posted = closing.balance, version = closing.version, posted_at = moment
            from unnest(touched_rows, opening_versions, closing_versions, closing_balances)
                as closing (row, opening, version, balance)
            where account.id = closing.row and account.version = closing.opening;
            get diagnostics moved_rows = row_count;
            if moved_rows <> cardinality(touched_rows) then
                raise exception 'an account moved while it was locked' using errcode = 'assert_failure';
            end if;

            moments := array[moment];
            return;
        exception
            -- A key is known already, comes twice in the batch, or came from another batch at the same moment; or a
            -- movement is not even named.
            when unique_violation or not_null_violation then null;
        end;
    end if;

    -- Anything else is judged one group after the other, in memory.
    select judged.*
    into outcome_ids, replays, outcomes, accounts, missing, moments, posted_groups, posted_ids, debit_rows, credit_rows,
        posted_amounts, debit_afters, credit_afters, debit_versions, credit_versions
    from ledger.post_each(
        for_tenant, keys, hashes, group_ids, effective_times, sizes, movement_ids, debits, credits, amounts,
        movement_kinds, movement_references, operations, targets, shortfalls, extra_ids, expiries
    ) as judged;
end
$$;

revoke execute on function ledger.post from public;
grant execute on function ledger.post to comptoir_app;
