\set n :n + 1
\set id 1008000000000000000 + :n * 64000 + :client_id * 1000
with drawn as materialized (
    select
        number, 1 + floor(random() * :accounts::int)::int as debit, floor(random() * (:accounts::int - 1))::int as away
    from generate_series(1, :size::int) as number
), transfer as materialized (
    select number, debit, 1 + (debit + away) % :accounts::int as credit
    from drawn
), asked as (
    insert into request select :prefix || (:id::bigint + number), :n from transfer
), moved as (
    insert into movement (debit, credit, amount) select debit, credit, :amount::int from transfer
), total as materialized (
    select id, sum(amount) as amount, count(*) as legs
    from (
        select debit as id, -:amount::int as amount from transfer
        union all
        select credit, :amount::int from transfer
    ) as leg
    group by id
), locked as materialized (
    -- In one order, before any of them is changed: no circle of waiting.
    select id from account where id in (select id from total) order by id for no key update
)
update account
set posted = posted + total.amount, version = version + total.legs
from locked
join total using (id)
where account.id = locked.id;
