-- Rules that hold whoever writes. Each name reads as the rule and stands in its model's ``rules``.
-- To PostgreSQL NaN is the greatest of all numbers, so a bound from below does not keep it out.

alter table public.products
    drop constraint price_is_positive,
    drop constraint stock_never_negative,
    drop constraint product_state_is_known,
    add constraint price_is_sound check (price >= 0 and price <> 'NaN' and (price > 0 or pays_what_they_want)),
    add constraint product_state_is_known check (state in ('draft', 'active', 'archived')),
    add constraint per_buyer_limit_is_positive check (per_buyer_limit > 0),
    add constraint tax_category_is_known check (tax_category in ('standard', 'reduced', 'books', 'food', 'digital', 'exempt')),
    add constraint few_options check (cardinality(options) <= 3),
    add constraint few_tags check (cardinality(tags) <= 20);
create index products_by_search on public.products using gin (search) where state = 'active';
create index products_by_tag on public.products using gin (tags) where state = 'active';

-- Small letters of every script, whatever the locale of the database: as ICU has them, or PostgreSQL 17 and later
-- by themselves; where there is neither, those of the locale.
do $do$ begin
    if exists (select from pg_catalog.pg_collation where collname = 'und-x-icu') then
        create function public.folded(given text) returns text immutable language sql
            as $$ select pg_catalog.lower(given collate "und-x-icu") $$;
    elsif exists (select from pg_catalog.pg_collation where collname = 'pg_c_utf8') then
        create function public.folded(given text) returns text immutable language sql
            as $$ select pg_catalog.lower(given collate "pg_c_utf8") $$;
    else
        create function public.folded(given text) returns text immutable language sql
            as $$ select pg_catalog.lower(given) $$;
    end if;
end $do$;

-- The words of a title weigh most. Without stemming: what is sold here has no one language.
create function public.product_search() returns trigger language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    new.search := setweight(to_tsvector('simple', public.folded(new.title)), 'A')
        || setweight(to_tsvector('simple', public.folded(array_to_string(new.tags, ' '))), 'B')
        || setweight(to_tsvector('simple', public.folded(left(coalesce(new.description, ''), 10000))), 'C');
    return new;
end $$;
create trigger products_are_searchable before insert or update of title, tags, description on public.products
    for each row execute function public.product_search();
update public.products set title = title;

alter table public.product_variants
    add constraint variant_state_is_known check (state in ('active', 'archived')),
    add constraint sku_not_empty check (sku <> ''),
    add constraint weight_is_sound check (weight_grams >= 0),
    add constraint licence_policy_is_known check (licence_policy in ('POOL', 'GENERATED')),
    add constraint licence_limits_are_positive check (licence_activations > 0 and download_limit > 0),
    add constraint pooled_keys_are_stock check (licence_policy is distinct from 'POOL' or stock_tracked);
-- Of archived ones there may be many alike.
create unique index one_variant_per_choice on public.product_variants (product_id, choices) where state = 'active';
create index variants_of_product on public.product_variants (product_id, position, id);

alter table public.variant_prices
    add constraint one_price_per_variant_and_currency unique (variant_id, currency),
    add constraint variant_price_is_sound check (amount >= 0 and amount <> 'NaN'),
    add constraint variant_price_currency_is_declared foreign key (currency) references ledger.asset (code);

alter table public.collections
    add constraint one_collection_per_slug unique (creator_id, slug),
    add constraint collection_slug_is_well_formed check (slug ~ '^[a-z0-9](?:[a-z0-9-]{0,58}[a-z0-9])?$'),
    add constraint collection_title_not_empty check (title <> ''),
    add constraint collection_state_is_known check (state in ('active', 'archived'));
alter table public.collection_products
    add constraint product_once_per_collection unique (collection_id, product_id);
create index collections_of_product on public.collection_products (product_id);

alter table public.media_files
    add constraint media_kind_is_known check (kind in ('PICTURE', 'DIGITAL')),
    add constraint media_state_is_known check (state in ('WAITING', 'STORED')),
    add constraint media_size_is_positive check (size > 0),
    add constraint stored_media_has_a_digest check (state <> 'STORED' or digest is not null);
create index media_of_creator on public.media_files (creator_id, id);
alter table public.product_media add constraint picture_once_per_product unique (product_id, media_id);
alter table public.variant_files add constraint file_once_per_variant unique (variant_id, media_id);

alter table public.stock_locations
    add constraint one_location_per_name unique (creator_id, name),
    add constraint location_name_not_empty check (name <> ''),
    add constraint location_state_is_known check (state in ('active', 'archived'));
alter table public.stock_levels
    add constraint one_level_per_variant_and_location unique (variant_id, location_id),
    add constraint reserved_within_on_hand check (reserved between 0 and on_hand),
    add constraint low_at_not_negative check (low_at >= 0),
    set (fillfactor = 60);
create index levels_of_location on public.stock_levels (location_id);
create index low_levels on public.stock_levels (low_since) where low_since is not null;
create index low_levels_to_tell on public.stock_levels (variant_id, location_id)
    where low_since is not null and low_told_at is null;
alter table public.stock_reservations
    add constraint reservation_quantity_is_positive check (quantity > 0),
    add constraint reservation_state_is_known check (state in ('HELD', 'TAKEN', 'RELEASED')),
    add constraint returned_within_reservation check (
        returned between 0 and quantity and (returned = 0 or state = 'TAKEN'));
create index reservations_of_line on public.stock_reservations (line_id);
create index reservations_to_expire on public.stock_reservations (expires_at)
    where state = 'HELD' and expires_at is not null;
alter table public.stock_movements
    add constraint movement_kind_is_known check (kind in (
        'RECEIVED', 'ADJUSTED', 'RESERVED', 'RELEASED', 'EXPIRED', 'SOLD', 'RETURNED', 'MOVED')),
    add constraint movement_moves_something check (on_hand <> 0 or reserved <> 0);
create index movements_of_level on public.stock_movements (level_id, id);
create trigger stock_movements_only_grow before update or delete on public.stock_movements
    for each row execute function public.refuse_change();
create trigger stock_movements_stay before truncate on public.stock_movements
    for each statement execute function public.refuse_change();

alter table public.licence_keys
    add constraint licence_key_is_unique unique (digest),
    add constraint licence_state_is_known check (state in ('AVAILABLE', 'ASSIGNED', 'REVOKED')),
    add constraint assigned_licence_has_a_line check (state <> 'ASSIGNED' or line_id is not null),
    add constraint activations_within_limit check (
        activations >= 0 and (activation_limit is null or activations <= activation_limit));
create index licences_of_line on public.licence_keys (line_id) where line_id is not null;
create index licences_in_pool on public.licence_keys (variant_id, id) where state = 'AVAILABLE';
alter table public.licence_activations
    add constraint activation_instance_is_short check (char_length(instance) between 1 and 200);
create unique index one_activation_per_instance on public.licence_activations (licence_id, instance)
    where ended_at is null;

alter table public.carts
    add constraint cart_currency_is_declared foreign key (currency) references ledger.asset (code),
    add constraint few_discount_codes check (cardinality(discount_codes) <= 5);
create index carts_of_buyer on public.carts (buyer_id, id) where buyer_id is not null;
alter table public.cart_lines
    add constraint one_line_per_variant unique (cart_id, variant_id),
    add constraint cart_quantity_is_bounded check (quantity between 0 and 1000),
    add constraint chosen_price_is_sound check (chosen_price >= 0 and chosen_price <> 'NaN');

alter table public.shipping_zones
    add constraint zone_name_not_empty check (name <> ''),
    add constraint zone_state_is_known check (state in ('active', 'archived'));
create index zones_of_creator on public.shipping_zones (creator_id);
alter table public.shipping_methods
    add constraint method_name_not_empty check (name <> ''),
    add constraint method_state_is_known check (state in ('active', 'archived')),
    add constraint shipping_days_are_sound check (days_minimum >= 0 and days_maximum >= days_minimum);
create index methods_of_zone on public.shipping_methods (zone_id);
alter table public.shipping_rates
    add constraint shipping_rate_is_sound check (
        amount >= 0 and amount <> 'NaN' and subtotal_from >= 0 and subtotal_from <> 'NaN'
        and weight_grams_from >= 0 and weight_grams_maximum >= weight_grams_from),
    add constraint shipping_currency_is_declared foreign key (currency) references ledger.asset (code);

create unique index one_rate_per_bounds on public.shipping_rates (method_id, currency, weight_grams_from, subtotal_from)
    where removed_at is null;

alter table public.tax_rates
    add constraint one_tax_rate_per_moment unique (country, region, category, valid_from),
    add constraint tax_rate_is_sound check (basis_points between 0 and 10000),
    add constraint tax_country_is_a_code check (country ~ '^[A-Z]{2}$'),
    add constraint tax_rate_category_is_known check (
        category in ('standard', 'reduced', 'books', 'food', 'digital', 'exempt', 'shipping'));

alter table public.discounts
    add constraint discount_code_is_unique unique (creator_id, code),
    add constraint discount_code_is_well_formed check (code ~ '^[A-Z0-9][A-Z0-9_-]{0,39}$'),
    add constraint discount_title_not_empty check (title <> ''),
    add constraint discount_kind_has_its_value check (case kind
        when 'PERCENT' then basis_points between 1 and 10000 and amount is null
        when 'FIXED' then amount > 0 and amount <> 'NaN' and currency is not null and basis_points is null
        when 'FREE_SHIPPING' then amount is null and basis_points is null
        else false end),
    add constraint discount_limits_are_positive check (
        usage_limit > 0 and per_buyer_limit > 0 and per_period_limit > 0
        and minimum_subtotal >= 0 and minimum_subtotal <> 'NaN' and (minimum_subtotal is null or currency is not null)),
    add constraint discount_period_is_known check (
        period in ('DAY', 'WEEK', 'MONTH') and (period is null) = (per_period_limit is null)),
    add constraint discount_state_is_known check (state in ('active', 'archived')),
    add constraint discount_currency_is_declared foreign key (currency) references ledger.asset (code);
create index discounts_by_code on public.discounts (code) where code is not null;
create index discounts_of_creator on public.discounts (creator_id, id);

alter table public.usage_counters
    add constraint one_counter_per_scope unique (subject, scope),
    add constraint used_not_negative check (used >= 0),
    set (fillfactor = 60);

alter table public.orders
    add constraint one_order_per_payment unique (payment_id),
    add constraint order_number_is_unique unique (number),
    add constraint paid_orders_have_numbers check ((paid_at is null) = (number is null)),
    add constraint order_status_is_known check (status in (
        'PENDING', 'PAID', 'PARTIALLY_FULFILLED', 'FULFILLED', 'CANCELED', 'REFUNDED', 'CHARGED_BACK')),
    add constraint order_origin_is_known check (origin in ('CART', 'PURCHASE')),
    add constraint order_amounts_are_sound check (
        subtotal >= 0 and discount >= 0 and shipping >= 0 and tax between 0 and total and total <> 'NaN'
        and subtotal <> 'NaN' and shipping <> 'NaN' and (payment_id is null) = (total = 0)),
    add constraint order_currency_is_declared foreign key (currency) references ledger.asset (code);
-- Of two orders that are paid the first was cancelled, and its money came after all: that cannot be refused.
create unique index one_live_order_per_cart on public.orders (cart_id) where status = 'PENDING';
create index orders_of_buyer on public.orders (buyer_id, id) where buyer_id is not null;
create index orders_of_cart on public.orders (cart_id) where cart_id is not null;

alter table public.order_lines
    add constraint line_quantities_are_sound check (
        quantity > 0 and fulfilled >= 0 and canceled >= 0 and fulfilled + canceled <= quantity
        and returned between 0 and fulfilled and refunded between 0 and quantity),
    add constraint line_amounts_add_up check (
        subtotal = unit_price * quantity and unit_price >= 0 and unit_price <> 'NaN'
        and discount between 0 and subtotal and tax >= 0 and tax_basis_points between 0 and 10000
        and total = subtotal - discount + case when tax_inclusive then 0 else tax end and tax <= total),
    add constraint line_refunds_within_total check (
        refunded_amount between 0 and total and refunded_tax between 0 and tax);
create index lines_of_order on public.order_lines (order_id, position);
create index lines_of_part on public.order_lines (part_id, position);
create index lines_of_variant on public.order_lines (variant_id);

alter table public.order_parts
    add constraint one_part_per_creator unique (order_id, creator_id),
    add constraint part_amounts_are_sound check (
        subtotal >= 0 and discount between 0 and subtotal + shipping_price and tax between 0 and total
        and total <> 'NaN'),
    add constraint shipping_amounts_add_up check (
        shipping_price >= 0 and shipping_price <> 'NaN' and shipping_discount between 0 and shipping_price
        and shipping_tax >= 0 and shipping_tax_basis_points between 0 and 10000
        and shipping_total = shipping_price - shipping_discount
            + case when shipping_tax_inclusive then 0 else shipping_tax end
        and shipping_tax <= shipping_total),
    add constraint shipping_refunds_within_total check (
        shipping_refunded_amount between 0 and shipping_total and shipping_refunded_tax between 0 and shipping_tax);
create index parts_of_creator on public.order_parts (creator_id, id);

alter table public.order_discounts
    add constraint discount_once_per_order unique (order_id, discount_id),
    add constraint order_discount_not_negative check (amount >= 0 and amount <> 'NaN');

alter table public.order_events
    add constraint order_event_number_is_unique unique (order_id, sequence),
    add constraint order_event_number_is_positive check (sequence > 0),
    add constraint order_event_status_is_known check (status in (
        'PENDING', 'PAID', 'PARTIALLY_FULFILLED', 'FULFILLED', 'CANCELED', 'REFUNDED', 'CHARGED_BACK'));
create trigger order_events_only_grow before update or delete on public.order_events
    for each row execute function public.refuse_change();
create trigger order_events_stay before truncate on public.order_events
    for each statement execute function public.refuse_change();

alter table public.order_counter add constraint one_order_counter check (id = 1 and last_number >= 0);
insert into public.order_counter (id, last_number) values (1, 0);

alter table public.fulfilments add constraint tracking_url_is_https check (tracking_url ~ '^https://');
create index fulfilments_of_part on public.fulfilments (part_id, id);
alter table public.fulfilment_lines
    add constraint line_once_per_fulfilment unique (fulfilment_id, line_id),
    add constraint fulfilled_quantity_is_positive check (quantity > 0);

alter table public.order_returns
    add constraint return_status_is_known check (status in ('REQUESTED', 'RECEIVED', 'DECLINED', 'CANCELED'));
create index returns_of_part on public.order_returns (part_id, id);
alter table public.order_return_lines
    add constraint line_once_per_return unique (order_return_id, line_id),
    add constraint return_quantity_is_positive check (quantity > 0);

alter table public.order_refund_items
    add constraint refund_item_is_of_one_thing check (num_nonnulls(line_id, part_id) = 1),
    add constraint refund_item_is_sound check (
        quantity >= 0 and amount >= 0 and amount <> 'NaN' and tax between 0 and amount);
create index refund_items_of_refund on public.order_refund_items (refund_id);
create index refund_items_of_order on public.order_refund_items (order_id);

alter table public.access_grants
    add constraint one_grant_per_line unique (line_id),
    add constraint grant_state_is_known check (state in ('ACTIVE', 'REVOKED')),
    add constraint grant_limit_is_positive check (download_limit > 0);
alter table public.downloads
    add constraint one_count_per_grant_and_file unique (grant_id, file_id),
    add constraint downloads_within_limit check (used >= 0 and ("limit" is null or used <= "limit"));

alter table public.payments
    add constraint one_creator_or_shares check ((creator_id is null) = (fee_rule_id is null));
alter table public.payment_shares
    add constraint one_share_per_payment_and_creator unique (payment_id, creator_id),
    add constraint share_gross_is_net_and_fee_and_tax check (gross = net + fee + tax),
    add constraint share_amounts_are_sound check (
        net > 0 and fixed_fee between 0 and fee and tax >= 0 and gross <> 'NaN'),
    add constraint share_returned_within_parts check (
        returned_net between 0 and net and returned_fee between 0 and fee and returned_tax between 0 and tax),
    add constraint share_reserve_within_net check (reserve between 0 and net);
create index shares_of_creator on public.payment_shares (creator_id, payment_id);
alter table public.return_shares
    add constraint share_once_per_return unique (return_id, share_id),
    add constraint return_share_is_sound check (
        net >= 0 and fee >= 0 and tax >= 0 and net + fee + tax <> 'NaN' and from_reserve between 0 and net);

alter table public.outbox_events
    add constraint outbox_is_of_one_thing check (num_nonnulls(payment_id, order_id) = 1),
    add constraint activity_is_somebodys check (creator_id is not null or not in_activity);

-- What there was before products had variants. Its ids are random, which costs it its place in time and nothing else.
insert into public.product_variants (id, product_id, position, state, stock_tracked, created_at, updated_at)
    select gen_random_uuid(), id, 0, 'active', stock is not null, created_at, updated_at from public.products;
insert into public.variant_prices (id, variant_id, currency, amount)
    select gen_random_uuid(), v.id, p.currency, p.price
    from public.products p join public.product_variants v on v.product_id = p.id;
insert into public.stock_locations (id, creator_id, name, position, state, created_at, updated_at)
    select gen_random_uuid(), creator_id, 'Main', 0, 'active', min(created_at), min(created_at)
    from public.products where stock is not null group by creator_id;
-- A purchase whose payment is not decided yet holds one; what is sold has left.
insert into public.stock_levels (id, variant_id, location_id, on_hand, reserved, updated_at)
    select gen_random_uuid(), v.id, l.id, p.stock + held.number, held.number, p.updated_at
    from public.products p
    join public.product_variants v on v.product_id = p.id
    join public.stock_locations l on l.creator_id = p.creator_id
    cross join lateral (
        select count(*)::int as number from public.purchases u join public.payments y on y.id = u.payment_id
        where u.product_id = p.id and u.stock_reserved and u.stock_released_at is null and y.succeeded_at is null
    ) held
    where p.stock is not null;
insert into public.stock_movements (level_id, kind, on_hand, reserved, note, at)
    select id, 'RECEIVED', on_hand, reserved, 'What there was before stock was kept by location.', updated_at
    from public.stock_levels where on_hand <> 0 or reserved <> 0;

insert into public.orders (id, payment_id, buyer_id, buyer_key, origin, number, status, sequence, currency, subtotal,
    discount, shipping, tax, total, created_at, updated_at, paid_at, canceled_at)
    select u.id, u.payment_id, u.buyer_id, 'user:' || u.buyer_id, 'PURCHASE',
        case when y.succeeded_at is not null
            then row_number() over (partition by y.succeeded_at is null order by y.succeeded_at, u.id) end,
        case when y.status = 'CHARGED_BACK' then 'CHARGED_BACK' when y.status = 'REFUNDED' then 'REFUNDED'
            when y.succeeded_at is not null then 'FULFILLED' when y.status = 'CANCELED' then 'CANCELED'
            else 'PENDING' end,
        1, y.currency, y.gross, 0, 0, y.tax, y.gross, u.created_at, u.created_at, y.succeeded_at,
        case when y.status = 'CANCELED' then y.updated_at end
    from public.purchases u join public.payments y on y.id = u.payment_id;
update public.order_counter set last_number = (select count(*) from public.orders where number is not null);
insert into public.order_events (order_id, sequence, kind, status, at)
    select id, 1, 'CREATED', status, created_at from public.orders;
insert into public.order_parts (id, order_id, creator_id, subtotal, discount, tax, total, created_at)
    select gen_random_uuid(), o.id, u.creator_id, o.total, 0, o.tax, o.total, o.created_at
    from public.orders o join public.purchases u on u.id = o.id;
insert into public.order_lines (id, order_id, part_id, position, product_id, variant_id, title, requires_shipping,
    quantity, unit_price, subtotal, discount, tax_basis_points, tax_inclusive, tax, total, fulfilled, canceled,
    refunded, refunded_amount, refunded_tax)
    select gen_random_uuid(), u.id, a.id, 0, u.product_id, v.id, u.title, false, 1, y.gross, y.gross, 0, 0,
        true, y.tax, y.gross, (y.succeeded_at is not null)::int, (y.status = 'CANCELED')::int,
        (y.status = 'REFUNDED')::int, y.refunded, y.returned_tax
    from public.purchases u
    join public.payments y on y.id = u.payment_id
    join public.order_parts a on a.order_id = u.id
    join public.product_variants v on v.product_id = u.product_id;
-- A refund that fails after all gives its line again what it had paid back.
insert into public.order_refund_items (id, refund_id, order_id, line_id, quantity, amount, tax)
    select gen_random_uuid(), r.id, n.order_id, n.id,
        case when row_number() over (partition by n.id order by r.id desc) = 1 then n.refunded else 0 end,
        r.amount, coalesce(r.tax, 0)
    from public.refunds r
    join public.orders o on o.payment_id = r.payment_id
    join public.order_lines n on n.order_id = o.id
    where r.status = 'SUCCEEDED';
insert into public.stock_reservations (id, line_id, level_id, quantity, state, created_at, updated_at)
    select gen_random_uuid(), n.id, s.id, 1,
        case when u.stock_released_at is not null then 'RELEASED' when y.succeeded_at is not null then 'TAKEN'
            else 'HELD' end,
        u.created_at, coalesce(u.stock_released_at, u.created_at)
    from public.purchases u
    join public.payments y on y.id = u.payment_id
    join public.order_lines n on n.order_id = u.id
    join public.stock_levels s on s.variant_id = n.variant_id
    where u.stock_reserved;

grant select, insert on public.product_variants, public.variant_prices, public.collections, public.collection_products,
    public.media_files, public.product_media, public.variant_files, public.stock_locations, public.stock_levels,
    public.stock_reservations, public.stock_movements, public.licence_keys, public.licence_activations, public.carts,
    public.cart_lines, public.shipping_zones, public.shipping_methods, public.shipping_rates, public.tax_rates,
    public.discounts, public.usage_counters, public.orders, public.order_lines, public.order_parts,
    public.order_discounts, public.order_events, public.fulfilments, public.fulfilment_lines, public.order_returns,
    public.order_return_lines, public.order_refund_items, public.access_grants, public.downloads,
    public.payment_shares, public.return_shares to comptoir_app;
grant update on public.product_variants, public.variant_prices, public.collections, public.collection_products,
    public.media_files, public.product_media, public.variant_files, public.stock_locations, public.stock_levels,
    public.stock_reservations, public.licence_keys, public.licence_activations, public.carts, public.cart_lines,
    public.shipping_zones, public.shipping_methods, public.shipping_rates, public.discounts, public.usage_counters,
    public.orders, public.order_lines, public.order_parts, public.fulfilments, public.order_returns, public.order_refund_items,
    public.access_grants, public.downloads, public.payment_shares, public.return_shares to comptoir_app;
grant select, update on public.order_counter to comptoir_app;
grant usage on all sequences in schema public to comptoir_app;
