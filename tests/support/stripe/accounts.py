"""Connected accounts: v2 recipients, their onboarding links and payout schedules, and what v1 says of an account."""

from datetime import datetime
from typing import Final

from stripe import AccountService as AccountServiceV1
from stripe import BalanceSettingsService
from stripe.v2.core import AccountLinkService, AccountService, EventService

from .calls import Call, answers
from .refusals import Body, Refused, invalid, malformed
from .store import Store, stamp
from .thin import tell_thin

_COUNTRIES: Final = frozenset(("AT", "BE", "CA", "DE", "ES", "FR", "GB", "IE", "IT", "JP", "NL", "PL", "PT", "US"))
_SHOWN_IF_ASKED: Final = (
    "configuration.customer", "configuration.merchant", "configuration.recipient", "defaults", "future_requirements",
    "identity", "requirements",
)  # fmt: skip
_LINK_LASTS: Final = 600
_CAPABILITY_CHANGED: Final = "v2.core.account[configuration.recipient].capability_status_updated"


def not_found(what: str, reference: str) -> Refused:
    return Refused(f"{what} {reference} was not found.", status=404, code="not_found")


@answers(
    AccountService.create_async,
    "configuration", "contact_email", "dashboard", "defaults", "display_name", "identity", "include", "metadata",
)  # fmt: skip
def create(call: Call) -> Body:
    params, store = call.params, call.store
    country = str(params.get("identity", {}).get("country", "us"))
    if country.upper() not in _COUNTRIES:
        raise invalid(f"Accounts cannot be opened in {country}.", "identity[country]", "country_unsupported")
    if set(params.get("configuration", {})) != {"recipient"}:
        raise malformed("The stand-in opens recipients only.", "configuration", None)
    wanted = params["configuration"]["recipient"].get("capabilities", {}).get("stripe_balance", {})
    restricted = {
        "status": "restricted",
        "status_details": [{"code": "requirements_past_due", "resolution": "provide_info"}],
    }
    account = {
        "id": store.new_id("acct"),
        "object": "v2.core.account",
        "applied_configurations": ["recipient"],
        "closed": False,
        "configuration": {
            "recipient": {
                "applied": True,
                "capabilities": {
                    "stripe_balance": {
                        "stripe_transfers": restricted if "stripe_transfers" in wanted else None,
                        "payouts": {"status": "restricted", "status_details": restricted["status_details"]},
                    }
                },
            }
        },
        "contact_email": params.get("contact_email"),
        "created": stamp(call.now),
        "dashboard": params.get("dashboard", "none"),
        "defaults": {
            "currency": None,
            "responsibilities": {"requirements_collector": "stripe"}
            | params.get("defaults", {}).get("responsibilities", {}),
        },
        "display_name": params.get("display_name"),
        "identity": {"country": country.upper(), "entity_type": None},
        "livemode": False,
        "metadata": params.get("metadata", {}),
        "requirements": {"entries": [_entry("identity.individual.given_name"), _entry("tos_acceptance")]},
    }
    store.add(account, None, interval="daily", include=None)
    tell_thin(store, "v2.core.account.created", account)
    return _shown(store, account, params.get("include", []))


def _entry(description: str) -> Body:
    return {
        "awaiting_action_from": "user",
        "description": description,
        "errors": [],
        "impact": {
            "restricts_capabilities": [
                {
                    "capability": "stripe_balance.stripe_transfers",
                    "configuration": "recipient",
                    "deadline": {"status": "currently_due"},
                }
            ]
        },
        "minimum_deadline": {"status": "currently_due"},
        "reference": None,
        "requested_reasons": [{"code": "routine_onboarding"}],
    }


def make_ready(store: Store, account: Body) -> None:
    """Let a creator give all that was missing."""
    account["requirements"]["entries"] = []
    balance = account["configuration"]["recipient"]["capabilities"]["stripe_balance"]
    for capability in balance.values():
        capability |= {"status": "active", "status_details": []}
    tell_thin(store, "v2.core.account[requirements].updated", account)
    tell_thin(store, _CAPABILITY_CHANGED, account, {"updated_capability": "stripe_balance.stripe_transfers"})


def restrict(store: Store, account: Body, description: str) -> None:
    """Let something be missing again."""
    account["requirements"]["entries"].append(_entry(description))
    detail = {"code": "requirements_past_due", "resolution": "provide_info"}
    for capability in account["configuration"]["recipient"]["capabilities"]["stripe_balance"].values():
        capability |= {"status": "restricted", "status_details": [detail]}
    tell_thin(store, "v2.core.account[requirements].updated", account)
    tell_thin(store, _CAPABILITY_CHANGED, account, {"updated_capability": "stripe_balance.stripe_transfers"})


def is_ready(account: Body) -> bool:
    balance = account["configuration"]["recipient"]["capabilities"]["stripe_balance"]
    return (balance["stripe_transfers"] or {}).get("status") == "active"


def _shown(store: Store, account: Body, include: list[str]) -> Body:
    """Return an account with what was asked for; the rest is told as null."""
    told = store.view(account)
    for name in _SHOWN_IF_ASKED:
        if name not in include and "." not in name and name in told:
            told[name] = None
    if "configuration.recipient" not in include:
        told["configuration"] = None
    return told


@answers(AccountService.retrieve_async, "include")
def retrieve(call: Call) -> Body:
    (reference,) = call.ids
    row = call.store.rows.get(reference)
    if row is None or row.body["object"] != "v2.core.account":
        raise not_found("Account", reference)
    if reference in call.store.revoked:
        raise Refused("The account has revoked your access.", status=403, code="account_invalid")
    return _shown(call.store, row.body, call.params.get("include", []))


@answers(AccountService.list_async, "applied_configurations", "closed", "limit")
def list_accounts(call: Call) -> Body:
    rows = [
        account
        for account in call.store.all("v2.core.account")
        if set(call.params.get("applied_configurations", [])) <= set(account["applied_configurations"])
        and account["closed"] is call.params.get("closed", False)
    ]
    return page_v2(call, [_shown(call.store, account, []) for account in rows])


def page_v2(call: Call, rows: list[Body]) -> Body:
    """Return a page of a v2 list, with the address of the next."""
    limit = min(int(call.params.get("limit", 20)), call.store.settings.longest_page)
    start = int(call.params.get("page", 0))
    more = len(rows) > start + limit
    following = f"{call.path}?limit={limit}&page={start + limit}" if more else None
    return {"data": rows[start : start + limit], "next_page_url": following}


@answers(AccountLinkService.create_async, "account", "use_case")
def create_link(call: Call) -> Body:
    reference = call.params["account"]
    if reference not in call.store.rows:
        raise invalid(f"No such account: {reference}", "account", "not_found")
    use_case = call.params["use_case"]
    return {
        "object": "v2.core.account_link",
        "account": reference,
        "created": stamp(call.now),
        "expires_at": stamp(call.now + _LINK_LASTS),
        "livemode": False,
        "url": f"https://connect.stripe.example/setup/{call.store.new_id('link')}",
        "use_case": use_case,
    }


@answers(EventService.list_async, "created", "limit", "object_id", "types")
def list_thin_events(call: Call) -> Body:
    object_id, types = call.params.get("object_id"), call.params.get("types")
    rows = [
        event
        for event in call.store.all("v2.core.event")
        if (object_id is None or event["related_object"]["id"] == object_id)
        and (types is None or event["type"] in types)
        and _within(event["created"], call.params.get("created", {}))
    ]
    return page_v2(call, rows)


def _within(created: str, wanted: dict[str, str]) -> bool:
    moment = datetime.fromisoformat(created)
    bounds = {name: datetime.fromisoformat(value) for name, value in wanted.items()}
    tests = {"gt": moment.__gt__, "gte": moment.__ge__, "lt": moment.__lt__, "lte": moment.__le__}
    return all(tests[name](bound) for name, bound in bounds.items())


@answers(EventService.retrieve_async)
def retrieve_thin_event(call: Call) -> Body:
    row = call.store.rows.get(call.ids[0])
    if row is None or row.body["object"] != "v2.core.event":
        raise not_found("Event", call.ids[0])
    return row.body


# v1 ------------------------------------------------------------------------------------------------------


def _account_v1(call: Call, reference: str | None) -> Body:
    ready = reference is None or is_ready(call.store.rows[reference].body)
    status = "active" if ready else "inactive"
    return {
        "id": reference or call.store.settings.account,
        "object": "account",
        "capabilities": {"transfers": status} | ({"card_payments": "active"} if reference is None else {}),
        "charges_enabled": reference is None,
        "country": "US",
        "created": call.store.started,
        "default_currency": "usd",
        "details_submitted": ready,
        "payouts_enabled": ready,
        "type": "standard" if reference is None else "none",
    }


@answers(AccountServiceV1.retrieve_current_async)
def retrieve_current(call: Call) -> Body:
    return _account_v1(call, call.account)


@answers(AccountServiceV1.retrieve_async)
def retrieve_v1(call: Call) -> Body:
    (reference,) = call.ids
    if reference != call.store.settings.account and reference not in call.store.rows:
        raise Refused(f"No access to {reference}.", status=403, code="account_invalid")
    return _account_v1(call, None if reference == call.store.settings.account else reference)


def _settings(call: Call) -> Body:
    interval = (
        call.store.platform_interval if call.account is None else call.store.hidden(call.account)["interval"]
    )
    return {
        "object": "balance_settings",
        "payments": {
            "debit_negative_balances": True,
            "payouts": {
                "minimum_balance_by_currency": None,
                "schedule": {"interval": interval},
                "statement_descriptor": None,
                "status": "enabled",
            },
            "settlement_timing": {"delay_days": 2},
        },
    }


@answers(BalanceSettingsService.retrieve_async)
def retrieve_settings(call: Call) -> Body:
    return _settings(call)


@answers(BalanceSettingsService.update_async, "payments")
def update_settings(call: Call) -> Body:
    payments = call.params.get("payments", {})
    schedule = payments.get("payouts", {}).get("schedule", {})
    if (
        set(payments) - {"payouts"}
        or set(payments.get("payouts", {})) - {"schedule"}
        or set(schedule) - {"interval"}
    ):
        raise malformed("The stand-in sets the interval of payouts, and nothing else.", "payments", None)
    if "interval" in schedule:
        if call.account is None:
            call.store.platform_interval = schedule["interval"]
        else:
            call.store.hidden(call.account)["interval"] = schedule["interval"]
    return _settings(call)
