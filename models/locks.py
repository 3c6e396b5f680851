"""The one order in which rows are locked, so that no two transactions can wait for each other.

1. requests (by the unique key's insertion)
2. carts, by id
3. payments, by id (one that is being made is nobody's to wait for yet); whoever holds a payment's lock may write
   its shares, refunds and disputes, and nobody else may
4. orders, by id; whoever holds an order's lock may write its parts, lines, fulfilments, returns and grants
5. products, by id; whoever holds a product's lock may write its variants and their prices
6. stock_levels, by variant and location, with their reservations
7. licence_keys, by id; those of a pool are taken past locked ones
8. usage_counters, by subject and scope
9. order_counter
10. earning_days, by creator, currency, day, source
11. payouts, by id, and payout_accounts, by creator
12. ledger accounts, inside the ledger's own function, last
"""

LOCK_PAYMENTS = """
    select * from payments where id = any($1::uuid[]) order by id for no key update
"""
"""Lock payments in order. Parameters: ids uuid[]."""
