"""The one order in which rows are locked, so that no two transactions can wait for each other.

1. requests (by the unique key's insertion)
2. payments, by id (one that is being made is nobody's to wait for yet); whoever holds a payment's lock may write
   its refunds and disputes, and nobody else may
3. products, by id
4. purchases, by payment id
5. earning_days, by creator, currency, day, source
6. payouts, by id, and payout_accounts, by creator
7. ledger accounts, inside the ledger's own function, last
"""

LOCK_PAYMENTS = """
    select * from payments where id = any($1::uuid[]) order by id for no key update
"""
"""Lock payments in order. Parameters: ids uuid[]."""
