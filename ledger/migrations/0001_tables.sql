-- The ledger's tables. Every name is qualified: a search_path set here would leak into the migrations that follow.

create schema ledger;

-- The trigger of every append-only table. The grants already forbid changes; this holds for the owner as well.
create function ledger.append_only() returns trigger language plpgsql set search_path = ledger, pg_temp as $$
begin
    raise exception '% is append-only: correct a mistake by posting its reversal', tg_table_name
        using errcode = 'restrict_violation';
end
$$;

create table ledger.asset (
    id int primary key,
    code text not null,
    scale smallint not null,
    kind text not null,
    constraint one_asset_per_code unique (code),
    constraint code_is_upper_case check (code ~ '^[A-Z][A-Z0-9]{1,11}$'),
    constraint scale_is_known check (scale between 0 and 30),
    constraint kind_is_known check (kind in ('fiat', 'token', 'points'))
);

-- The meaning of every stored amount hangs on the scale.
create function ledger.asset_in_use_keeps_its_meaning() returns trigger language plpgsql
    set search_path = ledger, pg_temp as $$
begin
    -- Waits for accounts that are being opened right now: their foreign key holds a share of this row.
    perform from ledger.asset where id = old.id for update;
    if exists (select from ledger.account where asset_id = old.id) then
        raise exception 'asset % is used by an account: its code and scale never change', old.code
            using errcode = 'restrict_violation';
    end if;
    return new;
end
$$;

create trigger asset_in_use_keeps_its_meaning before update on ledger.asset for each row
    when (old.code is distinct from new.code or old.scale is distinct from new.scale)
    execute function ledger.asset_in_use_keeps_its_meaning();

create table ledger.account (
    id bigint generated always as identity primary key,
    asset_id int not null references ledger.asset,
    owner uuid,             -- null: the platform's own
    provider text,          -- null: not an account with a provider
    kind text not null,
    code text not null,
    posted numeric(38, 0) not null default 0,
    held_out numeric(38, 0) not null default 0,
    held_in numeric(38, 0) not null default 0,
    credit_limit numeric(38, 0) not null default 0,
    guarded boolean not null,
    version bigint not null default 0,
    lock_rank smallint not null,
    state text not null default 'open',
    opened_at timestamptz not null default clock_timestamp(),
    posted_at timestamptz,  -- of the last movement: the next one is never earlier, whatever the clock does
    constraint account_keeps_its_asset unique (id, asset_id),
    constraint one_account_per_code unique (code),
    constraint one_account_per_owner_kind_and_asset unique nulls not distinct (owner, provider, kind, asset_id),
    constraint kind_is_known check (kind in (
        'pending', 'available', 'reserve', 'payout', 'owed',
        'fees', 'tax_payable', 'provider_fees', 'dispute_fees', 'chargebacks', 'fx', 'suspense',
        'clearing', 'balance', 'connected'
    )),
    constraint creator_accounts_have_an_owner check (
        (owner is not null) = (kind in ('pending', 'available', 'reserve', 'payout', 'owed'))
    ),
    constraint provider_accounts_name_their_provider check (
        (provider is not null) = (kind in ('clearing', 'balance', 'connected'))
    ),
    constraint creators_money_is_guarded check (
        guarded or kind not in ('pending', 'available', 'reserve', 'payout')
    ),
    constraint no_overdraft check (not guarded or posted - held_out >= -credit_limit),
    constraint amount_is_a_number check (
        'NaN' not in (posted, held_out, held_in, credit_limit)
    ),
    constraint holds_are_not_negative check (held_out >= 0 and held_in >= 0),
    constraint credit_limit_is_not_negative check (credit_limit >= 0),
    constraint version_counts_up check (version >= 0),
    constraint state_is_known check (state in ('open', 'closed')),
    constraint closed_account_is_empty check (
        state = 'open' or (posted = 0 and held_out = 0 and held_in = 0)
    )
) with (fillfactor = 60);  -- room for the next version of a busy row on its own page

-- What was asked, and what was answered: written in the same commit as the money and kept forever.
create table ledger.request (
    tenant text not null,
    key text not null,
    body_hash bytea not null,
    group_id uuid not null,
    outcome text not null,
    account bigint references ledger.account,
    missing numeric(38, 0),
    movements int not null,
    decided_at timestamptz not null,
    xid xid8 not null default pg_current_xact_id(),
    constraint one_outcome_per_key primary key (tenant, key),
    constraint one_group_per_request unique (group_id),
    constraint key_is_short check (length(key) between 1 and 255),
    constraint body_hash_is_sha256 check (octet_length(body_hash) = 32),
    constraint outcome_is_known check (
        outcome in ('posted', 'insufficient_funds', 'account_closed', 'balance_too_large')
    ),
    constraint only_a_posted_group_has_movements check (
        movements >= 0 and (movements > 0) = (outcome = 'posted')
    ),
    constraint refusal_names_its_account check ((account is null) = (outcome = 'posted')),
    constraint shortfall_says_how_much check (
        (missing is not null) = (outcome = 'insufficient_funds') and (missing is null or missing > 0)
    )
);

create table ledger.movement (
    id uuid not null,
    group_id uuid not null,
    asset_id int not null,
    kind text not null,
    debit bigint not null,
    credit bigint not null,
    amount numeric(38, 0) not null,
    reference uuid,
    debit_after numeric(38, 0) not null,
    credit_after numeric(38, 0) not null,
    debit_version bigint not null,
    credit_version bigint not null,
    posted_at timestamptz not null,     -- given by the server, after the locks: ordered as the versions are
    effective_at timestamptz not null,  -- when it happened in the world: given by the caller
    xid xid8 not null default pg_current_xact_id(),
    primary key (id),
    constraint amount_is_positive check (amount > 0 and amount <> 'NaN'),
    constraint amount_is_whole check (amount = trunc(amount)),
    constraint two_different_accounts check (debit <> credit),
    constraint versions_count_from_one check (debit_version > 0 and credit_version > 0),
    constraint debit_in_the_same_asset foreign key (debit, asset_id) references ledger.account (id, asset_id),
    constraint credit_in_the_same_asset foreign key (credit, asset_id) references ledger.account (id, asset_id)
) partition by range (id);

create table ledger.movement_default partition of ledger.movement default;

-- On the partition, because a unique index of the parent would have to contain the partition key.
create unique index one_debit_per_version on ledger.movement_default (debit, debit_version);
create unique index one_credit_per_version on ledger.movement_default (credit, credit_version);

-- Each movement from the side of each of its accounts: version n of an account is line n of its statement.
create view ledger.entry as
    select debit as account, debit_version as version, -amount as amount, debit_after as balance,
        credit as counterparty, id as movement_id, group_id, kind, reference, posted_at, effective_at
    from ledger.movement
    union all
    select credit, credit_version, amount, credit_after,
        debit, id, group_id, kind, reference, posted_at, effective_at
    from ledger.movement;

create trigger append_only before update or delete on ledger.movement
    for each row execute function ledger.append_only();
create trigger append_only_as_a_whole before truncate on ledger.movement
    for each statement execute function ledger.append_only();
-- TRUNCATE of a partition does not ask its parent's triggers.
create trigger append_only_as_a_whole before truncate on ledger.movement_default
    for each statement execute function ledger.append_only();

create trigger append_only before update or delete on ledger.request
    for each row execute function ledger.append_only();
create trigger append_only_as_a_whole before truncate on ledger.request
    for each statement execute function ledger.append_only();
