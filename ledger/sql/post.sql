-- Posts a batch of groups and returns one row per group, in order. Each group is posted whole or refused whole, and
-- a refused group never touches its neighbours. Groups are judged in order: what one leaves, the next one finds.
--
-- keys, hashes, group_ids and effective_times have one entry per group, and so has sizes: how many of the movements
-- below are the group's, in order. The other arrays have one entry per movement.
--
-- outcome is 'posted', or why not. Stored under the key for ever: posted; insufficient_funds (account is the one that
-- was short, missing what it lacked for the first movement it could not make); account_closed; balance_too_large.
-- Not stored, because nothing was decided: key_reused, malformed (something is missing), no_movements,
-- amount_not_positive, amount_not_whole, amount_too_large, same_account, unknown_account, asset_mismatch.
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
    movement_references uuid[]
) returns table (
    group_id uuid, replayed boolean, outcome text, account bigint, missing numeric, decided_at timestamptz
)
language plpgsql security definer
set search_path = ledger, pg_temp
-- A plan is kept for the life of a connection, and the next batch may be 500 times as long: one that was made while a
-- table was small must not scan it when it is large. Hence no sequential scans, and look-ups that cannot be joined
-- otherwise than key by key (`offset 0`).
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
as $$
#variable_conflict use_column
declare
    too_large constant numeric := 1e38;     -- where numeric(38, 0) ends
    group_count constant int := coalesce(cardinality(keys), 0);
    movement_count constant int := coalesce(cardinality(movement_ids), 0);
    moment timestamptz;
    violated text;

    -- By group.
    first_with_key int[];                   -- the first group of this batch under the same key
    leaders int[];                          -- by that first group: the one that decided the key in this batch
    outcome_ids uuid[];
    replays boolean[];
    outcomes text[];
    short_accounts bigint[];
    shortfalls numeric[];
    moments timestamptz[];

    -- By slot: the touched accounts, in the order of their ids.
    slot_ids bigint[];
    slot_assets int[];
    slot_balances numeric[];
    slot_versions bigint[];
    opening_versions bigint[];
    slot_floors numeric[];                  -- null: not guarded
    slot_closed boolean[];

    -- By movement.
    debit_slots int[];
    credit_slots int[];
    debit_afters numeric[];
    credit_afters numeric[];
    debit_versions bigint[];
    credit_versions bigint[];
    posted_in int[];                        -- its group; null: not posted

    first_movement int;
    last_movement int;
    leader int;
    moved_accounts int;
    verdict text;
    debit_slot int;
    credit_slot int;
    debit_balance numeric;
    credit_balance numeric;
begin
    -- After waiting for another transaction, the next statement has to see what that one committed.
    if current_setting('transaction_isolation') <> 'read committed' then
        raise exception 'the ledger posts in READ COMMITTED transactions only'
            using errcode = 'active_sql_transaction';
    end if;
    if (select coalesce(sum(size), 0) from unnest(sizes) as size) <> movement_count
        or (select min(size) from unnest(sizes) as size) < 0
    then
        raise exception 'the sizes of the groups do not add up to the movements'
            using errcode = 'invalid_parameter_value';
    end if;

    select array_agg(first order by number) into first_with_key
    from (
        select number, min(number) over (partition by key)::int as first
        from unnest(keys) with ordinality as given (key, number)
    ) as numbered;

    select
        array_agg(slot order by number) filter (where side = 'debit'),
        array_agg(slot order by number) filter (where side = 'credit')
    into debit_slots, credit_slots
    from (
        select number, side, dense_rank() over (order by id)::int as slot
        from (
            select number, 'debit' as side, id from unnest(debits) with ordinality as given (id, number)
            union all
            select number, 'credit', id from unnest(credits) with ordinality as given (id, number)
        ) as legs
    ) as ranked;

    loop
        -- What was decided before stays decided.
        select
            array_agg(coalesce(stored.group_id, given.group_id) order by number),
            array_agg(stored.key is not null order by number),
            array_agg(
                case when taken.key is not null then coalesce(stored.outcome, 'key_reused') end order by number
            ),
            array_agg(stored.account order by number),
            array_agg(stored.missing order by number),
            array_agg(stored.decided_at order by number)
        into outcome_ids, replays, outcomes, short_accounts, shortfalls, moments
        from unnest(keys, hashes, group_ids) with ordinality as given (key, body_hash, group_id, number)
        left join lateral (
            select * from ledger.request where tenant = for_tenant and key = given.key offset 0
        ) as taken on true
        left join lateral (select taken.* where taken.body_hash = given.body_hash) as stored on true;

        -- A batch of repeats locks nothing, and so it may not write anything either.
        exit when array_position(outcomes, null) is null;

        leaders := array_fill(null::int, array[group_count]);
        posted_in := array_fill(null::int, array[movement_count]);
        debit_afters := array_fill(null::numeric, array[movement_count]);
        credit_afters := debit_afters;
        debit_versions := array_fill(null::bigint, array[movement_count]);
        credit_versions := debit_versions;

        -- One order of locking for everybody.
        perform from ledger.account
        where id = any (debits || credits)
        order by lock_rank, id
        for no key update;

        -- A statement of its own: it sees what was committed while the locks were waited for.
        select
            array_agg(touched.id order by touched.id),
            array_agg(account.asset_id order by touched.id),
            array_agg(account.posted order by touched.id),
            array_agg(account.version order by touched.id),
            array_agg(case when guarded then held_out - credit_limit end order by touched.id),
            array_agg(state = 'closed' order by touched.id),
            -- After the locks, and never before what was posted already: the clock may be set back.
            greatest(clock_timestamp(), max(posted_at))
        into slot_ids, slot_assets, slot_balances, slot_versions, slot_floors, slot_closed, moment
        from (select distinct id from unnest(debits || credits) as given (id) where id is not null) as touched
        left join lateral (select * from ledger.account where account.id = touched.id offset 0) as account on true;

        opening_versions := slot_versions;
        last_movement := 0;
        for number in 1..group_count loop
            first_movement := last_movement + 1;
            last_movement := last_movement + sizes[number];

            -- The key was decided before this batch.
            continue when outcomes[number] is not null;

            -- The key was decided within this batch.
            leader := leaders[first_with_key[number]];
            if leader is not null then
                if hashes[leader] = hashes[number] then
                    outcomes[number] := outcomes[leader];
                    outcome_ids[number] := outcome_ids[leader];
                    short_accounts[number] := short_accounts[leader];
                    shortfalls[number] := shortfalls[leader];
                    moments[number] := moments[leader];
                    replays[number] := true;
                else
                    outcomes[number] := 'key_reused';
                end if;
                continue;
            end if;

            -- Malformed input decides nothing, so it is looked for in the whole group first.
            verdict := case when first_movement > last_movement then 'no_movements' end;
            for i in first_movement..last_movement loop
                continue when amounts[i] > 0 and amounts[i] < too_large and amounts[i] = trunc(amounts[i])
                    and debit_slots[i] <> credit_slots[i]
                    and slot_assets[debit_slots[i]] = slot_assets[credit_slots[i]];
                verdict := case
                    when amounts[i] is null or debits[i] is null or credits[i] is null then 'malformed'
                    when amounts[i] <= 0 then 'amount_not_positive'
                    when amounts[i] <> trunc(amounts[i]) then 'amount_not_whole'
                    when amounts[i] >= too_large then 'amount_too_large'
                    when debits[i] = credits[i] then 'same_account'
                    when slot_assets[debit_slots[i]] is null or slot_assets[credit_slots[i]] is null
                        then 'unknown_account'
                    else 'asset_mismatch'
                end;
                short_accounts[number] := case
                    when verdict = 'same_account' or slot_assets[debit_slots[i]] is null then debits[i]
                    when verdict = 'unknown_account' then credits[i]
                end;
                exit;
            end loop;
            if verdict is not null then
                outcomes[number] := verdict;
                continue;
            end if;

            verdict := 'posted';
            for i in first_movement..last_movement loop
                debit_slot := debit_slots[i];
                credit_slot := credit_slots[i];
                debit_balance := slot_balances[debit_slot] - amounts[i];
                credit_balance := slot_balances[credit_slot] + amounts[i];
                if slot_closed[debit_slot] or slot_closed[credit_slot] then
                    verdict := 'account_closed';
                    short_accounts[number] :=
                        slot_ids[case when slot_closed[debit_slot] then debit_slot else credit_slot end];
                elsif debit_balance < slot_floors[debit_slot] then
                    verdict := 'insufficient_funds';
                    short_accounts[number] := slot_ids[debit_slot];
                    shortfalls[number] := slot_floors[debit_slot] - debit_balance;
                elsif debit_balance <= -too_large or credit_balance >= too_large then
                    verdict := 'balance_too_large';
                    short_accounts[number] :=
                        slot_ids[case when debit_balance <= -too_large then debit_slot else credit_slot end];
                end if;
                if verdict <> 'posted' then
                    -- Take back what the group had moved so far.
                    for moved in first_movement..i - 1 loop
                        debit_slot := debit_slots[moved];
                        credit_slot := credit_slots[moved];
                        slot_balances[debit_slot] := slot_balances[debit_slot] + amounts[moved];
                        slot_balances[credit_slot] := slot_balances[credit_slot] - amounts[moved];
                        slot_versions[debit_slot] := slot_versions[debit_slot] - 1;
                        slot_versions[credit_slot] := slot_versions[credit_slot] - 1;
                        posted_in[moved] := null;
                    end loop;
                    exit;
                end if;
                slot_balances[debit_slot] := debit_balance;
                slot_balances[credit_slot] := credit_balance;
                slot_versions[debit_slot] := slot_versions[debit_slot] + 1;
                slot_versions[credit_slot] := slot_versions[credit_slot] + 1;
                debit_afters[i] := debit_balance;
                credit_afters[i] := credit_balance;
                debit_versions[i] := slot_versions[debit_slot];
                credit_versions[i] := slot_versions[credit_slot];
                posted_in[i] := number;
            end loop;
            outcomes[number] := verdict;
            moments[number] := moment;
            leaders[first_with_key[number]] := number;
        end loop;

        begin
            -- One order of keys for everybody, as with the locks: two batches may share keys and no accounts.
            insert into ledger.request (
                tenant, key, body_hash, group_id, outcome, account, missing, movements, decided_at
            )
            select
                for_tenant, keys[n], hashes[n], group_ids[n], outcomes[n], short_accounts[n], shortfalls[n],
                case when outcomes[n] = 'posted' then sizes[n] else 0 end, moment
            from unnest(leaders) as n
            where n is not null
            order by keys[n];

            insert into ledger.movement (
                id, group_id, asset_id, kind, debit, credit, amount, reference,
                debit_after, credit_after, debit_version, credit_version, posted_at, effective_at
            )
            select
                movement_ids[i], group_ids[n], slot_assets[debit_slots[i]], movement_kinds[i], debits[i], credits[i],
                amounts[i], movement_references[i], debit_afters[i], credit_afters[i], debit_versions[i],
                credit_versions[i], moment, coalesce(effective_times[n], moment)
            from unnest(posted_in) with ordinality as movements (n, i)
            where n is not null;

            -- width_bucket finds an account's slot by binary search: a join could turn quadratic.
            update ledger.account
            set
                posted = slot_balances[width_bucket(id, slot_ids)],
                version = slot_versions[width_bucket(id, slot_ids)],
                posted_at = moment
            where id = any (slot_ids)
                and version = opening_versions[width_bucket(id, slot_ids)]
                and version <> slot_versions[width_bucket(id, slot_ids)];
            get diagnostics moved_accounts = row_count;
            if moved_accounts <> (
                select count(*) from unnest(opening_versions, slot_versions) as slots (opening, closing)
                where opening <> closing
            ) then
                raise exception 'an account moved while it was locked' using errcode = 'assert_failure';
            end if;
            exit;
        exception
            when unique_violation then
                -- Another batch took one of the keys meanwhile. Its outcome is committed by now: judge again.
                get stacked diagnostics violated = constraint_name;
                if violated <> 'one_outcome_per_key' then
                    raise;
                end if;
        end;
    end loop;

    return query
    select * from unnest(outcome_ids, replays, outcomes, short_accounts, shortfalls, moments);
end
$$;

revoke execute on function ledger.post from public;
grant execute on function ledger.post to comptoir_app;
