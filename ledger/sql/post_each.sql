-- Posts a batch of groups of any operations one after the other: the other half of ledger.post, which says what the
-- parameters and the results are. It is judged in memory, on arrays, before anything is written, so a refusal costs
-- nothing to undo and a batch with 250 of them takes as long as one with none.
create or replace function ledger.post_each(
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
language plpgsql
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
    codes constant smallint[] := coalesce(operations, array_fill(0::smallint, array[operation_count]));
    moment timestamptz;
    violated text;

    -- By group.
    first_with_key int[];                   -- the first group of this batch under the same key
    leaders int[];                          -- by that first group: the one that decided the key in this batch
    movement_counts int[];
    entry_counts int[];
    doubtful_keys text[];

    -- By slot: the touched rows of accounts, in the order of their ids.
    slot_rows bigint[];
    slot_accounts bigint[];
    slot_assets int[];
    slot_balances numeric[];
    slot_versions bigint[];
    slot_held_out numeric[];
    slot_held_in numeric[];
    slot_limits numeric[];                  -- how far below zero it may go; null: not guarded
    slot_closed boolean[];
    opening_versions bigint[];
    opening_held_out numeric[];
    opening_held_in numeric[];

    -- By hold and by reversed movement that are spoken of, in the order of their ids.
    hold_ids uuid[];
    hold_amounts numeric[];                 -- null: there is no such hold
    hold_captured numeric[];
    hold_released numeric[];
    hold_expiries timestamptz[];
    hold_entries int[];
    hold_endings text[];
    hold_from int[];                        -- the slots of its accounts
    hold_to int[];
    hold_places int[];                      -- the operation that placed it, in this batch
    elsewhere boolean;                      -- whether one lies between accounts that are not locked
    original_ids uuid[];
    original_amounts numeric[];
    original_reversed numeric[];
    opening_reversed numeric[];

    -- By operation.
    from_rows bigint[];
    to_rows bigint[];
    short_rows bigint[];
    from_slots int[];
    to_slots int[];
    short_slots int[];
    hold_slots int[];
    original_slots int[];

    -- By movement: an operation's own, and after all of those what came out of another account instead.
    part_ids uuid[] := movement_ids || coalesce(extra_ids, array_fill(null::uuid, array[operation_count]));
    part_amounts numeric[];
    part_from int[];
    part_afters numeric[];
    part_to_afters numeric[];
    part_versions bigint[];
    part_to_versions bigint[];
    posted_in int[];                        -- its group; null: not posted

    -- By entry in a hold's history.
    entry_holds int[];
    entry_numbers int[];
    entry_events text[];
    entry_amounts numeric[];
    entry_parts int[];
    entry_groups int[];

    -- What a group has changed so far, to be taken back if it fails.
    undo_slots int[];
    undo_balances numeric[];
    undo_versions bigint[];
    undo_held_out numeric[];
    undo_held_in numeric[];
    undo_holds int[];
    undo_hold_amounts numeric[];
    undo_captured numeric[];
    undo_released numeric[];
    undo_entries int[];
    undo_originals int[];
    undo_reversed numeric[];

    first_operation int;
    last_operation int;
    leader int;
    verdict text;
    f int;                                  -- slot of the debit, the credit, the hold, the original
    t int;
    h int;
    o int;
    amount numeric;
    remainder numeric;
    available numeric;
    rest numeric;
    part int;
    changed int;
begin
    select array_agg(first order by number)
    into first_with_key
    from (
        select number, min(number) over (partition by key)::int as first
        from unnest(keys) with ordinality as given (key, number)
    ) as numbered;

    loop
        -- Which rows each operation touches. Those of a hold or of an original movement stand there and never change; a hold
        -- may also be placed by this very batch.
        select
            array_agg(from_row order by number), array_agg(to_row order by number), array_agg(short_row order by number)
        into from_rows, to_rows, short_rows
        from (
            select
                number,
                case
                    when given.code between 3 and 6 then coalesce(hold.debit, (
                        select account.id
                        from unnest(codes, debits, targets) as placed (code, debit, target)
                        join ledger.account on account.id = placed.debit and stripe = 0
                        where placed.code = 2 and placed.target = given.target
                        limit 1
                    ))
                    when given.code = 7 then original.credit
                    else coalesce(debit_stripe.id, debit.id)
                end as from_row,
                case
                    when given.code between 3 and 6 then coalesce(hold.credit, (
                        select account.id
                        from unnest(codes, credits, targets) as placed (code, credit, target)
                        join ledger.account on account.id = placed.credit and stripe = 0
                        where placed.code = 2 and placed.target = given.target
                        limit 1
                    ))
                    when given.code = 7 then original.debit
                    else coalesce(credit_stripe.id, credit.id)
                end as to_row,
                coalesce(shortfall_stripe.id, shortfall.id) as short_row
            from unnest(codes, debits, credits, shortfalls, targets)
                with ordinality as given (code, debit, credit, shortfall, target, number)
            left join lateral (
                select id from ledger.account where id = given.debit and stripe = 0 and given.code < 3 offset 0
            ) as debit on true
            left join lateral (
                select id from ledger.account
                where stripe_of = given.debit and stripe = stripe_number and given.code < 2
                offset 0
            ) as debit_stripe on true
            left join lateral (
                select id from ledger.account where id = given.credit and stripe = 0 and given.code < 3 offset 0
            ) as credit on true
            left join lateral (
                select id from ledger.account
                where stripe_of = given.credit and stripe = stripe_number and given.code < 2
                offset 0
            ) as credit_stripe on true
            left join lateral (
                select id from ledger.account where id = given.shortfall and stripe = 0 and given.code = 0 offset 0
            ) as shortfall on true
            left join lateral (
                select id from ledger.account
                where stripe_of = given.shortfall and stripe = stripe_number and given.code = 0
                offset 0
            ) as shortfall_stripe on true
            left join lateral (
                select * from ledger.hold where id = given.target and given.code between 3 and 6 offset 0
            ) as hold on true
            left join lateral (
                select * from ledger.movement where id = given.target and given.code = 7 offset 0
            ) as original on true
        ) as resolved;

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
        into outcome_ids, replays, outcomes, accounts, missing, moments
        from unnest(keys, hashes, group_ids) with ordinality as given (key, body_hash, group_id, number)
        left join lateral (
            select * from ledger.request where tenant = for_tenant and key = given.key offset 0
        ) as taken on true
        left join lateral (select taken.* where taken.body_hash = given.body_hash) as stored on true;

        leaders := array_fill(null::int, array[group_count]);
        posted_in := array_fill(null::int, array[2 * operation_count]);
        movement_counts := array_fill(0, array[group_count]);
        entry_counts := movement_counts;
        -- A batch of repeats locks nothing, and so it may not write anything either.
        exit when array_position(outcomes, null) is null;

        part_amounts := array_fill(null::numeric, array[2 * operation_count]);
        part_afters := part_amounts;
        part_to_afters := part_amounts;
        part_versions := array_fill(null::bigint, array[2 * operation_count]);
        part_to_versions := part_versions;
        part_from := posted_in;
        entry_holds := '{}';
        entry_numbers := '{}';
        entry_events := '{}';
        entry_amounts := '{}';
        entry_parts := '{}';
        entry_groups := '{}';
        doubtful_keys := '{}';

        -- Whatever makes it judge again lets go of the locks first: there may be others to take, and those in order.
        begin
            -- One order of locking for everybody. Which rows come back is what they are once they are locked.
            select
                array_agg(id order by id), array_agg(coalesce(stripe_of, id) order by id), array_agg(asset_id order by id),
                array_agg(posted order by id), array_agg(version order by id), array_agg(held_out order by id),
                array_agg(held_in order by id), array_agg(case when guarded then credit_limit end order by id),
                array_agg(state = 'closed' order by id),
                -- After the locks, and never before what was posted already: the clock may be set back.
                greatest(clock_timestamp(), max(posted_at))
            into slot_rows, slot_accounts, slot_assets, slot_balances, slot_versions, slot_held_out, slot_held_in, slot_limits,
                slot_closed, moment
            from (
                select *
                from ledger.account
                where id = any (from_rows || to_rows || short_rows)
                order by lock_rank, id
                for no key update
            ) as locked;
            opening_versions := slot_versions;
            opening_held_out := slot_held_out;
            opening_held_in := slot_held_in;

            -- A hold and the reversals of a movement change only under the locks of their accounts, which we have.
            select
                array_agg(given.id order by given.id), array_agg(amount order by given.id),
                array_agg(captured order by given.id), array_agg(released order by given.id),
                array_agg(expires_at order by given.id), array_agg(coalesce(entries, 0) order by given.id),
                array_agg(ending order by given.id), array_agg(null::int), greatest(moment, max(changed_at)),
                array_agg(width_bucket(hold.debit, slot_rows) order by given.id),
                array_agg(width_bucket(hold.credit, slot_rows) order by given.id),
                bool_or(used and hold.id is not null and not (array[hold.debit, hold.credit] <@ slot_rows))
            into hold_ids, hold_amounts, hold_captured, hold_released, hold_expiries, hold_entries, hold_endings, hold_places,
                moment, hold_from, hold_to, elsewhere
            from (
                select target as id, bool_or(code > 2) as used
                from unnest(codes, targets) as operation (code, target)
                where code between 2 and 6 and target is not null
                group by target
            ) as given
            left join lateral (select * from ledger.hold where id = given.id offset 0) as hold on true;
            -- Another batch placed one meanwhile, between other accounts.
            if elsewhere then
                raise sqlstate 'LG002';
            end if;

            select
                array_agg(movement.id order by movement.id), array_agg(movement.amount order by movement.id),
                array_agg(coalesce(reversed, 0) order by movement.id)
            into original_ids, original_amounts, original_reversed
            from (
                select distinct target as id from unnest(codes, targets) as operation (code, target) where code = 7
            ) as given
            cross join lateral (select * from ledger.movement where id = given.id offset 0) as movement
            left join lateral (select * from ledger.reversed where movement_id = given.id offset 0) as before on true;
            opening_reversed := original_reversed;

            -- width_bucket finds a slot by binary search: a join could turn quadratic.
            select
                array_agg(case when from_row is not null then width_bucket(from_row, slot_rows) end order by number),
                array_agg(case when to_row is not null then width_bucket(to_row, slot_rows) end order by number),
                array_agg(case when short_row is not null then width_bucket(short_row, slot_rows) end order by number),
                array_agg(case when code between 2 and 6 then width_bucket(target, hold_ids) end order by number),
                array_agg(
                    case when code = 7 and from_row is not null then width_bucket(target, original_ids) end order by number
                )
            into from_slots, to_slots, short_slots, hold_slots, original_slots
            from unnest(from_rows, to_rows, short_rows, codes, targets)
                with ordinality as operation (from_row, to_row, short_row, code, target, number);

            last_operation := 0;
            for number in 1..group_count loop
                first_operation := last_operation + 1;
                last_operation := last_operation + sizes[number];

                -- The key was decided before this batch.
                continue when outcomes[number] is not null;

                -- The key was decided within this batch.
                leader := leaders[first_with_key[number]];
                if leader is not null then
                    if hashes[leader] = hashes[number] then
                        outcomes[number] := outcomes[leader];
                        outcome_ids[number] := outcome_ids[leader];
                        accounts[number] := accounts[leader];
                        missing[number] := missing[leader];
                        moments[number] := moments[leader];
                        replays[number] := true;
                    else
                        outcomes[number] := 'key_reused';
                    end if;
                    continue;
                end if;

                -- Malformed input decides nothing, so it is looked for in the whole group first.
                verdict := case when first_operation > last_operation then 'no_movements' end;
                for i in first_operation..last_operation loop
                    f := from_slots[i];
                    t := to_slots[i];
                    verdict := case
                        when codes[i] not between 0 and 7 or codes[i] is null then 'malformed'
                        when amounts[i] is null and codes[i] in (0, 2, 5) then 'malformed'
                        when codes[i] < 3 and (debits[i] is null or credits[i] is null) then 'malformed'
                        when codes[i] >= 2 and targets[i] is null then 'malformed'
                        when movement_kinds[i] is null and codes[i] in (0, 1, 2, 3, 4, 7) then 'malformed'
                        when amounts[i] <= 0 then 'amount_not_positive'
                        when amounts[i] <> trunc(amounts[i]) then 'amount_not_whole'
                        when amounts[i] >= too_large then 'amount_too_large'
                        when codes[i] < 3 and debits[i] = credits[i] or shortfalls[i] in (debits[i], credits[i])
                            then 'same_account'
                        when f is null or t is null then case
                            when codes[i] < 3 then 'unknown_account' when codes[i] = 7 then 'unknown_movement'
                            else 'unknown_hold'
                        end
                        when shortfalls[i] is not null and short_slots[i] is null then 'unknown_account'
                        when slot_assets[f] <> slot_assets[t] or slot_assets[f] <> slot_assets[short_slots[i]]
                            then 'asset_mismatch'
                        when codes[i] = 2 and hold_amounts[hold_slots[i]] is not null then 'hold_exists'
                    end;
                    accounts[number] := case
                        when verdict = 'same_account' then case when debits[i] = credits[i] then debits[i] else shortfalls[i] end
                        when verdict = 'unknown_account' then
                            case when f is null then debits[i] when t is null then credits[i] else shortfalls[i] end
                    end;
                    exit when verdict is not null;
                end loop;
                if verdict is not null then
                    outcomes[number] := verdict;
                    if verdict = 'hold_exists' then
                        doubtful_keys := doubtful_keys || keys[number];
                    end if;
                    continue;
                end if;

                verdict := 'posted';
                undo_slots := '{}';
                undo_balances := '{}';
                undo_versions := '{}';
                undo_held_out := '{}';
                undo_held_in := '{}';
                undo_holds := '{}';
                undo_hold_amounts := '{}';
                undo_captured := '{}';
                undo_released := '{}';
                undo_entries := '{}';
                undo_originals := '{}';
                undo_reversed := '{}';
                for i in first_operation..last_operation loop
                    f := from_slots[i];
                    t := to_slots[i];
                    h := hold_slots[i];
                    o := original_slots[i];
                    amount := amounts[i];
                    remainder := 0;
                    rest := 0;

                    if h is not null then
                        if codes[i] > 2 and hold_amounts[h] is not null then
                            -- Whoever placed it, it lies where it lies.
                            f := hold_from[h];
                            t := hold_to[h];
                            to_slots[i] := t;
                        end if;
                        if hold_amounts[h] is null and codes[i] = 2 then
                            if expiries[i] <= moment then
                                verdict := 'hold_expired';
                            end if;
                        elsif codes[i] = 2 then
                            verdict := 'hold_exists';
                        elsif hold_amounts[h] is null then
                            -- It would have been placed by a group that was refused, or is by a later one.
                            verdict := 'unknown_hold';
                        elsif hold_captured[h] + hold_released[h] = hold_amounts[h] then
                            verdict := 'hold_ended';
                        elsif hold_expiries[h] <= moment and codes[i] <> 6 then
                            verdict := 'hold_expired';
                        elsif codes[i] in (3, 4, 6) then
                            rest := hold_amounts[h] - hold_captured[h] - hold_released[h];
                            amount := coalesce(amount, rest);
                            rest := rest - amount;
                            if rest < 0 then
                                verdict := 'hold_exceeded';
                                missing[number] := -rest;
                            end if;
                        end if;
                    elsif o is not null then
                        rest := original_amounts[o] - original_reversed[o];
                        amount := coalesce(amount, greatest(rest, 1));
                        rest := rest - amount;
                        if rest < 0 then
                            verdict := 'reversal_exceeded';
                            missing[number] := -rest;
                        end if;
                    elsif codes[i] = 1 then
                        amount := greatest(least(
                            -slot_balances[t], slot_balances[f] - slot_held_out[f] + slot_limits[f]
                        ), 0);
                        continue when amount = 0;
                    end if;
                    if verdict <> 'posted' then
                        accounts[number] := slot_accounts[f];
                        exit;
                    end if;

                    if codes[i] in (0, 1, 2, 5, 7) then
                        available := slot_balances[f] - slot_held_out[f] + slot_limits[f];
                        if amount > available then
                            if short_slots[i] is not null then
                                remainder := amount - greatest(available, 0);
                                amount := amount - remainder;
                                available := slot_balances[short_slots[i]] - slot_held_out[short_slots[i]]
                                    + slot_limits[short_slots[i]];
                                if remainder > available then
                                    verdict := 'insufficient_funds';
                                    accounts[number] := slot_accounts[short_slots[i]];
                                    missing[number] := remainder - available;
                                end if;
                            else
                                verdict := 'insufficient_funds';
                                accounts[number] := slot_accounts[f];
                                missing[number] := amount - available;
                            end if;
                        end if;
                    end if;
                    if slot_closed[f] and amount > 0 or slot_closed[t]
                        or remainder > 0 and slot_closed[short_slots[i]]
                    then
                        verdict := 'account_closed';
                        missing[number] := null;
                        accounts[number] := slot_accounts[
                            case when slot_closed[f] and amount > 0 then f when slot_closed[t] then t else short_slots[i] end
                        ];
                    elsif verdict = 'posted' and (
                        slot_balances[f] - amount <= -too_large or slot_balances[t] + amount + remainder >= too_large
                        or slot_balances[short_slots[i]] - remainder <= -too_large
                        or codes[i] in (2, 5) and (
                            slot_held_out[f] + amount >= too_large or slot_held_in[t] + amount >= too_large
                            or hold_amounts[h] + amount >= too_large
                        )
                    ) then
                        verdict := 'balance_too_large';
                        accounts[number] := slot_accounts[case
                            when slot_balances[f] - amount <= -too_large then f
                            when slot_balances[short_slots[i]] - remainder <= -too_large then short_slots[i] else t
                        end];
                    end if;
                    exit when verdict <> 'posted';

                    if h is not null then
                        undo_holds := undo_holds || h;
                        undo_hold_amounts := undo_hold_amounts || hold_amounts[h];
                        undo_captured := undo_captured || hold_captured[h];
                        undo_released := undo_released || hold_released[h];
                        undo_entries := undo_entries || hold_entries[h];
                        undo_slots := undo_slots || f || t;
                        undo_balances := undo_balances || slot_balances[f] || slot_balances[t];
                        undo_versions := undo_versions || slot_versions[f] || slot_versions[t];
                        undo_held_out := undo_held_out || slot_held_out[f] || slot_held_out[t];
                        undo_held_in := undo_held_in || slot_held_in[f] || slot_held_in[t];
                        if codes[i] in (2, 5) then
                            slot_held_out[f] := slot_held_out[f] + amount;
                            slot_held_in[t] := slot_held_in[t] + amount;
                            if codes[i] = 2 then
                                hold_amounts[h] := amount;
                                hold_captured[h] := 0;
                                hold_released[h] := 0;
                                hold_expiries[h] := expiries[i];
                                hold_places[h] := i;
                                hold_from[h] := f;
                                hold_to[h] := t;
                            else
                                hold_amounts[h] := hold_amounts[h] + amount;
                            end if;
                        else
                            slot_held_out[f] := slot_held_out[f] - amount;
                            slot_held_in[t] := slot_held_in[t] - amount;
                            if codes[i] = 6 then
                                hold_released[h] := hold_released[h] + amount;
                            else
                                hold_captured[h] := hold_captured[h] + amount;
                            end if;
                            if rest = 0 then
                                hold_endings[h] := case when codes[i] = 6 then 'released' else 'captured' end;
                            end if;
                        end if;
                        hold_entries[h] := hold_entries[h] + 1;
                        entry_holds := entry_holds || h;
                        entry_numbers := entry_numbers || hold_entries[h];
                        entry_events := entry_events || case codes[i]
                            when 2 then 'placed' when 5 then 'incremented' when 6 then 'released' else 'captured'
                        end;
                        entry_amounts := entry_amounts || amount;
                        entry_parts := entry_parts || case when codes[i] in (3, 4) then i end;
                        entry_groups := entry_groups || number;
                        entry_counts[number] := entry_counts[number] + 1;
                        if codes[i] = 4 and rest > 0 then
                            slot_held_out[f] := slot_held_out[f] - rest;
                            slot_held_in[t] := slot_held_in[t] - rest;
                            hold_released[h] := hold_released[h] + rest;
                            hold_endings[h] := 'captured';
                            hold_entries[h] := hold_entries[h] + 1;
                            entry_holds := entry_holds || h;
                            entry_numbers := entry_numbers || hold_entries[h];
                            entry_events := entry_events || 'released'::text;
                            entry_amounts := entry_amounts || rest;
                            entry_parts := entry_parts || null::int;
                            entry_groups := entry_groups || number;
                        entry_counts[number] := entry_counts[number] + 1;
                        end if;
                        continue when codes[i] in (2, 5, 6);
                    elsif o is not null then
                        undo_originals := undo_originals || o;
                        undo_reversed := undo_reversed || original_reversed[o];
                        original_reversed[o] := original_reversed[o] + amount;
                    end if;

                    for second in 0..1 loop
                        if second = 1 then
                            f := short_slots[i];
                            amount := remainder;
                        end if;
                        continue when amount = 0;
                        part := i + second * operation_count;
                        undo_slots := undo_slots || f || t;
                        undo_balances := undo_balances || slot_balances[f] || slot_balances[t];
                        undo_versions := undo_versions || slot_versions[f] || slot_versions[t];
                        undo_held_out := undo_held_out || slot_held_out[f] || slot_held_out[t];
                        undo_held_in := undo_held_in || slot_held_in[f] || slot_held_in[t];
                        slot_balances[f] := slot_balances[f] - amount;
                        slot_balances[t] := slot_balances[t] + amount;
                        slot_versions[f] := slot_versions[f] + 1;
                        slot_versions[t] := slot_versions[t] + 1;
                        part_amounts[part] := amount;
                        part_from[part] := f;
                        part_afters[part] := slot_balances[f];
                        part_to_afters[part] := slot_balances[t];
                        part_versions[part] := slot_versions[f];
                        part_to_versions[part] := slot_versions[t];
                        posted_in[part] := number;
                        movement_counts[number] := movement_counts[number] + 1;
                    end loop;
                end loop;

                if verdict <> 'posted' then
                    -- Take back what the group had done so far, the last first.
                    for i in reverse cardinality(undo_slots)..1 loop
                        slot_balances[undo_slots[i]] := undo_balances[i];
                        slot_versions[undo_slots[i]] := undo_versions[i];
                        slot_held_out[undo_slots[i]] := undo_held_out[i];
                        slot_held_in[undo_slots[i]] := undo_held_in[i];
                    end loop;
                    for i in reverse cardinality(undo_holds)..1 loop
                        hold_amounts[undo_holds[i]] := undo_hold_amounts[i];
                        hold_captured[undo_holds[i]] := undo_captured[i];
                        hold_released[undo_holds[i]] := undo_released[i];
                        hold_entries[undo_holds[i]] := undo_entries[i];
                    end loop;
                    for i in reverse cardinality(undo_originals)..1 loop
                        original_reversed[undo_originals[i]] := undo_reversed[i];
                    end loop;
                    for i in first_operation..last_operation loop
                        posted_in[i] := null;
                        posted_in[i + operation_count] := null;
                    end loop;
                    for i in reverse cardinality(entry_groups)..1 loop
                        exit when entry_groups[i] <> number;
                        entry_groups[i] := null;
                    end loop;
                end if;
                outcomes[number] := verdict;
                if verdict in ('hold_exists', 'unknown_hold') then
                    -- That decides nothing, unless it comes of the very same call, made at the same moment by another.
                    doubtful_keys := doubtful_keys || keys[number];
                    accounts[number] := null;
                    continue;
                end if;
                moments[number] := moment;
                leaders[first_with_key[number]] := number;
            end loop;

            -- What was decided while the locks were waited for is decided.
            if cardinality(doubtful_keys) > 0 and exists (
                select from ledger.request where tenant = for_tenant and key = any (doubtful_keys)
            ) then
                raise sqlstate 'LG002';
            end if;

            -- One order of keys for everybody, as with the locks: two batches may share keys and no accounts.
            insert into ledger.request (
                tenant, key, body_hash, group_id, outcome, account, missing, movements, hold_entries, decided_at
            )
            select
                for_tenant, keys[n], hashes[n], group_ids[n], outcomes[n], accounts[n], missing[n],
                case when outcomes[n] = 'posted' then movement_counts[n] else 0 end,
                case when outcomes[n] = 'posted' then entry_counts[n] else 0 end,
                moment
            from unnest(leaders) as n
            where n is not null
            order by keys[n];

            insert into ledger.movement (
                id, group_id, asset_id, kind, debit, credit, amount, reference,
                debit_after, credit_after, debit_version, credit_version, posted_at, effective_at
            )
            select
                part_id, group_ids[n], slot_assets[f], movement_kinds[i], slot_rows[f], slot_rows[to_slots[i]],
                amount, movement_references[i], debit_after, credit_after, debit_version, credit_version, moment,
                coalesce(effective_times[n], moment)
            from unnest(
                posted_in, part_ids, part_from, part_amounts, part_afters, part_to_afters, part_versions, part_to_versions
            ) with ordinality as movement (
                n, part_id, f, amount, debit_after, credit_after, debit_version, credit_version, number
            )
            cross join lateral (select ((number - 1) % operation_count + 1)::int as i) as operation
            where n is not null;

            update ledger.account
            set
                posted = closing.posted, version = closing.version, held_out = closing.held_out,
                held_in = closing.held_in,
                posted_at = case when account.version = closing.version then account.posted_at else moment end
            from unnest(
                slot_rows, slot_balances, slot_versions, slot_held_out, slot_held_in,
                opening_versions, opening_held_out, opening_held_in
            ) as closing (
                id, posted, version, held_out, held_in, opening_version, opening_held_out, opening_held_in
            )
            where account.id = closing.id and account.version = opening_version
                and (closing.version, closing.held_out, closing.held_in)
                    <> (opening_version, opening_held_out, opening_held_in);
            get diagnostics changed = row_count;
            if changed <> (
                select count(*)
                from unnest(
                    slot_versions, slot_held_out, slot_held_in, opening_versions, opening_held_out, opening_held_in
                ) as slots (version, held_out, held_in, opening_version, opening_held_out, opening_held_in)
                where (version, held_out, held_in) <> (opening_version, opening_held_out, opening_held_in)
            ) then
                raise exception 'an account moved while it was locked' using errcode = 'assert_failure';
            end if;

            if cardinality(entry_groups) > 0 then
                insert into ledger.hold (
                    id, group_id, asset_id, debit, credit, kind, reference, amount, expires_at, placed_at, changed_at,
                    entries
                )
                select
                    hold_ids[entry_holds[e]], group_ids[entry_groups[e]], slot_assets[from_slots[i]],
                    slot_rows[from_slots[i]], slot_rows[to_slots[i]], movement_kinds[i], movement_references[i],
                    entry_amounts[e], expiries[i], moment, moment, 1
                from generate_subscripts(entry_groups, 1) as e
                cross join lateral (select hold_places[entry_holds[e]] as i) as operation
                where entry_groups[e] is not null and entry_events[e] = 'placed'
                -- In one order, as the keys: two batches may place the same holds.
                order by hold_ids[entry_holds[e]];

                update ledger.hold
                set
                    amount = hold_amounts[h], captured = hold_captured[h], released = hold_released[h],
                    entries = hold_entries[h], changed_at = moment,
                    ended_at = case when hold_captured[h] + hold_released[h] = hold_amounts[h] then moment end,
                    ending = case
                        when hold_captured[h] + hold_released[h] = hold_amounts[h] then hold_endings[h]
                    end
                from (
                    select distinct entry_holds[e] as h
                    from generate_subscripts(entry_groups, 1) as e
                    where entry_groups[e] is not null
                ) as touched
                where hold.id = hold_ids[h] and hold.entries <> hold_entries[h];

                insert into ledger.hold_entry (hold_id, number, event, amount, movement_id, group_id, at)
                select
                    hold_ids[entry_holds[e]], entry_numbers[e], entry_events[e], entry_amounts[e],
                    part_ids[entry_parts[e]], group_ids[entry_groups[e]], moment
                from generate_subscripts(entry_groups, 1) as e
                where entry_groups[e] is not null;
            end if;

            if original_ids is not null then
                insert into ledger.reversed (movement_id, amount, reversed)
                select original.id, original.amount, original.reversed
                from unnest(original_ids, original_amounts, original_reversed, opening_reversed)
                    as original (id, amount, reversed, opening)
                where reversed > opening
                on conflict (movement_id) do update set reversed = excluded.reversed;

                insert into ledger.reversal (movement_id, original_id, amount)
                select part_ids[i], targets[i], part_amounts[i]
                from generate_subscripts(codes, 1) as i
                where codes[i] = 7 and posted_in[i] is not null;
            end if;
            exit;
        exception
            when sqlstate 'LG002' then null;
            when unique_violation then
                -- Another batch took one of the keys, or the name of a hold, meanwhile. It is committed by now: judge
                -- again.
                get stacked diagnostics violated = constraint_name;
                if violated not in ('one_outcome_per_key', 'hold_pkey') then
                    raise;
                end if;
        end;
    end loop;

    -- What stands in the books for each group: just now, or since it was first posted.
    select
        array_agg(n order by n, part), array_agg(id order by n, part), array_agg(debit order by n, part),
        array_agg(credit order by n, part), array_agg(found.amount order by n, part),
        array_agg(debit_after order by n, part), array_agg(credit_after order by n, part),
        array_agg(debit_version order by n, part), array_agg(credit_version order by n, part)
    into posted_groups, posted_ids, debit_rows, credit_rows, posted_amounts, debit_afters, credit_afters, debit_versions,
        credit_versions
    from (
        select
            n, number as part, part_ids[number] as id, slot_rows[part_from[number]] as debit,
            slot_rows[to_slots[(number - 1) % operation_count + 1]] as credit, part_amounts[number] as amount,
            part_afters[number] as debit_after, part_to_afters[number] as credit_after,
            part_versions[number] as debit_version, part_to_versions[number] as credit_version
        from unnest(posted_in) with ordinality as posted (n, number)
        where n is not null
        union all
        select
            number, row_number() over (partition by number order by movement.id), movement.id, debit, credit,
            movement.amount, debit_after, credit_after, debit_version, credit_version
        from unnest(outcome_ids, replays, outcomes) with ordinality as replayed (group_id, replay, outcome, number)
        cross join lateral (select * from ledger.movement where group_id = replayed.group_id offset 0) as movement
        where replay and outcome = 'posted'
    ) as found;
end
$$;

revoke execute on function ledger.post_each from public;
