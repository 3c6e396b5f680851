\set n :n + 1
\set id 1008000000000000000 + :n * 64000 + :client_id * 1000
\set away random(0, :accounts - 2)
\set debit random(0, :accounts - 1)
\set credit :first + (:debit + 1 + :away) % :accounts
\set debit :first + :debit
select * from ledger.transfer(
    for_tenant => 'platform',
    the_key => :prefix || :id,
    the_hash => :hash,
    the_group => (:prefix || :id)::uuid,
    effective_time => null,
    the_movement => (:prefix || :id)::uuid,
    debit_account => :debit::bigint,
    credit_account => :credit::bigint,
    amount => :amount::numeric,
    movement_kind => 'bench.transfer',
    movement_reference => null
);
