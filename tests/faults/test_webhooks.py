"""Every fault that webhooks have to survive, and which test of this folder shows that they do.

Each plays its fault over real HTTP against a real server, asserts what was settled and what was not, and has the
ledger proved afterwards.

| what goes wrong | who shows it |
|---|---|
| an event a hundred times at once | `test_database.py::test_event_sent_a_hundred_times_at_once_is_stored_and_settled_once` |
| every permutation of each flow | `test_webhooks_order.py::test_every_permutation_of_a_flow_ends_the_same` |
| two event ids for one fact | `test_database.py::test_two_events_of_one_fact_settle_it_once` |
| a replay after the tolerance | `test_webhooks_receipt.py::test_replay_after_the_tolerance_is_refused_though_it_was_taken_before` |
| a forged body | `test_webhooks_receipt.py::test_webhook_that_cannot_be_believed_leaves_no_trace_and_the_real_one_settles[forged body]` |
| a wrong secret | `test_webhooks_receipt.py::test_webhook_that_cannot_be_believed_leaves_no_trace_and_the_real_one_settles[wrong secret]` |
| no id | `test_webhooks_receipt.py::test_webhook_that_cannot_be_believed_leaves_no_trace_and_the_real_one_settles[webhook-id missing]` |
| no timestamp | `test_webhooks_receipt.py::test_webhook_that_cannot_be_believed_leaves_no_trace_and_the_real_one_settles[webhook-timestamp missing]` |
| no signature | `test_webhooks_receipt.py::test_webhook_that_cannot_be_believed_leaves_no_trace_and_the_real_one_settles[webhook-signature missing]` |
| a signature that is not ASCII | `test_webhooks_receipt.py::test_webhook_that_cannot_be_believed_leaves_no_trace_and_the_real_one_settles[signature not ASCII]` |
| 10,000 signatures in one header | `test_webhooks_receipt.py::test_of_ten_thousand_signatures_in_one_header_only_the_first_are_looked_at` |
| a signed body that is not UTF-8 | `test_webhooks_receipt.py::test_webhook_that_cannot_be_believed_leaves_no_trace_and_the_real_one_settles[body not UTF-8]` |
| a signed `[]` | `test_webhooks_receipt.py::test_webhook_that_cannot_be_believed_leaves_no_trace_and_the_real_one_settles[signed empty list]` |
| a timestamp in the future | `test_webhooks_receipt.py::test_webhook_that_cannot_be_believed_leaves_no_trace_and_the_real_one_settles[timestamp in the future]` |
| a secret that is rotated, the old one taken away | `test_webhooks_receipt.py::test_secret_is_rotated_without_a_gap_and_the_old_one_is_worth_nothing_once_it_is_gone` |
| a valid body of 1 MiB | `test_webhooks_receipt.py::test_valid_event_of_exactly_one_mebibyte_is_settled_and_one_byte_more_is_too_large` |
| a body over the cap, judged before it is read | `test_webhooks_receipt.py::test_body_over_the_cap_is_answered_before_it_is_sent` |
| slow bodies | `test_webhooks_receipt.py::test_slow_bodies_hold_up_nobody_and_are_taken_when_they_are_complete` |
| an event of the other mode, live or test | `test_webhooks_receipt.py::test_webhook_that_cannot_be_believed_leaves_no_trace_and_the_real_one_settles[event of the other mode]` |
| a burst of 5,000 | `test_webhooks_outage.py::test_burst_of_five_thousand_events_is_settled_with_none_lost` |
| the database down at receipt | `test_database.py::test_webhook_is_answered_503_while_the_database_is_away_and_settled_when_sent_again` |
| the database down midway through receipt | `test_webhooks_outage.py::test_database_that_goes_away_while_webhooks_are_being_stored_stores_none_of_them` |
| the database down midway through settling | `test_webhooks_outage.py::test_database_that_goes_away_while_events_are_being_settled_leaves_nothing_half_done` |
| kill -9 after the receipt's commit | `test_kill.py::test_web_killed_settles_once[webhook stored, not answered]` |
| kill -9 after the settlement's commit | `test_kill.py::test_worker_killed_settles_once[webhook settled and committed]` |
| kill -9 inside processing | `test_kill.py::test_worker_killed_settles_once[webhook claimed, not settled]` |
| and further inside | `test_kill.py::test_worker_killed_settles_once[facts folded, not written]` |
| and further | `test_kill.py::test_worker_killed_settles_once[status written, webhook not marked]` |
| and further | `test_kill.py::test_worker_killed_settles_once[webhook marked, ledger not posted]` |
| and at its very end | `test_kill.py::test_worker_killed_settles_once[ledger posted, not committed]` |
| kill -9 anywhere while an event is looked up | `test_look_ups.py::test_worker_killed_while_it_looks_up_settles_once` |
| events that have to be looked up, in any order and twice | `test_look_ups.py::test_payments_that_are_looked_up_end_as_they_would_if_told` |
| and of refunds and disputes | `test_look_ups.py::test_money_going_back_that_is_looked_up_ends_as_it_would_if_told` |
| Redis down | `test_two_webs.py::test_while_redis_is_away_payments_go_on_and_watchers_get_everything_once_it_is_back` |
| an event before our own create call has returned | `test_database.py::test_event_that_arrives_before_our_own_call_has_returned_is_settled` |
| the API's answer and the webhook at once | `test_webhooks_order.py::test_api_answer_and_webhook_at_once_settle_once` |
| a poison event among good ones | `test_database.py::test_poisonous_events_are_set_aside_and_the_batch_is_settled` |
| an event that fails for ever | `test_database.py::test_event_that_fails_for_ever_is_dead_after_twenty_attempts` |
| an endpoint silent for three days | `test_webhooks_outage.py::test_endpoint_that_was_silent_for_three_days_is_healed_by_looking_up_and_by_replay` |
| a refund that fails later | `test_webhooks_returns.py::test_refund_that_fails_later_gives_everybody_back_what_they_had` |
| every permutation of refunds and disputes | `test_webhooks_returns.py::test_every_permutation_of_money_going_back_ends_the_same` |
| two states of one instant | `test_webhooks_order.py::test_two_states_of_one_instant_are_looked_up_at_the_provider` |
"""

import asyncio
import os
import re
import sys
from pathlib import Path
from typing import Final

from app.settings import CHECKOUT

_FOLDER: Final = Path(__file__).parent
_ROW: Final = re.compile(r"^\| .+ \| `(?P<test>[\w.]+::.+)` \|$", re.MULTILINE)


async def test_every_fault_has_a_test_that_is_run() -> None:
    assert __doc__ is not None
    named = [str(_FOLDER.relative_to(CHECKOUT) / row["test"]) for row in _ROW.finditer(__doc__)]
    assert len(named) == len(set(named)) == __doc__.count("::") > 30
    files = sorted({one.split("::")[0] for one in named})

    collecting = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", *files),
        cwd=CHECKOUT,
        # Where there is no Redis, what needs one is not run here; that it is there can be told all the same.
        env=os.environ | {"REDIS_URL": os.environ.get("REDIS_URL", "redis://127.0.0.1/0")},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await collecting.communicate()
    collected = out.decode().splitlines()
    cases = {line.split("[")[0] for line in collected}

    assert collecting.returncode == 0
    assert [one for one in named if one not in collected and one not in cases] == []
