-- Books as the first migration left them: a tip of 1.00 captured, collected and matured, and a payout that was refused.
-- The hashes are those that were stored then, for groups of exactly these movements.

insert into ledger.account (
    id, asset_id, owner, provider, kind, code, posted, guarded, version, lock_rank, posted_at
) overriding system value
values
    (1, 840, '01943665-a800-7000-8000-00000000000a', null, 'available',
        'creator:01943665-a800-7000-8000-00000000000a:available:USD', 80, true, 1, 0, '2025-01-05 12:00:03+00'),
    (2, 840, '01943665-a800-7000-8000-00000000000a', null, 'pending',
        'creator:01943665-a800-7000-8000-00000000000a:pending:USD', 0, true, 3, 0, '2025-01-05 12:00:03+00'),
    (3, 840, '01943665-a800-7000-8000-00000000000a', null, 'reserve',
        'creator:01943665-a800-7000-8000-00000000000a:reserve:USD', 5, true, 1, 0, '2025-01-05 12:00:03+00'),
    (4, 840, null, null, 'fees', 'platform:fees:USD', 10, false, 1, 10, '2025-01-05 12:00:01+00'),
    (5, 840, null, null, 'provider_fees', 'platform:provider_fees:USD', -3, false, 1, 10, '2025-01-05 12:00:02+00'),
    (6, 840, null, null, 'tax_payable', 'platform:tax_payable:USD', 5, false, 1, 10, '2025-01-05 12:00:01+00'),
    (7, 840, null, 'sandbox', 'balance', 'sandbox:balance:USD', -97, false, 2, 20, '2025-01-05 12:00:02+00'),
    (8, 840, null, 'sandbox', 'clearing', 'sandbox:clearing:USD', 0, false, 4, 20, '2025-01-05 12:00:02+00');
select setval('ledger.account_id_seq', 8);

insert into ledger.request (tenant, key, body_hash, group_id, outcome, account, missing, movements, decided_at)
values
    ('platform', 'capture:01943665-a800-7000-8000-00000000000b',
        '\x118a284ee4342dafa778b2c45477ed96a468d438249f755b99b6e8695d29d3a5',
        '01943656-1a00-7000-8000-000000000001', 'posted', null, null, 3, '2025-01-05 12:00:01+00'),
    ('platform', 'charge:sandbox:txn_1',
        '\x21a0c42e83194e8b625d4bac6d01cbcae2dc744608fcc0758cece94ab2d2d17d',
        '01943656-1a00-7000-8000-000000000002', 'posted', null, null, 2, '2025-01-05 12:00:02+00'),
    ('platform', 'earning:01943665-a800-7000-8000-00000000000b',
        '\xe3618f998102177fbacc60b0b8fc4f2bc6bac72e967b9c62d3c899e614921db6',
        '01943656-1a00-7000-8000-000000000003', 'posted', null, null, 2, '2025-01-05 12:00:03+00'),
    ('platform', 'payout:1',
        '\xef901a705f642b57e36db562ac103d0f4bb7ed94b161020bf99e91a2c1845153',
        '01943656-1a00-7000-8000-000000000004', 'insufficient_funds', 1, 920, 0, '2025-01-05 12:00:04+00');

insert into ledger.movement (
    id, group_id, asset_id, kind, debit, credit, amount, reference,
    debit_after, credit_after, debit_version, credit_version, posted_at, effective_at
)
values
    ('01943656-1a00-7000-8000-000000000011', '01943656-1a00-7000-8000-000000000001', 840, 'capture.net', 8, 2, 85,
        '01943665-a800-7000-8000-00000000000b', -85, 85, 1, 1, '2025-01-05 12:00:01+00', '2025-01-05 12:00:00+00'),
    ('01943656-1a00-7000-8000-000000000012', '01943656-1a00-7000-8000-000000000001', 840, 'capture.fee', 8, 4, 10,
        '01943665-a800-7000-8000-00000000000b', -95, 10, 2, 1, '2025-01-05 12:00:01+00', '2025-01-05 12:00:00+00'),
    ('01943656-1a00-7000-8000-000000000013', '01943656-1a00-7000-8000-000000000001', 840, 'capture.tax', 8, 6, 5,
        '01943665-a800-7000-8000-00000000000b', -100, 5, 3, 1, '2025-01-05 12:00:01+00', '2025-01-05 12:00:00+00'),
    ('01943656-1a00-7000-8000-000000000014', '01943656-1a00-7000-8000-000000000002', 840, 'charge.gross', 7, 8, 100,
        null, -100, 0, 1, 4, '2025-01-05 12:00:02+00', '2025-01-05 12:00:02+00'),
    ('01943656-1a00-7000-8000-000000000015', '01943656-1a00-7000-8000-000000000002', 840, 'charge.provider_fee', 5, 7,
        3, null, -3, -97, 1, 2, '2025-01-05 12:00:02+00', '2025-01-05 12:00:02+00'),
    ('01943656-1a00-7000-8000-000000000016', '01943656-1a00-7000-8000-000000000003', 840, 'earning.available', 2, 1, 80,
        '01943665-a800-7000-8000-00000000000b', 5, 80, 2, 1, '2025-01-05 12:00:03+00', '2025-01-05 12:00:03+00'),
    ('01943656-1a00-7000-8000-000000000017', '01943656-1a00-7000-8000-000000000003', 840, 'earning.reserve', 2, 3, 5,
        '01943665-a800-7000-8000-00000000000b', 0, 5, 3, 1, '2025-01-05 12:00:03+00', '2025-01-05 12:00:03+00');

-- The functions of that time, by which they are known: what they did is above.
create function ledger.post(
    for_tenant text, keys text[], hashes bytea[], group_ids uuid[], effective_times timestamptz[], sizes int[],
    movement_ids uuid[], debits bigint[], credits bigint[], amounts numeric[], movement_kinds text[],
    movement_references uuid[]
) returns table (
    group_id uuid, replayed boolean, outcome text, account bigint, missing numeric, decided_at timestamptz
) language sql security definer set search_path = ledger, pg_temp
as 'select null::uuid, null::boolean, null, null::bigint, null::numeric, null::timestamptz';

create function ledger.open_accounts(
    codes text[], assets text[], owners uuid[], providers text[], kinds text[], guards boolean[], lock_ranks smallint[]
) returns table (id bigint, known boolean) language sql security definer set search_path = ledger, pg_temp
as 'select null::bigint, null::boolean';

revoke execute on function ledger.post, ledger.open_accounts from public;
grant execute on function ledger.post, ledger.open_accounts to comptoir_app;
