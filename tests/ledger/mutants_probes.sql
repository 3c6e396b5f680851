-- What each constraint, unique index and trigger refuses: under its name, a statement that it refuses, and that nothing
-- else does, so that without it wrong books would be written. "Through" another one that needs it. The database has one of
-- everything in it.
--
-- pg_temp.copy(table, changes) writes another row like one that is there, with the changes; with none of them it is sound.

create function pg_temp.copy(target text, changes jsonb default '{}') returns void language plpgsql as $$
declare
    fresh constant jsonb := case target
        when 'asset' then jsonb_build_object('id', 9001, 'code', 'XTS')
        when 'account_kind' then jsonb_build_object('kind', 'new')
        when 'account' then jsonb_build_object(
            'id', 90001, 'code', 'new', 'owner', gen_random_uuid(), 'posted', 0, 'held_out', 0, 'held_in', 0
        )
        when 'account_change' then jsonb_build_object('number', 9001)
        when 'request' then jsonb_build_object('key', 'new', 'group_id', gen_random_uuid())
        when 'movement' then jsonb_build_object(
            'id', overlay(gen_random_uuid()::text placing '00000000' from 1),  -- of long ago: in the first partition
            'debit_version', 9001, 'credit_version', 9001
        )
        when 'hold' then jsonb_build_object('id', gen_random_uuid())
        when 'hold_entry' then jsonb_build_object('number', 9001)
        when 'reversed' then jsonb_build_object('movement_id', (
            select id from ledger.movement where id not in (select movement_id from ledger.reversed) limit 1
        ))
        when 'reversal' then jsonb_build_object('movement_id', (
            select id from ledger.movement
            where id not in (select movement_id from ledger.reversal union select original_id from ledger.reversal) limit 1
        ))
    end;
    model constant text := case target
        when 'account' then 'kind = ''pending'' and asset_id = 840'
        when 'request' then 'outcome = ''posted'''
        when 'hold' then 'ended_at is null'
        when 'hold_entry' then 'event = ''placed'''
        else 'true'
    end;
begin
    execute format(
        'insert into ledger.%1$I %3$s select (jsonb_populate_record(null::ledger.%1$I, to_jsonb(model) || $1)).*'
        ' from ledger.%1$I as model where %2$s limit 1',
        target, model, case target when 'account' then 'overriding system value' else '' end
    ) using fresh || changes;
end
$$

-- asset.asset_pkey
select pg_temp.copy('asset', '{"id": 840}')

-- asset.one_asset_per_code
select pg_temp.copy('asset', '{"code": "USD"}')

-- asset.code_is_upper_case
select pg_temp.copy('asset', '{"code": "usd"}')

-- asset.scale_is_known
select pg_temp.copy('asset', '{"scale": 31}')

-- asset.kind_is_known
select pg_temp.copy('asset', '{"kind": "shares"}')

-- asset.asset_in_use_keeps_its_meaning
update ledger.asset set scale = 3 where code = 'USD'

-- account_kind.account_kind_pkey
select pg_temp.copy('account_kind', '{"kind": "pending", "guarded": false}')

-- account_kind.kind_has_one_side
select pg_temp.copy('account_kind', '{"has_owner": true, "has_provider": true}')

-- account.account_pkey
select pg_temp.copy('account', jsonb_build_object('id', (select min(id) from ledger.account where asset_id = 392)))

-- account.account_keeps_its_asset, through debit_in_the_same_asset
select pg_temp.copy('movement', jsonb_build_object('debit', (select id from ledger.account where asset_id = 392 limit 1)))

-- account.one_account_per_code
select pg_temp.copy('account', jsonb_build_object('code', (select min(code) from ledger.account)))

-- account.one_account_per_owner_kind_and_asset
select pg_temp.copy('account', jsonb_build_object('owner', (
    select owner from ledger.account where kind = 'pending' and asset_id = 840 limit 1
)))

-- account.one_row_per_stripe
insert into ledger.account (asset_id, provider, kind, code, guarded, lock_rank, stripe_of, stripe)
select asset_id, 'another', kind, 'new', guarded, lock_rank, stripe_of, stripe from ledger.account where stripe = 1 limit 1

-- account.account_asset_id_fkey
select pg_temp.copy('account', '{"asset_id": 9001}')

-- account.account_stripe_of_fkey
insert into ledger.account (asset_id, provider, kind, code, guarded, lock_rank, stripe_of, stripe)
select asset_id, 'another', kind, 'new', guarded, lock_rank, 9001, stripe from ledger.account where stripe = 1 limit 1

-- account.kind_is_known
delete from ledger.account_kind where kind = 'pending'

-- account.no_overdraft
update ledger.account set posted = held_out - credit_limit - 1 where kind = 'available'

-- account.closed_account_is_empty
update ledger.account set state = 'closed' where kind = 'available'

-- account.account_is_as_its_kind_says
select pg_temp.copy('account', '{"guarded": false}')

-- account_change.account_change_pkey
select pg_temp.copy('account_change', '{"number": 1}')

-- account_change.account_change_account_fkey
select pg_temp.copy('account_change', '{"account": 9001}')

-- account_change.change_is_known
select pg_temp.copy('account_change', '{"change": "renamed"}')

-- account_change.append_only
update ledger.account_change set credit_limit = 1

-- account_change.append_only_as_a_whole
truncate ledger.account_change

-- request.one_outcome_per_key
select pg_temp.copy('request', jsonb_build_object('key', (select key from ledger.request where outcome = 'posted' limit 1)))

-- request.one_group_per_request
select pg_temp.copy('request', jsonb_build_object('group_id', (select group_id from ledger.request limit 1)))

-- request.request_account_fkey
select pg_temp.copy('request', '{"outcome": "account_closed", "account": 9001, "movements": 0, "hold_entries": 0}')

-- request.refusal_names_its_account_and_moves_nothing
select pg_temp.copy('request', '{"outcome": "account_closed", "account": 1}')

-- request.append_only
delete from ledger.request

-- request.append_only_as_a_whole
truncate ledger.request

-- movement.movement_pkey, through movement_default_pkey
select pg_temp.copy('movement', jsonb_build_object('id', (select id from ledger.movement limit 1)))

-- movement.two_different_accounts
select pg_temp.copy('movement', (select jsonb_build_object('credit', debit) from ledger.movement limit 1))

-- movement.debit_in_the_same_asset
select pg_temp.copy('movement', jsonb_build_object('debit', (select id from ledger.account where asset_id = 392 limit 1)))

-- movement.credit_in_the_same_asset
select pg_temp.copy('movement', jsonb_build_object('credit', (select id from ledger.account where asset_id = 392 limit 1)))

-- movement.append_only
update ledger.movement set amount = amount + 1

-- hold.hold_pkey
select pg_temp.copy('hold', jsonb_build_object('id', (select id from ledger.hold limit 1)))

-- hold.captured_and_released_within_amount
update ledger.hold set captured = amount + 1, ended_at = null, ending = null

-- hold.ended_when_nothing_is_left
select pg_temp.copy('hold', '{"ended_at": "2026-01-01", "ending": "captured"}')

-- hold.one_ending
select pg_temp.copy('hold', '{"ending": "captured"}')

-- hold.ending_is_known
update ledger.hold set ending = 'lost' where ended_at is not null

-- hold.two_different_accounts
update ledger.hold set credit = debit

-- hold.debit_in_the_same_asset
select pg_temp.copy('hold', jsonb_build_object('debit', (select id from ledger.account where asset_id = 392 limit 1)))

-- hold.credit_in_the_same_asset
select pg_temp.copy('hold', jsonb_build_object('credit', (select id from ledger.account where asset_id = 392 limit 1)))

-- hold_entry.hold_entry_pkey
select pg_temp.copy('hold_entry', '{"number": 1}')

-- hold_entry.hold_entry_hold_id_fkey
select pg_temp.copy('hold_entry', '{"hold_id": "00000000-0000-0000-0000-000000000000"}')

-- hold_entry.event_is_known
select pg_temp.copy('hold_entry', '{"event": "lost"}')

-- hold_entry.captures_name_their_movement
select pg_temp.copy('hold_entry', '{"event": "captured"}')

-- hold_entry.only_expiry_is_nobodys
select pg_temp.copy('hold_entry', '{"group_id": null}')

-- hold_entry.append_only
delete from ledger.hold_entry

-- hold_entry.append_only_as_a_whole
truncate ledger.hold_entry

-- reversed.reversed_pkey
insert into ledger.reversed select * from ledger.reversed

-- reversed.reversed_movement_id_fkey
select pg_temp.copy('reversed', '{"movement_id": "00000000-0000-0000-0000-000000000000"}')

-- reversed.reversed_within_amount
update ledger.reversed set reversed = amount + 1

-- reversal.reversal_pkey
insert into ledger.reversal select * from ledger.reversal

-- reversal.reversal_movement_id_fkey
select pg_temp.copy('reversal', '{"movement_id": "00000000-0000-0000-0000-000000000000"}')

-- reversal.reversal_original_id_fkey
select pg_temp.copy('reversal', '{"original_id": "00000000-0000-0000-0000-000000000000"}')

-- reversal.not_its_own_reversal
insert into ledger.reversal select movement_id, movement_id, amount from ledger.reversed

-- reversal.append_only
delete from ledger.reversal

-- reversal.append_only_as_a_whole
truncate ledger.reversal

-- amount.amount_is_a_number
update ledger.account set posted = 'NaN' where kind = 'clearing'

-- positive_amount.amount_is_positive
select pg_temp.copy('movement', '{"amount": 0}')

-- nonnegative_amount.amount_is_not_negative
update ledger.account set credit_limit = -1 where kind = 'clearing'

-- line_number.versions_count_from_one
select pg_temp.copy('movement', '{"debit_version": 0}')

-- request_key.key_is_short
select pg_temp.copy('request', '{"key": ""}')

-- sha256.hash_is_sha256
select pg_temp.copy('request', '{"body_hash": "\\x00"}')

-- outcome.outcome_is_known
select pg_temp.copy('request', '{"outcome": "lost", "account": 1, "movements": 0, "hold_entries": 0}')

-- movement_first.one_debit_per_version
select pg_temp.copy('movement', (select jsonb_build_object('debit_version', debit_version) from ledger.movement limit 1))

-- movement_first.one_credit_per_version
select pg_temp.copy('movement', (select jsonb_build_object('credit_version', credit_version) from ledger.movement limit 1))

-- movement_default.movement_default_debit_debit_version_idx
select pg_temp.copy('movement', '{"id": "ffffffff-0000-0000-0000-000000000001"}'),
    pg_temp.copy('movement', '{"id": "ffffffff-0000-0000-0000-000000000002", "credit_version": 9002}')

-- movement_default.movement_default_credit_credit_version_idx
select pg_temp.copy('movement', '{"id": "ffffffff-0000-0000-0000-000000000001"}'),
    pg_temp.copy('movement', '{"id": "ffffffff-0000-0000-0000-000000000002", "debit_version": 9002}')
