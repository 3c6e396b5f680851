-- A hold is the fold of its entries, which never take more out of it than was put in; it ends once, with the last of
-- them; and what was captured moved between its accounts, in time.
with history as (
    select
        *,
        row_number() over line as expected_number,
        lag(at) over line as at_before,
        lag(group_id) over line as group_before,
        lag(event) over line as event_before,
        sum(amount) filter (where event in ('placed', 'incremented')) over line as placed,
        coalesce(sum(amount) filter (where event = 'captured') over line, 0) as captured,
        coalesce(sum(amount) filter (where event in ('released', 'expired')) over line, 0) as released,
        lead(number) over line is null as is_last
    from ledger.hold_entry
    window line as (partition by hold_id order by number rows unbounded preceding)
), judged as (
    select hold_id, number, case
        when hold.id is null then 'of no hold'
        when number <> expected_number then 'out of line'
        when (event = 'placed') <> (number = 1) then 'placed once, at first'
        when number = 1 and (entry.group_id, at) is distinct from (hold.group_id, placed_at) then 'not as it was placed'
        when at < at_before then 'earlier than the one before it'
        when entry.captured + entry.released > placed then 'more than was left'
        when entry.captured + entry.released = placed and not is_last then 'not the last, though nothing was left'
        when event in ('placed', 'incremented', 'captured') and at >= expires_at then event || ' after it expired'
        when event = 'expired' and (expires_at is null or at < expires_at) then 'before it expired'
        when event = 'captured' and (
            movement.group_id, movement.asset_id, movement.debit, movement.credit, movement.amount, movement.posted_at
        ) is distinct from (
            entry.group_id, hold.asset_id, hold.debit, hold.credit, entry.amount, at
        ) then 'captured, but that is not what its movement moved'
    end as problem
    from history as entry
    left join ledger.hold on hold.id = hold_id
    left join ledger.movement on movement.id = movement_id
)
select format('hold %s, entry %s: %s', hold_id, number, problem) as detail
from judged
where problem is not null
union all
select format(
    'hold %s: %s of %s captured and %s released, but by its %s entries %s of %s and %s',
    hold.id, hold.captured, hold.amount, hold.released, coalesce(number, 0), latest.captured, placed, latest.released
)
from ledger.hold
left join history as latest on latest.hold_id = hold.id and is_last
where (hold.amount, hold.captured, hold.released, entries)
    is distinct from (placed, latest.captured, latest.released, number)
union all
select format('hold %s: %s at %s, after it was %s at %s', hold.id, coalesce(ending, 'open'), ended_at, event, at)
from ledger.hold
join history as latest on latest.hold_id = hold.id and is_last
where (ended_at, ending) is distinct from (
    case when latest.captured + latest.released = placed then at end,
    case
        when latest.captured + latest.released < placed then null
        -- The last capture releases the rest with it.
        when event = 'released' and ending = 'captured' and event_before = 'captured' and group_before = latest.group_id
            then 'captured'
        else event
    end
)
union all
select format('movement %s: captured %s times', movement_id, count(*))
from ledger.hold_entry
where movement_id is not null
group by movement_id
having count(*) > 1
order by detail
limit 20
