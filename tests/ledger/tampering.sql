-- Ways to tamper with the books, each under the number of the invariant that has to find it.
-- Triggers and foreign keys sleep while they run; $fees and $pending stand for an account's id.

-- 1: a balance grows by itself
update ledger.account set posted = posted + 1 where kind = 'fees';

-- 1: a hold that is none
update ledger.account set held_out = 1 where kind = 'fees';

-- 2: an overdraft without the constraint
alter table ledger.account drop constraint no_overdraft;
update ledger.account set posted = -1 where kind = 'pending';

-- 2: an overdraft in the past
update ledger.movement set credit_after = -1 where credit = $pending and credit_version = 1;

-- 2: a creator's account without its guard
alter table ledger.account drop constraint creators_money_is_guarded;
update ledger.account set guarded = false where kind = 'pending';

-- 3: two outcomes of one key
alter table ledger.request drop constraint one_outcome_per_key;
insert into ledger.request
select tenant, key, body_hash, gen_random_uuid(), outcome, account, missing, movements, decided_at
from ledger.request where outcome <> 'posted';

-- 3: two requests for one group
alter table ledger.request drop constraint one_group_per_request;
insert into ledger.request
select tenant, 'again', body_hash, group_id, outcome, account, missing, movements, decided_at
from ledger.request where key = 'charge:sandbox:txn_0';

-- 3: a refusal that moved money
update ledger.movement set group_id = (select group_id from ledger.request where key = 'refused')
where credit = $fees and credit_version = 1;

-- 4: a success without its movements
delete from ledger.movement
where group_id = (select group_id from ledger.request where key = 'charge:sandbox:txn_0');

-- 4: movements without a request
delete from ledger.request where key = 'charge:sandbox:txn_0';

-- 5: a balance that is not the sum
update ledger.account set posted = posted + 1 where kind = 'fees';

-- 5: a version that is not the count
update ledger.account set version = version + 1 where kind = 'fees';

-- 5: another amount
update ledger.movement set amount = amount + 1 where credit = $fees and credit_version = 2;

-- 5: another balance after it
update ledger.movement set credit_after = credit_after + 1 where credit = $fees and credit_version = 2;

-- 5: a movement gone
delete from ledger.movement where credit = $fees and credit_version = 2;

-- 5: a version twice
drop index ledger.one_credit_per_version;
update ledger.movement set credit_version = 1 where credit = $fees and credit_version = 2;

-- 6: later by version, earlier by time
update ledger.movement set posted_at = posted_at - interval '1 second' where credit = $fees and credit_version = 3;

-- 6: an account that moved without a movement
update ledger.account set posted_at = posted_at + interval '1 second' where kind = 'fees';

-- 10: a leg from another transaction
update ledger.movement set xid = '3' where credit = $fees and credit_version = 2;

-- 10: a leg at another moment
update ledger.movement set posted_at = posted_at + interval '1 day' where credit = $fees;

-- 10: a leg gone
delete from ledger.movement where credit = $fees and credit_version = 3;

-- 10: more legs answered than written
update ledger.request set movements = movements + 1 where key = 'charge:sandbox:txn_0';

-- 11: a disabled trigger
alter table ledger.movement disable trigger append_only;

-- 11: a disabled trigger of the partition
alter table ledger.movement_default disable trigger append_only;

-- 11: no trigger against truncating the partition
drop trigger append_only_as_a_whole on ledger.movement_default;

-- 11: a trigger for replicas only
alter table ledger.request enable replica trigger append_only;

-- 11: requests can be truncated
drop trigger append_only_as_a_whole on ledger.request;

-- 11: a grant to the application
grant insert on ledger.movement to comptoir_app;

-- 11: a grant of one column
grant update (posted) on ledger.account to comptoir_app;

-- 11: a grant to everybody
grant truncate on ledger.request to public;

-- 11: the application can create tables
grant create on schema ledger to comptoir_app;

-- 11: a new partition without the trigger
create table ledger.movement_last partition of ledger.movement
for values from ('ffffffff-0000-0000-0000-000000000000') to (maxvalue);

-- 15: the gross went elsewhere
update ledger.movement set credit = $fees where kind = 'charge.gross' and debit_version = 1;

-- 15: no gross
delete from ledger.movement where kind = 'charge.gross' and debit_version = 1;

-- 15: another provider's balance
update ledger.account set provider = 'stripe' where kind = 'balance';

-- 15: a charge nobody named
update ledger.request set key = 'else' where key = 'charge:sandbox:txn_0';

-- 16: a float in the ledger
create table ledger.rates (rate double precision);

-- 16: floats beside it
create table public.rates (rates real[]);

-- 16: an amount of any precision
create table ledger.amounts (amount numeric);

-- 16: an amount with decimals
create table ledger.amounts (amount numeric(38, 2));

-- 16: a function of a float
create function ledger.f(amount float) returns int language sql as 'select 1';
