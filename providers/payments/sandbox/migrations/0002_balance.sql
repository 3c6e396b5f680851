-- The sandbox's books of our balance with it: a line for everything that moved money.

create table sandbox.balance_transaction (
    seq          bigint      generated always as identity,
    id           text        not null constraint balance_transaction_id_unique primary key,
    kind         text        not null,
    subject      text        not null,
    object_id    text        not null,
    amount       bigint      not null,
    fee          bigint      not null,
    currency     text        not null,
    at           timestamptz not null,
    available_on timestamptz not null,
    constraint kind_known check (kind in (
        'CHARGE', 'REFUND', 'REFUND_RETURNED', 'DISPUTE_WITHDRAWN', 'DISPUTE_WON', 'TRANSFER', 'TRANSFER_REVERSED')),
    constraint subject_known check (subject in ('PAYMENT', 'TRANSFER')),
    constraint sign_of_kind check ((amount > 0) =
        (kind in ('CHARGE', 'REFUND_RETURNED', 'DISPUTE_WON', 'TRANSFER_REVERSED')) and amount <> 0)
);

create index balance_transaction_at on sandbox.balance_transaction (at, seq);

-- What was charged before there were such books.
insert into sandbox.balance_transaction
    (id, kind, subject, object_id, amount, fee, currency, at, available_on)
select format('txn_%s', substr(id, 5)), 'CHARGE', 'PAYMENT', id, captured,
       least(captured, (captured * 29 + 500) / 1000 + 30), currency, changed_at + interval '1 microsecond', changed_at
  from sandbox.payment
 where captured > 0
 order by changed_at;

create function sandbox.book(
    given_id text, given_kind text, given_subject text, given_object text, given_amount bigint, given_fee bigint,
    given_currency text, given_at timestamptz
) returns text
language sql as $$
    insert into sandbox.balance_transaction
        (id, kind, subject, object_id, amount, fee, currency, at, available_on)
    values (given_id, given_kind, given_subject, given_object, given_amount, given_fee, given_currency, given_at,
            given_at)
    returning id
$$;

create function sandbox.our_balance(given_currency text) returns bigint
language sql stable as $$
    select coalesce(sum(amount - fee), 0)::bigint from sandbox.balance_transaction where currency = given_currency
$$;
