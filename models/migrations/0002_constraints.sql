-- Rules that hold whoever writes. Each name reads as the rule and stands in its model's ``rules``.
-- To PostgreSQL NaN is the greatest of all numbers, so a bound from below does not keep it out.

alter table public.users
    add constraint user_subject_is_unique unique (issuer, subject),
    add constraint user_subject_not_empty check (subject <> '');

alter table public.creators
    add constraint one_creator_per_user unique (user_id),
    add constraint handle_is_unique unique (handle),
    add constraint handle_is_well_formed check (handle ~ '^[a-z0-9](?:[a-z0-9_]{1,28})[a-z0-9]$'),
    add constraint creator_state_is_known check (state in ('active', 'inactive')),
    add constraint display_name_not_empty check (display_name <> '');

alter table public.products
    add constraint price_is_positive check (price > 0 and price <> 'NaN'),
    add constraint stock_never_negative check (stock >= 0),
    add constraint product_state_is_known check (state in ('active', 'archived')),
    add constraint product_title_not_empty check (title <> ''),
    add constraint product_currency_is_declared foreign key (currency) references ledger.asset (code);
create index products_of_creator on public.products (creator_id, id);
create index products_by_price on public.products (currency, price, id) where state = 'active';

alter table public.fee_rules
    add constraint one_fee_rule_per_moment unique nulls not distinct (kind, currency, plan, valid_from),
    add constraint fee_percent_is_sound check (percent_basis_points between 0 and 10000),
    add constraint fee_fixed_is_whole check (fixed >= 0 and fixed = trunc(fixed) and fixed <> 'NaN'),
    add constraint fee_kind_is_known check (kind in ('tip', 'purchase')),
    add constraint maturity_delay_not_negative check (maturity_delay_seconds >= 0),
    add constraint fixed_fee_has_a_currency check (fixed = 0 or currency is not null),
    add constraint fee_currency_is_declared foreign key (currency) references ledger.asset (code);

alter table public.payments
    add constraint gross_is_net_and_fee_and_tax check (gross = net + fee + tax),
    add constraint payment_amounts_are_sound check (
        net > 0 and fixed_fee between 0 and fee and tax >= 0 and gross <> 'NaN'),
    add constraint captured_within_gross check (captured between 0 and gross and authorized between 0 and gross),
    add constraint payment_kind_is_known check (kind in ('tip', 'purchase')),
    add constraint payment_status_is_known check (status in (
        'CREATED', 'PENDING', 'REQUIRES_ACTION', 'PROCESSING', 'AUTHORIZED', 'SUCCEEDED', 'FAILED', 'CANCELED',
        'RECONCILING')),
    add constraint payment_currency_is_declared foreign key (currency) references ledger.asset (code),
    add constraint provider_reference_is_unique unique (provider, provider_reference),
    add constraint matures_only_when_captured check (matures_at is null or captured > 0),
    -- Nearly every column of a payment changes several times soon after it is made.
    set (fillfactor = 60);
create index payments_of_payer on public.payments (payer_id, id) where payer_id is not null;
create index payments_to_look_up on public.payments (calling_until) where calling_until is not null;
create index payments_to_mature on public.payments (matures_at) where matured_at is null and matures_at is not null;
create index purchases_to_expire on public.payments (created_at)
    where kind = 'purchase' and status in ('CREATED', 'PENDING', 'REQUIRES_ACTION', 'FAILED');

alter table public.payment_events
    add constraint event_number_is_unique unique (payment_id, sequence),
    add constraint event_number_is_positive check (sequence > 0),
    add constraint event_status_is_known check (status in (
        'CREATED', 'PENDING', 'REQUIRES_ACTION', 'PROCESSING', 'AUTHORIZED', 'SUCCEEDED', 'FAILED', 'CANCELED',
        'RECONCILING'));

alter table public.tips
    add constraint one_tip_per_payment unique (payment_id),
    add constraint tip_message_is_short check (char_length(message) <= 500);
create index tips_of_creator on public.tips (creator_id, id);

alter table public.purchases
    add constraint one_purchase_per_payment unique (payment_id),
    add constraint only_reserved_stock_is_released check (stock_released_at is null or stock_reserved);
create index purchases_of_buyer on public.purchases (buyer_id, id) where buyer_id is not null;

alter table public.earning_days
    add constraint one_row_per_creator_day_and_source unique (creator_id, currency, day, source),
    add constraint earning_net_is_positive check (net > 0 and net <> 'NaN'),
    add constraint earning_source_is_known check (source in ('tip', 'purchase')),
    set (fillfactor = 60);

alter table public.requests
    add constraint request_key_is_unique unique (principal, operation, key),
    add constraint request_key_is_bounded check (char_length(key) between 1 and 200);

alter table public.inbox_events
    add constraint event_is_received_once unique (provider, event_id),
    add constraint inbox_state_is_known check (state in ('PENDING', 'DONE', 'DEAD'));
create index inbox_due on public.inbox_events (due_at, id) where state = 'PENDING';

alter table public.outbox_events
    alter column transaction_id set default pg_current_xact_id(),
    add constraint outbox_position_is_unique unique (position),
    add constraint creator_offset_is_unique unique (creator_id, creator_offset),
    add constraint only_activity_has_an_offset check (creator_offset is null or in_activity);
create index outbox_waiting on public.outbox_events (id) where position is null;

alter table public.creator_feeds
    add constraint feed_offset_is_positive check (last_offset > 0);

alter table public.relay_position
    add constraint one_relay_position check (id = 1),
    add constraint published_within_assigned check (published between 0 and assigned);
insert into public.relay_position (id, assigned, published) values (1, 0, 0);

create function public.refuse_change() returns trigger language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    raise exception '% only grows: its rows are never changed or deleted', tg_table_name;
end $$;
create trigger payment_events_only_grow before update or delete on public.payment_events
    for each row execute function public.refuse_change();
create trigger payment_events_stay before truncate on public.payment_events
    for each statement execute function public.refuse_change();

-- The application's role reads and adds; it deletes nothing, and changes only what has a life of its own.
grant usage on schema public to comptoir_app;
grant select, insert on all tables in schema public to comptoir_app;
grant usage on all sequences in schema public to comptoir_app;
grant update on public.users, public.creators, public.products, public.payments, public.purchases,
    public.earning_days, public.requests, public.inbox_events, public.outbox_events, public.creator_feeds,
    public.relay_position to comptoir_app;
revoke insert on public.tortoise_migrations, public.relay_position from comptoir_app;
