-- What is due by the sandbox's clock is done, the earliest first, and so is what follows from it and is due too.
-- One worker at a time does it, so that no two wait for each other's locks in a circle: whoever delivers tries
-- (``patient`` false) and leaves it to the other. Returns how much was done, ``most`` at the most.

create function sandbox.settle_due(most integer, patient boolean default true) returns integer
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    turn constant bigint := 5127340094;
    moment constant timestamptz := sandbox.now();
    item sandbox.agenda;
begin
    if not exists (select from sandbox.agenda where done_at is null and due_at <= moment) then
        return 0;
    end if;
    if patient then
        perform pg_advisory_xact_lock(turn);
    elsif not pg_try_advisory_xact_lock(turn) then
        return 0;
    end if;
    -- Whoever takes a fault holds it to the end of their transaction, and so must not wait for a second object.
    if (select armed from sandbox.clock) then
        most := 1;
    end if;
    for number in 1 .. most loop
        select * into item from sandbox.agenda
         where done_at is null and due_at <= moment order by due_at, seq limit 1;
        if not found then
            return number - 1;
        end if;
        update sandbox.agenda set done_at = moment where seq = item.seq;
        case item.action
            when 'SETTLE_PAYMENT' then perform sandbox.settle_payment(item.object_id);
            when 'EXPIRE_PAYMENT' then perform sandbox.expire_payment(item.object_id, false);
            when 'SUCCEED_REFUND' then perform sandbox.move_refund(item.object_id, 'SUCCEEDED');
            when 'FAIL_REFUND' then perform sandbox.move_refund(item.object_id, 'FAILED');
            when 'OPEN_DISPUTE' then
                perform sandbox.open_dispute(
                    item.object_id, null, null, item.input ->> 'outcome', (item.input ->> 'delay')::interval);
            when 'EXPIRE_DISPUTE' then
                perform sandbox.close_dispute(item.object_id, 'LOST', item.due_at, 'NEEDS_RESPONSE');
            when 'CLOSE_DISPUTE' then
                perform sandbox.close_dispute(
                    item.object_id, item.input ->> 'state', item.due_at, item.input ->> 'from');
            when 'READY_ACCOUNT' then perform sandbox.set_account_ready(item.object_id, true);
            when 'SEND_PAYOUT' then
                perform sandbox.move_payout(item.object_id, 'IN_TRANSIT', item.due_at, item.input ->> 'from');
            when 'PAY_PAYOUT' then
                perform sandbox.move_payout(item.object_id, 'PAID', item.due_at, item.input ->> 'from');
            when 'FAIL_PAYOUT' then
                perform sandbox.move_payout(item.object_id, 'FAILED', item.due_at, item.input ->> 'from');
            when 'RELEASE_EVENT' then
                update sandbox.event set fate = null, next_attempt_at = clock_timestamp()
                 where id = item.object_id and fate = 'DELAYED';
        end case;
    end loop;
    return most;
end
$$;
