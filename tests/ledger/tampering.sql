-- Ways to tamper with the books of sound_books.py, each under the number of the invariant that has to find it. Triggers
-- and foreign keys sleep meanwhile, and the unique indexes of versions are gone. $fees stands for the id of that row of
-- the kind fees that moved most, and so on.

-- 1: a balance grows by itself
update ledger.account set posted = posted + 1 where id = $fees;

-- 1: a hold that is none
update ledger.account set held_out = 1 where id = $fees;

-- 1: something held for an account by no hold
update ledger.account set held_in = 1 where id = $fees;

-- 1: a hold gone
delete from ledger.hold where kind = 'untouched';

-- 1: a hold of another account
update ledger.hold set debit = $available where kind = 'open';

-- 1: a hold for another account
update ledger.hold set credit = $available where kind = 'open';

-- 1: a hold in another asset
update ledger.hold set asset_id = 978 where kind = 'open';

-- 1: a hold with less left than is held
update ledger.hold set captured = captured + 1 where kind = 'open';

-- 2: an overdraft without the constraint
alter table ledger.account drop constraint no_overdraft;
update ledger.account set posted = -1 where id = $pending;

-- 2: more held than there is
alter table ledger.account drop constraint no_overdraft;
update ledger.account set held_out = posted + 1 where id = $pending;

-- 2: an overdraft in the past
update ledger.movement set credit_after = -1 where credit = $pending and credit_version = 1;

-- 2: an overdraft beyond the limit of its time
update ledger.account_change set credit_limit = 79 where credit_limit = 100;

-- 2: an overdraft before there was a limit
update ledger.account_change set at_version = 2 where credit_limit = 100;

-- 2: an overdraft after the limit was lowered
update ledger.account_change set at_version = 2 where credit_limit = 30;

-- 2: a limit that nobody gave
update ledger.account set credit_limit = 5 where id = $pending;

-- 2: another limit than was given
update ledger.account_change set credit_limit = 31 where credit_limit = 30;

-- 2: a change of a limit gone
delete from ledger.account_change where credit_limit = 30;

-- 2: an earlier change of a limit gone
delete from ledger.account_change where credit_limit = 100;

-- 2: a change that changes nothing
insert into ledger.account_change
select account, 3, change, credit_limit, at_version, changed_at from ledger.account_change where credit_limit = 30;

-- 2: a limit changed by something else
update ledger.account_change set change = 'closed' where credit_limit = 30;

-- 2: a change that is not the next
update ledger.account_change set number = 3 where credit_limit = 30;

-- 2: changes in another order
update ledger.account_change set at_version = 0 where credit_limit = 20;

-- 2: a change at a version that is not reached
update ledger.account_change set at_version = 1000 where credit_limit = 30;

-- 2: closed twice
insert into ledger.account_change
select account, 3, 'closed', credit_limit, at_version, changed_at from ledger.account_change where change = 'closed';

-- 2: opened again twice
insert into ledger.account_change
select account, 3, change, credit_limit, at_version, changed_at from ledger.account_change where change = 'reopened';

-- 2: closed by nobody
update ledger.account set state = 'closed' where kind = 'wallet' and posted = 0 and version = 0;

-- 2: opened again by nobody
update ledger.account set state = 'open' where kind = 'wallet' and state = 'closed';

-- 2: a stripe that is still open
update ledger.account set state = 'open' where code = 'former:clearing:USD#3';

-- 2: something on a closed account
alter table ledger.account drop constraint closed_account_is_empty;
update ledger.account set posted = 1 where kind = 'wallet' and state = 'closed';

-- 2: something on a stripe of a closed account
alter table ledger.account drop constraint closed_account_is_empty;
update ledger.account set held_in = 1 where code = 'former:clearing:USD#3';

-- 2: moved since it was closed
update ledger.account_change set at_version = at_version - 1
where change = 'closed' and account in (select id from ledger.account where kind = 'wallet' and state = 'closed');

-- 2: moved while it was closed
update ledger.account_change set at_version = at_version + 1 where change = 'reopened';

-- 2: a person's money without a guard
update ledger.account_kind set guarded = false where kind = 'pending';
update ledger.account set guarded = false where kind = 'pending';

-- 2: an account without the guard of its kind
update ledger.account_kind set guarded = true where kind = 'owed';

-- 2: a platform's account with a provider
update ledger.account set provider = 'sandbox' where id = $fees;

-- 2: a stripe of a guarded account
insert into ledger.account (asset_id, owner, kind, code, guarded, lock_rank, stripe_of, stripe)
select asset_id, owner, kind, code || '#1', guarded, lock_rank, id, 1 from ledger.account where id = $pending;

-- 2: a stripe in another asset
update ledger.account set asset_id = 392 where code = 'platform:fees:USD#3';

-- 2: a stripe of nothing
update ledger.account set stripe_of = 0 where code = 'platform:fees:USD#3';

-- 2: a stripe of a stripe
update ledger.account set stripe_of = (select id from ledger.account where code = 'platform:fees:USD#4')
where code = 'platform:fees:USD#3';

-- 3: two outcomes of one key
alter table ledger.request drop constraint one_outcome_per_key;
insert into ledger.request
select tenant, key, body_hash, gen_random_uuid(), outcome, account, missing, movements, decided_at
from ledger.request where key = 'refused';

-- 3: two requests for one group
alter table ledger.request drop constraint one_group_per_request;
insert into ledger.request
select tenant, 'again', body_hash, group_id, outcome, account, missing, movements, decided_at
from ledger.request where key = 'charge:sandbox:txn_0';

-- 3: a refusal that moved money
update ledger.movement set group_id = (select group_id from ledger.request where key = 'refused')
where credit = $fees and credit_version = 1;

-- 3: a refusal that released a hold
update ledger.hold_entry set group_id = (select group_id from ledger.request where key = 'refused')
where event = 'released';

-- 3: a success that became a refusal
update ledger.request set outcome = 'account_closed', account = $fees, movements = 0
where key = 'charge:sandbox:txn_0';

-- 3: a refusal that counts movements
alter table ledger.request drop constraint refusal_names_its_account_and_moves_nothing;
update ledger.request set movements = 1 where key = 'refused';

-- 3: a refusal that counts entries in holds
alter table ledger.request drop constraint refusal_names_its_account_and_moves_nothing;
update ledger.request set hold_entries = 1 where key = 'refused';

-- 4: a success without its movements
delete from ledger.movement
where group_id = (select group_id from ledger.request where key = 'charge:sandbox:txn_0');

-- 4: a success without its entries in holds
delete from ledger.hold_entry where group_id = (select group_id from ledger.request where key = 'release:open');

-- 4: movements without a request
delete from ledger.request where key = 'charge:sandbox:txn_0';

-- 4: entries in holds without a request
delete from ledger.request where key = 'release:open';

-- 5: a balance that is not the sum
update ledger.account set posted = posted + 1 where id = $fees;

-- 5: a balance without a movement
update ledger.account set posted = 1 where kind = 'owed' and version = 0;

-- 5: a version that is not the count
update ledger.account set version = version + 1 where id = $fees;

-- 5: money from one stripe to another
update ledger.account set posted = posted - 1 where id = $fees;
update ledger.account set posted = posted + 1
where id = (select min(id) from ledger.account where kind = 'fees' and id <> $fees);

-- 5: a movement of another stripe
update ledger.movement set credit = (select min(id) from ledger.account where kind = 'fees' and id <> $fees)
where credit = $fees and credit_version = 2;

-- 5: an account gone
delete from ledger.account where id = $tax_payable;

-- 5: a balance that began above zero
update ledger.movement set credit_after = credit_after + 1 where credit = $tax_payable;
update ledger.movement set debit_after = debit_after + 1 where debit = $tax_payable;
update ledger.account set posted = posted + 1 where id = $tax_payable;

-- 5: another amount
update ledger.movement set amount = amount + 1 where credit = $fees and credit_version = 2;

-- 5: another balance after it
update ledger.movement set credit_after = credit_after + 1 where credit = $fees and credit_version = 2;

-- 5: a movement gone
delete from ledger.movement where credit = $fees and credit_version = 2;

-- 5: a version twice
update ledger.movement set credit_version = 1 where credit = $fees and credit_version = 2;

-- 6: later by version, earlier by time
update ledger.movement set posted_at = posted_at - interval '1 second' where credit = $fees and credit_version = 3;

-- 6: earlier by version, later by time
update ledger.movement set posted_at = posted_at + interval '1 day' where credit = $fees and credit_version = 1;

-- 6: an account that moved without a movement
update ledger.account set posted_at = posted_at + interval '1 second' where id = $fees;

-- 6: an account that never moved and says when
update ledger.account set posted_at = opened_at where kind = 'owed' and version = 0;

-- 6: an account whose next movement may be earlier
update ledger.account set posted_at = null where id = $fees;

-- 7: more captured than was held
alter table ledger.hold drop constraint captured_and_released_within_amount;
update ledger.hold set captured = 51 where kind = 'untouched';

-- 7: another amount than its entries say
update ledger.hold set amount = amount + 1 where kind = 'open';

-- 7: captured, where it was released
update ledger.hold set captured = captured + 1, released = released - 1 where kind = 'open';

-- 7: more entries than there are
update ledger.hold set entries = entries + 1 where kind = 'open';

-- 7: an entry gone
delete from ledger.hold_entry where event = 'incremented';

-- 7: no entries
delete from ledger.hold_entry where hold_id = (select id from ledger.hold where kind = 'untouched');

-- 7: no hold
delete from ledger.hold where kind = 'released';

-- 7: entries with a gap
update ledger.hold_entry set number = 9 where number = 4 and hold_id = (select id from ledger.hold where kind = 'open');
update ledger.hold set entries = 9 where kind = 'open';

-- 7: placed twice
update ledger.hold_entry set event = 'placed' where event = 'incremented';

-- 7: never placed
update ledger.hold_entry set event = 'incremented' where event = 'placed';

-- 7: placed by another group
update ledger.hold set group_id = gen_random_uuid() where kind = 'open';

-- 7: placed at another moment
update ledger.hold set placed_at = placed_at - interval '1 second' where kind = 'open';

-- 7: an entry before the one before it
update ledger.hold_entry set at = at - interval '1 day' where event = 'incremented';

-- 7: more captured than there was by then
update ledger.movement set amount = 60
where id = (select movement_id from ledger.hold_entry join ledger.hold on id = hold_id
            where number = 2 and kind = 'captured and released');
update ledger.hold_entry set amount = 60
where number = 2 and hold_id = (select id from ledger.hold where kind = 'captured and released');
update ledger.hold_entry set amount = 50, event = 'incremented'
where number = 3 and hold_id = (select id from ledger.hold where kind = 'captured and released');
update ledger.hold set amount = 100, captured = 60, released = 0, ended_at = null, ending = null
where kind = 'captured and released';

-- 7: incremented after its end
insert into ledger.hold_entry
select hold_id, 3, 'incremented', amount, null, group_id, at from ledger.hold_entry
where number = 2 and hold_id = (select id from ledger.hold where kind = 'released');
update ledger.hold set amount = 100, entries = 3, ended_at = null, ending = null where kind = 'released';

-- 7: captured after it expired
update ledger.hold set expires_at = ended_at where kind = 'captured';

-- 7: incremented after it expired
update ledger.hold set expires_at = (select at from ledger.hold_entry where event = 'incremented') where kind = 'open';

-- 7: placed after it expired
update ledger.hold set expires_at = placed_at where kind = 'untouched';

-- 7: expired before its time
update ledger.hold set expires_at = ended_at + interval '1 second' where kind = 'expired';

-- 7: expired, but not made to
update ledger.hold set expires_at = null where kind = 'expired';

-- 7: captured, but not moved
delete from ledger.movement where id = (select min(movement_id::text)::uuid from ledger.hold_entry);

-- 7: captured, but another amount moved
update ledger.movement set amount = amount + 1
where id = (select min(movement_id::text)::uuid from ledger.hold_entry);

-- 7: captured, but moved elsewhere
update ledger.movement set credit = $fees where id = (select min(movement_id::text)::uuid from ledger.hold_entry);

-- 7: captured, but moved from elsewhere
update ledger.movement set debit = $fees where id = (select min(movement_id::text)::uuid from ledger.hold_entry);

-- 7: captured, but moved by another group
update ledger.movement set group_id = gen_random_uuid()
where id = (select min(movement_id::text)::uuid from ledger.hold_entry);

-- 7: captured, but moved at another moment
update ledger.movement set posted_at = posted_at + interval '1 second'
where id = (select min(movement_id::text)::uuid from ledger.hold_entry);

-- 7: a movement captured twice
update ledger.hold_entry as released set at = captured.at
from ledger.hold_entry as captured, ledger.hold
where captured.number = 3 and released.number = 4 and captured.hold_id = id and released.hold_id = id and kind = 'open';
insert into ledger.hold_entry
select hold_id, 5, event, hold_entry.amount, movement_id, hold_entry.group_id, at
from ledger.hold_entry join ledger.hold on id = hold_id
where number = 3 and kind = 'open';
update ledger.hold set captured = captured + 30, entries = 5, ended_at = at, ending = 'captured'
from ledger.hold_entry
where hold_id = id and number = 3 and kind = 'open';

-- 7: open, though nothing is left
alter table ledger.hold drop constraint ended_when_nothing_is_left;
update ledger.hold set ended_at = null, ending = null where kind = 'final';

-- 7: ended, though something is left
alter table ledger.hold drop constraint ended_when_nothing_is_left;
update ledger.hold set ended_at = placed_at, ending = 'released' where kind = 'untouched';

-- 7: ended at another moment
update ledger.hold set ended_at = ended_at + interval '1 second' where kind = 'final';

-- 7: released, but called captured
update ledger.hold set ending = 'captured' where kind = 'released';

-- 7: captured, but called released
update ledger.hold set ending = 'released' where kind = 'captured';

-- 7: expired, but called released
update ledger.hold set ending = 'released' where kind = 'expired';

-- 8: more sent back than there was
alter table ledger.reversed drop constraint reversed_within_amount;
update ledger.reversed set reversed = amount + 1
where movement_id = (select id from ledger.movement where kind = 'gift');
update ledger.reversal set amount = amount + 1
where movement_id = (select id from ledger.movement
                     where group_id = (select group_id from ledger.request where key = 'gift_back_1'));
update ledger.movement set amount = amount + 1
where group_id = (select group_id from ledger.request where key = 'gift_back_1');

-- 8: less sent back than its reversals say
update ledger.reversed set reversed = reversed - 1
where movement_id = (select id from ledger.movement where kind = 'gift');

-- 8: the links of reversals gone
delete from ledger.reversal where original_id in (select id from ledger.movement where kind = 'gift');

-- 8: the sum of reversals gone
delete from ledger.reversed
where movement_id = (select id from ledger.movement where kind = 'gift');

-- 8: every trace of reversals gone
delete from ledger.reversal where original_id in (select id from ledger.movement where kind = 'gift');
delete from ledger.reversed
where movement_id = (select id from ledger.movement where kind = 'gift');

-- 8: every trace of a chart's reversals gone
delete from ledger.reversal where movement_id in (select id from ledger.movement where kind = 'refund.failed');
delete from ledger.reversed where movement_id not in (select original_id from ledger.reversal);

-- 8: another amount than the original's
update ledger.reversed set amount = amount + 1
where movement_id = (select id from ledger.movement where kind = 'gift');

-- 8: the original gone
delete from ledger.movement where kind = 'gift';

-- 8: the reversal gone
delete from ledger.movement where group_id = (select group_id from ledger.request where key = 'gift_back_1');

-- 8: another amount sent back than is linked
update ledger.movement set amount = amount + 1
where group_id = (select group_id from ledger.request where key = 'gift_back_1');

-- 8: sent back to somebody else
update ledger.movement set credit = $fees
where group_id = (select group_id from ledger.request where key = 'gift_back_1');

-- 8: sent back by somebody else
update ledger.movement set debit = $fees
where group_id = (select group_id from ledger.request where key = 'gift_back_1');

-- 8: sent back in another asset
update ledger.movement set asset_id = 978
where group_id = (select group_id from ledger.request where key = 'gift_back_1');

-- 8: sent back before it was sent
update ledger.movement set posted_at = posted_at - interval '1 day'
where group_id = (select group_id from ledger.request where key = 'gift_back_1');

-- 8: sent back before it came, by the versions of who got it
update ledger.movement set credit_version = 100 where kind = 'gift';

-- 8: sent back before it left, by the versions of who gave it
update ledger.movement set debit_version = 100 where kind = 'gift';

-- 8: linked to another original
update ledger.reversal set original_id = (select id from ledger.movement where kind = 'top_up' limit 1)
where original_id = (select id from ledger.movement where kind = 'gift');
update ledger.reversed set movement_id = (select id from ledger.movement where kind = 'top_up' limit 1)
where movement_id = (select id from ledger.movement where kind = 'gift');

-- 9: into an account of another asset
update ledger.movement set credit = (select id from ledger.account where code = 'platform:fees:EUR')
where credit = $fees and credit_version = 1;

-- 9: out of an account of another asset
update ledger.movement set debit = (select id from ledger.account where code = 'platform:fees:EUR')
where credit = $fees and credit_version = 1;

-- 9: in another asset than its accounts
update ledger.movement set asset_id = 978 where credit = $fees and credit_version = 1;

-- 9: past the liquidity of what is sold
update ledger.movement set debit = $chargebacks where kind = 'conversion.sell.reversed';

-- 9: past the liquidity of what is bought
update ledger.movement set credit = (select id from ledger.account where code = 'platform:suspense:EUR')
where kind in ('conversion.buy.reversed', 'conversion.spread.reversed');

-- 9: a conversion that sells to somebody else
update ledger.movement set credit = $fees where kind = 'conversion.sell';

-- 9: a spread that is not the platform's
update ledger.movement set credit = (select id from ledger.account where code = 'platform:suspense:EUR')
where kind = 'conversion.spread';

-- 9: a spread paid by who bought
update ledger.movement as spread set debit = (
    select credit from ledger.movement where kind = 'conversion.buy' and group_id = spread.group_id
)
where kind = 'conversion.spread';

-- 9: a spread that is called something else
update ledger.movement set kind = 'conversion.buy' where kind = 'conversion.spread';

-- 9: a spread on both sides
update ledger.movement set kind = 'conversion.spread' where kind = 'conversion.sell';

-- 9: a remainder that was taken
insert into ledger.movement (
    id, group_id, asset_id, kind, debit, credit, amount,
    debit_after, credit_after, debit_version, credit_version, posted_at, effective_at
)
select
    gen_random_uuid(), group_id, asset_id, 'remainder', debit, credit, 1,
    debit_after, credit_after, 1000, 1000, posted_at, effective_at
from ledger.movement
where kind = 'conversion.spread'
limit 1;

-- 9: half a conversion
delete from ledger.movement where kind in ('conversion.buy', 'conversion.spread');

-- 9: a conversion without movements
delete from ledger.movement where kind like 'conversion.%';

-- 9: a conversion under another key
update ledger.request set key = 'else' where key like 'conversion:%-000000000001';

-- 9: something else under a conversion's key
update ledger.request set key = 'conversion:else' where key = 'gift';

-- 10: a leg from another transaction
update ledger.movement set xid = '3' where credit = $fees and credit_version = 2;

-- 10: a leg from a later transaction
update ledger.movement set xid = '9999999999' where credit = $fees and credit_version = 2;

-- 10: a leg at another moment
update ledger.movement set posted_at = posted_at + interval '1 day' where credit = $fees;

-- 10: a leg at an earlier moment
update ledger.movement set posted_at = posted_at - interval '1 day' where credit = $fees;

-- 10: a leg gone
delete from ledger.movement where credit = $fees and credit_version = 3;

-- 10: more legs answered than written
update ledger.request set movements = movements + 1 where key = 'charge:sandbox:txn_0';

-- 10: legs answered where there are none
update ledger.request set movements = 1 where key = 'nothing to recover';

-- 10: an entry in a hold from another transaction
update ledger.hold_entry set xid = '3' where event = 'incremented';

-- 10: an entry in a hold at another moment
update ledger.hold_entry set at = at + interval '1 second' where event = 'incremented';

-- 10: an entry in a hold gone
delete from ledger.hold_entry where number = 3 and hold_id = (select id from ledger.hold where kind = 'final');

-- 10: an entry in a hold too many
update ledger.request set hold_entries = 2 where key = 'hold:open';

-- 10: an entry in a hold for a leg
update ledger.request set hold_entries = 2, movements = 0 where key = 'capture:open';

-- 11: a disabled trigger
alter table ledger.movement disable trigger append_only;

-- 11: a disabled trigger of a partition
alter table ledger.movement_first disable trigger append_only;

-- 11: no trigger against truncating a partition
drop trigger append_only_as_a_whole on ledger.movement_first;

-- 11: no trigger against truncating the default partition
drop trigger append_only_as_a_whole on ledger.movement_default;

-- 11: a trigger for replicas only
alter table ledger.request enable replica trigger append_only;

-- 11: requests can be truncated
drop trigger append_only_as_a_whole on ledger.request;

-- 11: changes of accounts can be changed
drop trigger append_only on ledger.account_change;

-- 11: entries in holds can be deleted
drop trigger append_only on ledger.hold_entry;
create trigger append_only before update on ledger.hold_entry
    for each row execute function ledger.append_only();

-- 11: the links of reversals can be truncated
drop trigger append_only_as_a_whole on ledger.reversal;

-- 11: a trigger for some rows
drop trigger append_only on ledger.reversal;
create trigger append_only before update or delete on ledger.reversal
    for each row when (old.amount > 10) execute function ledger.append_only();

-- 11: a trigger for some columns
drop trigger append_only on ledger.request;
create trigger append_only before update of outcome or delete on ledger.request
    for each row execute function ledger.append_only();

-- 11: another trigger
create function ledger.nothing() returns trigger language plpgsql as 'begin return old; end';
drop trigger append_only on ledger.request;
create trigger append_only before update or delete on ledger.request for each row execute function ledger.nothing();

-- 11: a trigger that does nothing
create or replace function ledger.append_only() returns trigger language plpgsql as 'begin return old; end';

-- 11: a trigger that raises for some
create or replace function ledger.append_only() returns trigger language plpgsql as
    'begin if random() < 1 then return old; end if; raise exception ''no''; end';

-- 11: the application can put triggers to sleep
grant set on parameter session_replication_role to comptoir_app;

-- 11: a grant to the application
grant insert on ledger.movement to comptoir_app;

-- 11: a grant on a partition
grant delete on ledger.movement_default to comptoir_app;

-- 11: a grant on what is not history
grant update on ledger.hold to comptoir_app;

-- 11: a grant of one column
grant update (posted) on ledger.account to comptoir_app;

-- 11: a grant to everybody
grant truncate on ledger.request to public;

-- 11: the application can count the ids of accounts back
grant update on sequence ledger.account_id_seq to comptoir_app;

-- 11: the application can create tables
grant create on schema ledger to comptoir_app;

-- 11: the application may become the owner
alter role comptoir_app noinherit;
do $$$$ begin execute format('grant %I to comptoir_app', current_user); end $$$$;

-- 11: a new partition without the trigger
create table ledger.movement_last partition of ledger.movement
for values from ('ffffffff-0000-0000-0000-000000000000') to (maxvalue);

-- 11: the application can post past the judgement
grant execute on all functions in schema ledger to comptoir_app;

-- 11: a function of somebody's own
create function ledger.give(amount numeric) returns void language sql security definer set search_path = ledger, pg_temp
    as 'update ledger.account set posted = posted + amount';
revoke execute on function ledger.give from public;
grant execute on function ledger.give to comptoir_app;

-- 11: a function of somebody's own, under a name that is known
create function ledger.post(amount numeric) returns void language sql security definer set search_path = ledger, pg_temp
    as 'update ledger.account set posted = posted + amount';

-- 11: a function of somebody's own in another schema
create function public.give(amount numeric) returns void language sql security definer
    as 'update ledger.account set posted = posted + amount';

-- 11: a function that takes others' names
alter function ledger.expire_holds reset search_path;

-- 11: a function that takes others' names first
alter function ledger.expire_holds set search_path = public, ledger;

-- 15: the gross went elsewhere
update ledger.movement set credit = $fees where kind = 'charge.gross' and debit_version = 1;

-- 15: no gross
delete from ledger.movement where kind = 'charge.gross' and debit_version = 1;

-- 15: the gross twice
update ledger.movement set debit = $balance, credit = $clearing where kind = 'charge.provider_fee';

-- 15: a transfer twice
update ledger.movement
set debit = $connected, credit = $balance,
    group_id = (select group_id from ledger.request where key = 'transfer:sandbox:txn_transfer')
where kind = 'gift';

-- 15: something beside the gross
update ledger.movement set group_id = (select group_id from ledger.request where key = 'charge:sandbox:txn_0')
where kind = 'gift';

-- 15: another provider's balance
update ledger.account set provider = 'stripe' where kind = 'balance';

-- 15: another provider's clearing
update ledger.account set provider = 'stripe' where kind = 'clearing' and provider = 'sandbox';

-- 15: a charge nobody named
update ledger.request set key = 'else' where key = 'charge:sandbox:txn_0';

-- 15: a charge without its transaction
update ledger.request set key = 'charge:sandbox:' where key = 'charge:sandbox:txn_0';

-- 15: a charge of another provider
update ledger.request set key = 'charge:stripe:txn_0' where key = 'charge:sandbox:txn_0';

-- 15: a charge under another prefix
update ledger.request set key = 'transfer:sandbox:txn_0' where key = 'charge:sandbox:txn_0';

-- 15: a charge of another tenant
update ledger.request set tenant = 'else' where key = 'charge:sandbox:txn_0';

-- 15: one transaction under two prefixes
update ledger.request set key = 'transfer:sandbox:txn_1' where key = 'transfer:sandbox:txn_transfer';

-- 15: one transaction under one prefix twice
alter table ledger.request drop constraint one_outcome_per_key;
update ledger.request set key = 'charge:sandbox:txn_0' where key = 'charge:sandbox:txn_1';

-- 15: a transaction that moved nothing
update ledger.request set key = 'transfer:sandbox:txn_nothing' where key = 'nothing to recover';

-- 15: a transaction that moved something else
update ledger.request set key = 'charge:sandbox:txn_gift' where key = 'gift';

-- 15: a balance moved by anything else
update ledger.movement set debit = $balance where kind = 'gift';

-- 15: a settlement both ways
update ledger.movement set debit = $suspense where kind = 'foreign_settlement.provider_fee';

-- 15: a settlement with two fees
insert into ledger.movement (
    id, group_id, asset_id, kind, debit, credit, amount,
    debit_after, credit_after, debit_version, credit_version, posted_at, effective_at
)
select
    gen_random_uuid(), m.group_id, asset_id, 'fee', (
        select id from ledger.account where code = 'platform:dispute_fees:EUR'
    ), debit, 1,
    debit_after, credit_after, 1000, 1000, posted_at, effective_at
from ledger.movement as m join ledger.request using (group_id)
where key = 'foreign_settlement:sandbox:txn_euros' and m.kind = 'foreign_settlement.gross';

-- 15: what was let go that came in
update ledger.movement set debit = credit, credit = debit where kind = 'capture_reversed';

-- 15: what was let go that was nothing but its fee
delete from ledger.movement where kind = 'capture_reversed';

-- 15: a payout to nobody's bank
update ledger.movement set debit = $chargebacks where kind = 'platform_payout';

-- 15: a payout of nothing but its fee
delete from ledger.movement where kind = 'platform_payout';

-- 15: a payout returned that went out
update ledger.movement set debit = credit, credit = debit where kind = 'platform_payout_returned';

-- 15: a fee billed and given back at once
insert into ledger.movement (
    id, group_id, asset_id, kind, debit, credit, amount,
    debit_after, credit_after, debit_version, credit_version, posted_at, effective_at
)
select
    gen_random_uuid(), m.group_id, asset_id, kind, credit, debit, 1,
    debit_after, credit_after, 1000, 1000, posted_at, effective_at
from ledger.movement as m join ledger.request using (group_id)
where key = 'provider_fee:sandbox:txn_bill';

-- 15: a bill that a bank paid
update ledger.movement as m set debit = $bank from ledger.request
where ledger.request.group_id = m.group_id and key = 'provider_fee:sandbox:txn_bill';

-- 15: a dispute that took more than it withdrew
update ledger.movement set amount = amount + 1 where kind = 'dispute.withdrawn';

-- 15: a transfer reversed without a link
delete from ledger.reversal
where movement_id in (select id from ledger.movement where kind = 'payout.transfer_reversed');

-- 15: a refund returned that was none
update ledger.request set key = 'else:sandbox:txn_refund' where key = 'refund_transaction:sandbox:txn_refund';

-- 15: a dispute won that undoes another kind of group
update ledger.reversal set original_id = (select id from ledger.movement where kind = 'gift')
where movement_id in (select id from ledger.movement where kind = 'dispute.won');

-- 15: a mistake corrected in part
delete from ledger.reversal
where movement_id in (select id from ledger.movement where kind = 'foreign_settlement.provider_fee.reversed');
delete from ledger.movement where kind = 'foreign_settlement.provider_fee.reversed';

-- 15: a mistake corrected without a link
delete from ledger.reversal
where movement_id in (select id from ledger.movement where kind = 'foreign_settlement.gross.reversed');

-- 15: a mistake that was none
delete from ledger.movement where group_id = (select group_id from ledger.request where key = 'correction');

-- 16: a float in the ledger
create table ledger.rates (rate double precision);

-- 16: floats beside it
create table public.rates (rates real[]);

-- 16: a domain of floats
create domain public.rate as double precision;
create table public.rates (rate public.rate);

-- 16: floats in a shape
create table ledger.rates (rate point);

-- 16: a float in a view
create view ledger.rates as select amount::float as amount from ledger.movement;

-- 16: floats in a type
create type ledger.rate as (rate float4);

-- 16: an amount of any precision
create table ledger.amounts (amount numeric);

-- 16: an amount with decimals
create table ledger.amounts (amount numeric(38, 2));

-- 16: amounts with decimals
create table ledger.amounts (amount numeric(38, 2)[]);

-- 16: a domain with decimals
create domain ledger.price as numeric(38, 2);
create table ledger.amounts (amount ledger.price);

-- 16: a domain of any precision
create domain ledger.price as numeric;
create table ledger.amounts (amount ledger.price);

-- 16: a function of a float
create function ledger.f(amount float) returns int language sql as 'select 1';

-- 16: a function of a domain of floats
create domain public.rate as double precision;
create function ledger.f(amount public.rate) returns int language sql as 'select 1';

-- 16: a function that returns floats
create function ledger.f() returns table (amount real) language sql as 'select 1::real';

-- 16: a float within a function
create function ledger.f() returns int language plpgsql as 'declare amount double  precision; begin return 1; end';

-- 16: a float on the way
create function ledger.f(amount numeric) returns numeric language sql return (amount::float8 * 2)::numeric;
