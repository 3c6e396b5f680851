"""Mutants of the ledger's functions: each is one change of the text of one of them, and each has to be found out.

``old`` stands exactly once in the function as the database has it, however it is broken into lines. ``seen_by`` is the scenario that is likely to see it,
which is played first; the others follow if it does not.
"""

from typing import Final, NamedTuple


class Mutant(NamedTuple):
    title: str
    old: str
    new: str
    seen_by: str = ""


LOCK: Final = "for no key update"
ORDER: Final = "order by lock_rank, id"

POSTING: Final[dict[str, tuple[Mutant, ...]]] = {
    "transfer": (
        Mutant("posts in any isolation", "<> 'read committed'", "= 'none'", "time"),
        Mutant("tenants share their keys", "tenant = for_tenant and key = the_key", "key = the_key", "keys"),
        Mutant("any body is the same", "replayed := stored.body_hash = the_hash", "replayed := true", "keys"),
        Mutant("one stripe for all", "pg_backend_pid() % 16", "0"),
        Mutant("locks in order of id", ORDER, "order by id", "order_of_locks"),
        Mutant("locks backwards", ORDER, "order by lock_rank, id desc", "order_of_locks"),
        Mutant("does not lock", LOCK, "", "one_after_the_other"),
        Mutant("takes nothing", "amount <= 0", "amount < 0", "past_the_checks"),
        Mutant("takes fractions", "when amount <> trunc(amount) then 'amount_not_whole'", "", "past_the_checks"),
        Mutant("takes 39 digits", "when amount >= too_large then 'amount_too_large'", "", "past_the_checks"),
        Mutant("takes no kind", " or movement_kind is null", "", "past_the_checks"),
        Mutant("pays itself", "when debit_account = credit_account then 'same_account'", ""),
        Mutant("mixes assets", "if debit.asset_id <> credit.asset_id then", "if false then"),
        Mutant("clock of the transaction", "clock_timestamp()", "now()", "time"),
        Mutant(
            "clock only",
            "greatest(clock_timestamp(), debit.posted_at, credit.posted_at)",
            "clock_timestamp()",
            "time",
        ),
        Mutant("credit's past is forgotten", ", credit.posted_at)", ")", "time"),
        Mutant("pays out of a closed account", "debit.state = 'closed' or ", ""),
        Mutant("pays into a closed account", "or credit.state = 'closed'", ""),
        Mutant("guards nothing", "debit_after < debit.least", "false"),
        Mutant("guards one too much", "debit_after < debit.least", "debit_after <= debit.least"),
        Mutant("forgets what is held", "then held_out - credit_limit end", "then -credit_limit end"),
        Mutant("forgets the limit", "then held_out - credit_limit end", "then held_out end"),
        Mutant("debits of 39 digits", "debit_after <= -too_large or ", ""),
        Mutant("credits of 39 digits", "or credit_after >= too_large", ""),
        Mutant(
            "overwrites the answer",
            "on conflict on constraint one_outcome_per_key do nothing",
            "",
            "one_key_twice",
        ),
        Mutant("posts what is answered", "exit when found", "exit", "one_key_twice"),
        Mutant("answers a refusal with a movement", "case outcome when 'posted' then 1 else 0 end", "1"),
        Mutant("skips a version", "debit.version + 1", "debit.version + 2"),
        Mutant("repeats a version", "credit.version + 1", "credit.version"),
        Mutant("effective when posted", "coalesce(effective_time, decided_at)", "decided_at"),
        Mutant("debits twice", "then debit_after else credit_after end", "then debit_after else debit_after end"),
        Mutant("leaves the account's moment", "posted_at = decided_at\n", "posted_at = posted_at\n", "verified"),
        Mutant("writes the debit only", "where id in (debit_row, credit_row)", "where id = debit_row"),
    ),
    "post": (
        Mutant("posts in any isolation", "<> 'read committed'", "= 'none'", "time"),
        Mutant("one stripe for all", "pg_backend_pid() % 16", "0"),
        Mutant("locks in order of id", ORDER, "order by id", "order_of_locks"),
        Mutant("locks backwards", ORDER, "order by lock_rank, id desc", "order_of_locks"),
        Mutant("does not lock", LOCK, "", "order_of_locks"),
        Mutant("clock of the transaction", "clock_timestamp()", "now()", "time"),
        Mutant("clock only", "greatest(clock_timestamp(), max(posted_at))", "clock_timestamp()", "time"),
        Mutant("guards nothing", "(least is null or side = 2 or balance >= least)", "true"),
        Mutant("forgets what is held", "then held_out - credit_limit end", "then -credit_limit end"),
        Mutant("forgets who is closed", " and not closed", ""),
        Mutant("pays itself", "where debit = credit", "where false"),
        Mutant("mixes assets", "sides.assets[:operation_count] = sides.assets[operation_count + 1:]", "true"),
        Mutant(
            "takes less than nothing",
            "case side when 1 then change < 0 else change > 0 end",
            "true",
            "past_the_checks",
        ),
        Mutant("takes fractions", "change = trunc(change)", "true", "past_the_checks"),
        Mutant("takes 39 digits", "and change > -too_large and change < too_large", "", "past_the_checks"),
        Mutant("balances of 39 digits", "and balance > -too_large and balance < too_large", ""),
        Mutant("pays whom nobody knows", " and count(row) = 2 * operation_count", ""),
        Mutant("repeats a version", "+ row_number() over line - 1", "+ row_number() over line - 2"),
        Mutant("debits before credits", "order by number, side rows", "order by side, number rows", "reversals"),
        Mutant("keys in any order", "order by key;", ";", "order_of_keys"),
        Mutant("fails on a known key", "unique_violation or ", "", "keys"),
        Mutant("effective when posted", "coalesce(effective_at, moment)", "moment"),
        Mutant("a movement for each group", "if group_count = operation_count then", "if true then"),
        Mutant("does not count movements", "'posted', size, moment", "'posted', 1, moment", "verified"),
        Mutant("leaves the account's moment", ", posted_at = moment", "", "verified"),
        Mutant(
            "forgets empty groups", "operations is null and smallest > 0", "operations is null", "past_the_checks"
        ),
    ),
}
