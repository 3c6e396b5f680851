\set n :n + 1
\set id 1008000000000000000 + :n * 64000 + :client_id * 1000
\set debit random(1, :accounts)
\set credit 1 + (:debit + random(0, :accounts - 2)) % :accounts
with asked as (
    insert into request values (:prefix || :id, :n)
), moved as (
    update account
    set posted = posted + case id when :debit then -:amount::int else :amount::int end, version = version + 1
    where id in (:debit, :credit)
)
insert into movement (debit, credit, amount) values (:debit, :credit, :amount);
