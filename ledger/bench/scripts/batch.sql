\set n :n + 1
\set id 1008000000000000000 + :n * 64000 + :client_id * 1000
with drawn as materialized (
    select
        number, floor(random() * :accounts::int)::int as debit, floor(random() * (:accounts::int - 1))::int as away
    from generate_series(1, :size::int) as number
), asked as (
    select
        array_agg(:prefix || (:id::bigint + number)) as keys,
        array_agg(:hash::bytea) as hashes,
        array_agg((:prefix || (:id::bigint + number))::uuid) as ids,
        array_agg(1) as sizes,
        array_agg(:first::bigint + debit) as debits,
        array_agg(:first::bigint + (debit + 1 + away) % :accounts::int) as credits,
        array_agg(:amount::numeric) as amounts,
        array_agg('bench.transfer'::text) as kinds,
        array_agg(null::uuid) as movement_references
    from drawn
)
-- Divides by zero, and so fails, unless every one of them was posted.
select 1 / (posted.outcomes is null)::int as sound, posted.*
from asked
cross join lateral ledger.post(
    'platform', keys, hashes, ids, null, sizes, ids, debits, credits, amounts, kinds, movement_references,
    null, null, null, null, null
) as posted;
