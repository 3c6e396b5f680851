-- Rules that hold whoever writes. Each name reads as the rule and stands in its model's ``rules``.
-- To PostgreSQL NaN is the greatest of all numbers, so a bound from below does not keep it out.

alter table public.payments
    drop constraint payment_status_is_known,
    add constraint payment_status_is_known check (status in (
        'CREATED', 'PENDING', 'REQUIRES_ACTION', 'PROCESSING', 'AUTHORIZED', 'SUCCEEDED', 'FAILED', 'CANCELED',
        'RECONCILING', 'PARTIALLY_REFUNDED', 'REFUNDED', 'DISPUTED', 'CHARGED_BACK')),
    add constraint refunds_within_captured check (
        refunded >= 0 and refund_pending >= 0 and refunded + refund_pending <= captured),
    add constraint returned_within_parts check (
        returned_net between 0 and net and returned_fee between 0 and fee and returned_tax between 0 and tax),
    add constraint dispute_standing_is_known check (dispute in ('OPEN', 'LOST')),
    add constraint capture_within_gross check (capturing between 0 and gross),
    add constraint reserve_within_net check (reserve between 0 and net);
create index payments_without_charge on public.payments (succeeded_at)
    where available_on is null and succeeded_at is not null;
create index reserves_due on public.payments (reserve_due_at)
    where reserve_due_at is not null and reserve_released_at is null;

alter table public.payment_events
    drop constraint event_status_is_known,
    add constraint event_status_is_known check (status in (
        'CREATED', 'PENDING', 'REQUIRES_ACTION', 'PROCESSING', 'AUTHORIZED', 'SUCCEEDED', 'FAILED', 'CANCELED',
        'RECONCILING', 'PARTIALLY_REFUNDED', 'REFUNDED', 'DISPUTED', 'CHARGED_BACK'));

alter table public.fee_rules
    add constraint reserve_is_sound check (
        reserve_basis_points between 0 and 10000 and reserve_delay_seconds >= 0);

alter table public.earning_days
    drop constraint earning_net_is_positive,
    add constraint earning_net_not_negative check (net >= 0 and net <> 'NaN'),
    add constraint earning_returned_not_negative check (returned >= 0 and returned <> 'NaN');

alter table public.refunds
    add constraint refund_amount_is_positive check (amount > 0 and amount <> 'NaN'),
    add constraint refund_status_is_known check (status in (
        'CREATED', 'PENDING', 'SUCCEEDED', 'FAILED', 'CANCELED', 'RECONCILING')),
    add constraint refund_reason_is_known check (reason in (
        'REQUESTED_BY_CUSTOMER', 'DUPLICATE', 'FRAUDULENT', 'OTHER')),
    add constraint refund_divides_once_accepted check (
        (accepted_at is null or net is not null)
        and (net is null or net + fee + tax <= amount and net >= 0 and fee >= 0 and tax >= 0
            and from_reserve between 0 and net and taken_from in ('pending', 'available'))),
    add constraint refund_reference_is_unique unique (provider, provider_reference),
    add constraint refund_currency_is_declared foreign key (currency) references ledger.asset (code);
create index refunds_of_payment on public.refunds (payment_id, id);
create index refunds_of_creator on public.refunds (creator_id, id);
create index refunds_to_look_up on public.refunds (calling_until) where calling_until is not null;

alter table public.disputes
    add constraint dispute_amount_is_positive check (amount > 0 and amount <> 'NaN'),
    add constraint dispute_status_is_known check (status in ('NEEDS_RESPONSE', 'UNDER_REVIEW', 'LOST', 'WON')),
    add constraint dispute_divides_once_taken check (
        (taken_at is null) = (net is null)
        and (taken_at is null or net >= 0 and fee >= 0 and tax >= 0 and from_reserve between 0 and net
            and taken_from in ('pending', 'available') and withdrawn is not null)),
    add constraint dispute_reference_is_unique unique (provider, provider_reference),
    add constraint dispute_currency_is_declared foreign key (currency) references ledger.asset (code);
create index disputes_of_payment on public.disputes (payment_id, id);
create index disputes_of_creator on public.disputes (creator_id, id);
create index disputes_to_answer on public.disputes (calling_until) where calling_until is not null;
create index disputes_open on public.disputes (creator_id) where status in ('NEEDS_RESPONSE', 'UNDER_REVIEW');

alter table public.payment_methods
    add constraint method_reference_is_unique unique (provider, provider_reference),
    add constraint method_last_four_is_four check (last_four ~ '^[0-9]{4}$'),
    add constraint method_expiry_is_a_month check (expires_month between 1 and 12);
create index methods_of_user on public.payment_methods (user_id, id);
create index methods_to_finish on public.payment_methods (calling_until) where calling_until is not null;

alter table public.payout_accounts
    add constraint payout_account_is_a_creators foreign key (creator_id) references public.creators (id),
    add constraint payout_account_reference_is_unique unique (provider, provider_reference),
    add constraint payout_country_is_a_code check (country ~ '^[A-Z]{2}$'),
    add constraint ready_only_when_opened check (not ready or provider_reference is not null);
create index payout_accounts_to_finish on public.payout_accounts (calling_until) where calling_until is not null;

alter table public.payout_schedules
    add constraint one_schedule_per_creator_and_currency unique (creator_id, currency),
    add constraint payout_interval_is_known check (interval in ('MANUAL', 'DAILY', 'WEEKLY', 'MONTHLY')),
    add constraint payout_day_fits_the_interval check (
        case interval
            when 'WEEKLY' then coalesce(day between 1 and 7, false)
            when 'MONTHLY' then coalesce(day between 1 and 28, false)
            else day is null
        end),
    add constraint payout_minimum_not_negative check (minimum >= 0 and minimum <> 'NaN'),
    add constraint schedule_currency_is_declared foreign key (currency) references ledger.asset (code);
create index payout_schedules_due on public.payout_schedules (next_at) where next_at is not null;

alter table public.payouts
    add constraint payout_amount_is_positive check (amount > 0 and amount <> 'NaN'),
    add constraint payout_status_is_known check (status in (
        'REQUESTED', 'ON_HOLD', 'TRANSFERRED', 'IN_TRANSIT', 'PAID', 'FAILED', 'CANCELED', 'RECONCILING')),
    add constraint payout_step_is_known check (step in ('TRANSFER', 'PAYOUT', 'REVERSE')),
    add constraint payout_origin_is_known check (origin in ('REQUESTED', 'SCHEDULED')),
    add constraint payout_reference_is_unique unique (provider, provider_reference),
    add constraint transfer_reference_is_unique unique (provider, transfer_reference),
    add constraint payout_currency_is_declared foreign key (currency) references ledger.asset (code);
create index payouts_of_creator on public.payouts (creator_id, id);
create index payouts_on_hold on public.payouts (creator_id) where status = 'ON_HOLD';
create index payouts_unfinished on public.payouts (created_at) where status not in ('PAID', 'FAILED', 'CANCELED');
create index payouts_to_advance on public.payouts (calling_until) where calling_until is not null;

alter table public.payout_events
    add constraint payout_event_number_is_unique unique (payout_id, sequence),
    add constraint payout_event_number_is_positive check (sequence > 0);
create trigger payout_events_only_grow before update or delete on public.payout_events
    for each row execute function public.refuse_change();
create trigger payout_events_stay before truncate on public.payout_events
    for each statement execute function public.refuse_change();

alter table public.reconciliations
    add constraint reconciliation_counts_are_sound check (
        entries >= 0 and differences >= 0 and mended between 0 and differences);

-- What operators and metrics read. What is PENDING is found by when it is due: an index more would be paid for by
-- every webhook.
create index inbox_dead on public.inbox_events (id) where state = 'DEAD';

grant select, insert on public.refunds, public.disputes, public.payment_methods, public.payout_accounts,
    public.payout_schedules, public.payouts, public.payout_events, public.reconciliations to comptoir_app;
grant update on public.refunds, public.disputes, public.payment_methods, public.payout_accounts,
    public.payout_schedules, public.payouts to comptoir_app;
grant usage on all sequences in schema public to comptoir_app;
