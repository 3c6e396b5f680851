-- The truth about an object, by its own id or by ours: the object first; of a payment also its charge, its
-- refunds and its disputes, the oldest first.

create function sandbox.look_up(subject text, given_id text, given_reference uuid)
returns table (kind text, object json)
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
    payment sandbox.payment;
begin
    case subject
        when 'PAYMENT' then
            select * into payment from sandbox.payment as stored
             where stored.id = given_id or stored.reference = given_reference;
            if not found then
                return;
            end if;
            return query
            select 'payment', sandbox.payment_object(payment);
            return query
            select 'charge', sandbox.charge_object(payment, entry)
              from sandbox.balance_transaction as entry where entry.id = 'txn_' || substr(payment.id, 5);
            return query
            select 'refund', sandbox.refund_object(payment, refund) from sandbox.refund
             where refund.payment_id = payment.id order by refund.created_at, refund.id;
            return query
            select 'dispute', sandbox.dispute_object(payment, dispute) from sandbox.dispute
             where dispute.payment_id = payment.id order by dispute.created_at, dispute.id;
        when 'REFUND' then
            return query
            select 'refund', sandbox.refund_object(stored, refund)
              from sandbox.refund join sandbox.payment as stored on stored.id = refund.payment_id
             where refund.id = given_id or refund.reference = given_reference;
        when 'DISPUTE' then
            return query
            select 'dispute', sandbox.dispute_object(stored, dispute)
              from sandbox.dispute join sandbox.payment as stored on stored.id = dispute.payment_id
             where dispute.id = given_id;
        when 'ACCOUNT' then
            return query
            select 'account', sandbox.account_object(account) from sandbox.account
             where account.id = given_id or account.creator = given_reference;
        when 'TRANSFER' then
            return query
            select 'transfer', sandbox.transfer_object(transfer) from sandbox.transfer
             where transfer.id = given_id or transfer.reference = given_reference;
        when 'PAYOUT' then
            return query
            select 'payout', sandbox.payout_object(payout) from sandbox.payout
             where payout.id = given_id or payout.reference = given_reference;
    end case;
end
$$;
