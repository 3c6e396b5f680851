-- What will happen by itself, by the sandbox's clock. Delivery workers do what is due, in ``settle_due``.

create table sandbox.agenda (
    seq       bigint generated always as identity constraint agenda_seq_unique primary key,
    due_at    timestamptz not null,
    action    text        not null,
    object_id text        not null,
    input     jsonb,
    done_at   timestamptz,
    constraint action_known check (action in (
        'SETTLE_PAYMENT', 'EXPIRE_PAYMENT', 'SUCCEED_REFUND', 'FAIL_REFUND', 'OPEN_DISPUTE', 'EXPIRE_DISPUTE',
        'CLOSE_DISPUTE', 'READY_ACCOUNT', 'SEND_PAYOUT', 'PAY_PAYOUT', 'FAIL_PAYOUT', 'RELEASE_EVENT'))
);

create index agenda_due on sandbox.agenda (due_at, seq) where done_at is null;

create function sandbox.schedule(given_due_at timestamptz, given_action text, given_object text, given_input jsonb)
returns void
language sql as $$
    insert into sandbox.agenda (due_at, action, object_id, input)
    values (given_due_at, given_action, given_object, given_input)
$$;
