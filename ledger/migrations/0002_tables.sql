-- Stripes, holds, reversals, the history of accounts, and movements in partitions by month.

-- What kinds of account there are: whose they are, and whether they can be overdrawn.
create table ledger.account_kind (
    kind text primary key,
    has_owner boolean not null,         -- a person's, a creator's, of a gift card
    has_provider boolean not null,      -- with a payment provider; neither: the platform's own
    guarded boolean not null,
    constraint kind_has_one_side check (not (has_owner and has_provider)),
    constraint kind_as_accounts_name_it unique (kind, has_owner, has_provider, guarded)
);

insert into ledger.account_kind (kind, has_owner, has_provider, guarded) values
    ('wallet', true, false, true),
    ('gift_card', true, false, true),
    ('pending', true, false, true),
    ('available', true, false, true),
    ('reserve', true, false, true),
    ('payout', true, false, true),
    ('owed', true, false, false),
    ('fees', false, false, false),
    ('tax_payable', false, false, false),
    ('provider_fees', false, false, false),
    ('dispute_fees', false, false, false),
    ('chargebacks', false, false, false),
    ('fx', false, false, false),
    ('suspense', false, false, false),
    ('clearing', false, true, false),
    ('balance', false, true, false),
    ('connected', false, true, false);

-- A CHECK is read, made ready and evaluated anew by every statement that writes the table, and twenty of them took a
-- quarter of the time of a posting. So what concerns one column is held by its domain, which is made ready once per
-- connection; what never changes by a trigger for when it does; and a CHECK is for what changes together.
create domain ledger.amount as numeric(38, 0) constraint amount_is_a_number check (value <> 'NaN');
create domain ledger.positive_amount as numeric(38, 0)
    constraint amount_is_positive check (value > '0' and value <> 'NaN');
create domain ledger.nonnegative_amount as numeric(38, 0)
    constraint amount_is_not_negative check (value >= '0' and value <> 'NaN');
create domain ledger.line_number as bigint constraint versions_count_from_one check (value > 0);
create domain ledger.request_key as text constraint key_is_short check (length(value) between 1 and 255);
create domain ledger.sha256 as bytea constraint hash_is_sha256 check (octet_length(value) = 32);
create domain ledger.outcome as text constraint outcome_is_known check (value in (
    'posted', 'insufficient_funds', 'account_closed', 'balance_too_large',
    'hold_ended', 'hold_expired', 'hold_exceeded', 'reversal_exceeded'
));

-- Stripes: an account that every process touches is several rows, and reads as one. Stripe 0 is the account itself.
alter table ledger.account
    add column stripe_of bigint references ledger.account,
    add column stripe smallint not null default 0,
    alter column posted type ledger.amount,
    alter column held_out type ledger.nonnegative_amount,
    alter column held_in type ledger.nonnegative_amount,
    alter column credit_limit type ledger.nonnegative_amount,
    drop constraint one_account_per_owner_kind_and_asset,
    add constraint one_account_per_owner_kind_and_asset
        unique nulls not distinct (owner, provider, kind, asset_id, stripe),
    drop constraint kind_is_known,
    add constraint kind_is_known foreign key (kind) references ledger.account_kind,
    drop constraint creator_accounts_have_an_owner,
    drop constraint provider_accounts_name_their_provider,
    drop constraint creators_money_is_guarded,
    drop constraint amount_is_a_number,
    drop constraint holds_are_not_negative,
    drop constraint credit_limit_is_not_negative,
    drop constraint version_counts_up,
    drop constraint state_is_known,
    drop constraint no_overdraft,
    add constraint no_overdraft check (posted + credit_limit >= held_out or not guarded),
    drop constraint closed_account_is_empty,
    add constraint closed_account_is_empty check (
        -- Of a striped account only the sum of its rows is zero; it is closed by ledger.change_account alone.
        state = 'open' or state = 'closed' and (posted = '0' or not guarded) and held_out = '0' and held_in = '0'
    );

-- Afterwards, not before: a trigger before an update locks each row once more, whether it has anything to say or not.
create function ledger.account_is_as_its_kind_says() returns trigger language plpgsql
    set search_path = ledger, pg_temp as $$
begin
    if not exists (
        select from ledger.account_kind
        where kind = new.kind and guarded = new.guarded and has_owner = (new.owner is not null)
            and has_provider = (new.provider is not null)
    ) then
        raise exception '% is not an account as its kind % says', new.code, new.kind
            using errcode = 'check_violation', constraint = tg_name, table = tg_table_name, schema = tg_table_schema;
    end if;
    if (new.stripe = 0) <> (new.stripe_of is null) or new.stripe not between 0 and 15
        or new.stripe > 0 and new.guarded
    then
        raise exception '% is neither an account nor a stripe of one', new.code
            using errcode = 'check_violation', constraint = tg_name, table = tg_table_name, schema = tg_table_schema;
    end if;
    return null;
end
$$;

revoke execute on function ledger.account_is_as_its_kind_says from public;

create constraint trigger account_is_as_its_kind_says
    after insert or update of kind, guarded, owner, provider, stripe, stripe_of on ledger.account
    for each row execute function ledger.account_is_as_its_kind_says();

create unique index one_row_per_stripe on ledger.account (stripe_of, stripe) where stripe_of is not null;

-- What became of an account, beside its balance: needed to judge its past.
create table ledger.account_change (
    account bigint not null references ledger.account,
    number ledger.line_number not null,
    change text not null,
    credit_limit ledger.nonnegative_amount not null,
    at_version bigint not null,     -- in force for every later version
    changed_at timestamptz not null,
    primary key (account, number),
    constraint change_is_known check (change in ('credit_limit', 'closed', 'reopened'))
);

insert into ledger.account_change (account, number, change, credit_limit, at_version, changed_at)
select id, 1, 'credit_limit', credit_limit, 0, opened_at from ledger.account where credit_limit <> 0;

create trigger append_only before update or delete on ledger.account_change
    for each row execute function ledger.append_only();
create trigger append_only_as_a_whole before truncate on ledger.account_change
    for each statement execute function ledger.append_only();

alter table ledger.request
    add column hold_entries int not null default 0,
    drop constraint key_is_short,
    alter column key type ledger.request_key,
    drop constraint body_hash_is_sha256,
    alter column body_hash type ledger.sha256,
    drop constraint outcome_is_known,
    alter column outcome type ledger.outcome,
    drop constraint shortfall_says_how_much,
    alter column missing type ledger.positive_amount,
    drop constraint only_a_posted_group_has_movements,
    drop constraint refusal_names_its_account,
    add constraint refusal_names_its_account_and_moves_nothing check (
        (outcome = 'posted') = (account is null) and (account is null or movements + hold_entries = 0)
    );

-- The view stands in the way of its columns' new types.
drop view ledger.entry;

alter table ledger.movement
    drop constraint amount_is_positive,
    drop constraint amount_is_whole,
    drop constraint versions_count_from_one,
    alter column amount type ledger.positive_amount,
    alter column debit_after type ledger.amount,
    alter column credit_after type ledger.amount,
    alter column debit_version type ledger.line_number,
    alter column credit_version type ledger.line_number;

-- Both halves have the same types to the letter: otherwise a page of a statement would sort all of its lines.
create view ledger.entry as
    select debit as account, debit_version::bigint as version, (-amount)::numeric as amount,
        debit_after::numeric as balance, credit as counterparty, id as movement_id, group_id, kind, reference, posted_at,
        effective_at
    from ledger.movement
    union all
    select credit, credit_version::bigint, amount::numeric, credit_after::numeric,
        debit, id, group_id, kind, reference, posted_at, effective_at
    from ledger.movement;

-- Money set aside: amount in the asset's smallest unit. Both accounts' sums of open holds stand on their rows.
create table ledger.hold (
    id uuid primary key,
    group_id uuid not null,     -- of the group that placed it
    asset_id int not null,
    debit bigint not null,
    credit bigint not null,
    kind text not null,
    reference uuid,
    amount ledger.positive_amount not null,
    captured ledger.nonnegative_amount not null default 0,
    released ledger.nonnegative_amount not null default 0,
    expires_at timestamptz,
    placed_at timestamptz not null,
    changed_at timestamptz not null,
    ended_at timestamptz,
    ending text,
    entries int not null default 1,
    constraint captured_and_released_within_amount check (captured + released <= amount),
    constraint ended_when_nothing_is_left check ((ended_at is not null) = (captured + released = amount)),
    constraint one_ending check ((ending is not null) = (ended_at is not null)),
    constraint ending_is_known check (ending in ('captured', 'released', 'expired')),
    constraint two_different_accounts check (debit <> credit),
    constraint debit_in_the_same_asset foreign key (debit, asset_id) references ledger.account (id, asset_id),
    constraint credit_in_the_same_asset foreign key (credit, asset_id) references ledger.account (id, asset_id)
) with (fillfactor = 80);

create index open_holds_that_expire on ledger.hold (expires_at) where ended_at is null and expires_at is not null;
create index open_holds_by_debit on ledger.hold (debit) where ended_at is null;

create table ledger.hold_entry (
    hold_id uuid not null references ledger.hold,
    number ledger.line_number not null,
    event text not null,
    amount ledger.positive_amount not null,
    movement_id uuid,           -- of what was captured
    group_id uuid,              -- null: expired, which nobody asked for
    at timestamptz not null,
    xid xid8 not null default pg_current_xact_id(),
    primary key (hold_id, number),
    constraint event_is_known check (event in ('placed', 'incremented', 'captured', 'released', 'expired')),
    constraint captures_name_their_movement check ((movement_id is not null) = (event = 'captured')),
    constraint only_expiry_is_nobodys check ((group_id is null) = (event = 'expired'))
);

create index hold_entries_by_group on ledger.hold_entry (group_id);

create trigger append_only before update or delete on ledger.hold_entry
    for each row execute function ledger.append_only();
create trigger append_only_as_a_whole before truncate on ledger.hold_entry
    for each statement execute function ledger.append_only();

-- How much of a movement has been sent back. A row of its own, so that what is never reversed pays nothing for it.
create table ledger.reversed (
    movement_id uuid primary key references ledger.movement,
    amount ledger.positive_amount not null,     -- the movement's
    reversed ledger.positive_amount not null,
    constraint reversed_within_amount check (reversed <= amount)
) with (fillfactor = 80);

-- Which movement sends which one back.
create table ledger.reversal (
    movement_id uuid primary key references ledger.movement,
    original_id uuid not null references ledger.reversed,
    amount ledger.positive_amount not null,
    constraint not_its_own_reversal check (movement_id <> original_id)
);

create index reversals_by_original on ledger.reversal (original_id);

create trigger append_only before update or delete on ledger.reversal
    for each row execute function ledger.append_only();
create trigger append_only_as_a_whole before truncate on ledger.reversal
    for each statement execute function ledger.append_only();

-- The partition that had everything so far keeps it, and what is left of the month. (An id of a clock that ran ahead
-- moves the bound.)
do $$
declare
    latest constant bigint := (
        select ('x' || left(replace(id::text, '-', ''), 12))::bit(48)::bigint
        from ledger.movement_default
        order by id desc
        limit 1
    );
    bound constant timestamptz := (date_trunc(
        'month', greatest(clock_timestamp(), to_timestamp(latest / 1000.0)) at time zone 'UTC'
    ) + interval '1 month') at time zone 'UTC';
begin
    alter table ledger.movement detach partition ledger.movement_default;
    alter table ledger.movement_default rename to movement_first;
    execute format(
        'alter table ledger.movement attach partition ledger.movement_first for values from (minvalue) to (%L)',
        lpad(to_hex((extract(epoch from bound) * 1000)::bigint), 12, '0') || repeat('0', 20)
    );
end
$$;

create table ledger.movement_default partition of ledger.movement default;
create unique index on ledger.movement_default (debit, debit_version);
create unique index on ledger.movement_default (credit, credit_version);
create trigger append_only_as_a_whole before truncate on ledger.movement_default
    for each statement execute function ledger.append_only();

create index movements_by_group on ledger.movement (group_id);

grant select on all tables in schema ledger to comptoir_app;

-- The accounts that every batch touches, opened before there were stripes.
insert into ledger.account (asset_id, provider, kind, code, guarded, lock_rank, stripe_of, stripe)
select asset_id, provider, kind, code || '#' || number, guarded, lock_rank, id, number
from ledger.account
cross join generate_series(1, 15) as number
where owner is null and not guarded;

-- Its successor takes operations of every kind and says what each account holds afterwards.
drop function if exists ledger.post(
    text, text[], bytea[], uuid[], timestamptz[], int[], uuid[], bigint[], bigint[], numeric[], text[], uuid[]
);
drop function if exists ledger.open_accounts(text[], text[], uuid[], text[], text[], boolean[], smallint[]);
