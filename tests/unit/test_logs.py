"""Logs are JSON in production, and what must not be in them is taken out."""

import io
import json
import logging
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
import structlog

from app.logs import formatter
from app.redaction import HIDDEN
from core.errors import ErrorCode, Refused

Lines = Callable[[], list[dict[str, Any]]]
PRIVATE = "what Ann wrote"


@pytest.fixture
def lines() -> Iterator[Lines]:
    """What was logged so far, as production writes it."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter(production=True))
    logger = logging.getLogger("test_logs")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    logger.removeHandler(handler)


@pytest.fixture
def log() -> Any:
    return structlog.wrap_logger(
        logging.getLogger("test_logs"),
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.add_log_level,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
    )


def test_line_is_one_object(log: Any, lines: Lines) -> None:
    log.info("two\nlines", number=7, nothing=None, flag=True)
    logging.getLogger("test_logs").warning("of a library: %s", 3)

    ours, theirs = lines()

    assert ours["event"] == "two\nlines"
    assert (ours["number"], ours["nothing"], ours["flag"], ours["level"]) == (7, None, True, "info")
    assert (theirs["event"], theirs["level"], theirs["logger"]) == ("of a library: 3", "warning", "test_logs")


def test_trace_id_that_is_bound_is_on_every_line_a_librarys_too(log: Any, lines: Lines) -> None:
    with structlog.contextvars.bound_contextvars(trace_id="0af7651916cd43dd8448eb211c80319c"):
        log.info("ours")
        logging.getLogger("test_logs").warning("theirs")
    log.info("after")

    assert [line.get("trace_id") for line in lines()] == ["0af7651916cd43dd8448eb211c80319c"] * 2 + [None]


@pytest.mark.parametrize(
    "key",
    [
        "authorization",
        "Authorization",
        "payment_token",
        "paymentToken",
        "webhook-secret",
        "card",
        "method",
        "evidence",
        "body",
        "email",
        "idempotency_key",
        "idempotencyKey",
        "tip_message",
        "display_name",
        "variables",
    ],
)
def test_value_of_a_sensitive_key_is_hidden_at_every_depth(log: Any, lines: Lines, key: str) -> None:
    log.info("text", **{key: PRIVATE})
    log.info("bytes", **{key: PRIVATE.encode()})
    log.info("list", **{key: [PRIVATE]})
    log.info("object", **{key: {"inner": PRIVATE}})
    log.info("deep", outer=[{"inner": {key: PRIVATE}}])
    log.info("number", **{key: 1234})

    written = lines()

    assert PRIVATE not in json.dumps(written)
    assert [line[key] for line in (*written[:2], written[3], written[5])] == [HIDDEN] * 4
    assert written[4]["outer"] == [{"inner": {key: HIDDEN}}]


def test_ids_and_harmless_keys_stay(log: Any, lines: Lines) -> None:
    method = str(uuid4())

    log.info("said", method=method, monkey="banana", keyboard="qwerty", events=500, seconds=0.5, code="DECLINED")

    line = lines()[0]
    assert (line["method"], line["monkey"], line["keyboard"]) == (method, "banana", "qwerty")
    assert (line["events"], line["seconds"], line["code"]) == (500, 0.5, "DECLINED")


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("card 4242424242424242 refused", "card ################ refused"),
        ("4242 4242 4242 4242", "#### #### #### ####"),
        ("whsec_c2VjcmV0c2VjcmV0+/=", f"whsec_{HIDDEN}"),
        ("header Bearer abc.def-ghi_jkl~", f"header Bearer {HIDDEN}"),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl", HIDDEN),
        ("tok_success and sk_test_abc123", f"tok_{HIDDEN} and sk_test_{HIDDEN}"),
        ("rk_live_51Hx_y and whsec_abc,whsec_def", f"rk_live_{HIDDEN} and whsec_{HIDDEN},whsec_{HIDDEN}"),
        ("Invalid API Key provided: sk_test_****************wxyz", f"Invalid API Key provided: sk_test_{HIDDEN}"),
        ("ctoken_1Abc, pi_1Abc_secret_2Def", f"ctoken_{HIDDEN}, pi_1Abc_secret_{HIDDEN}"),
        ("postgresql://comptoir:hunter2@db.test/x", f"postgresql://{HIDDEN}@db.test/x"),
        ("write to ann@example.org, please", f"write to {HIDDEN}, please"),
        (
            "<Task finished exception=ValueError('what (Ann) wrote')>",
            f"<Task finished exception=ValueError({HIDDEN})>",
        ),
        ("payment 0192f0a1-0000-7000-8000-000000000001 at 2026-11-22T12:00:00Z", None),
        ("evt_0192f0a1000070008000000000000001 after 1234 ms", None),
    ],
)
def test_what_looks_like_a_secret_is_masked_wherever_it_stands(
    log: Any, lines: Lines, text: str, left: str | None
) -> None:
    log.info(text)
    log.info("value", said=text)
    log.info("nested", said=[{"inner": text}])
    log.info("as a key", said={text: 1})
    logging.getLogger("test_logs").info("%s", text)

    event, value, nested, keyed, theirs = lines()

    expected = text if left is None else left
    assert (event["event"], value["said"], nested["said"]) == (expected, expected, [{"inner": expected}])
    assert list(keyed["said"]) == [expected]
    assert theirs["event"] == expected


def test_card_number_as_a_number_is_hidden(log: Any, lines: Lines) -> None:
    log.info("number", said=4242424242424242, other=4242424242424241)

    line = lines()[0]
    assert (line["said"], line["other"]) == (HIDDEN, 4242424242424241)


def _fail() -> None:
    raise ValueError(PRIVATE)


def test_error_is_shown_by_kind_and_place_and_not_by_its_text(log: Any, lines: Lines) -> None:
    try:
        try:
            _fail()
        except ValueError as error:
            raise KeyError(PRIVATE) from error
    except KeyError as error:
        log.exception("broken", error=error)
        logging.getLogger("test_logs").exception("broken too")

    for line in lines():
        assert PRIVATE not in json.dumps(line)
        assert "KeyError" in line["exception"]
        assert "caused by:\nValueError" in line["exception"]
        assert " _fail" in line["exception"]


def test_sentence_of_our_own_error_is_shown(log: Any, lines: Lines) -> None:
    log.error("refused", exc_info=Refused(ErrorCode.NOT_FOUND, "There is no such thing for ann@example.org."))

    assert f"There is no such thing for {HIDDEN}" in lines()[0]["exception"]


def test_error_of_the_database_is_shown_without_the_row(log: Any, lines: Lines) -> None:
    error = asyncpg.CheckViolationError("new row violates check")
    error.detail = f"Failing row contains ({PRIVATE})."
    error.constraint_name = "tip_message_is_short"
    error.sqlstate = "23514"
    try:
        raise error
    except asyncpg.CheckViolationError:
        log.exception("refused by the database")

    line = lines()[0]
    assert PRIVATE not in json.dumps(line)
    assert "CheckViolationError: SQLSTATE 23514, rule tip_message_is_short" in line["exception"]


def test_errors_of_a_group_are_shown(log: Any, lines: Lines) -> None:
    group = ExceptionGroup(PRIVATE, [ValueError(PRIVATE), TypeError(PRIVATE)])
    try:
        raise group
    except ExceptionGroup:
        log.exception("several")

    line = lines()[0]
    assert PRIVATE not in json.dumps(line)
    assert all(kind in line["exception"] for kind in ("ExceptionGroup", "ValueError", "TypeError"))


def test_readable_lines_are_redacted_too() -> None:
    record = logging.LogRecord("test", logging.INFO, "", 0, "Bearer abc for ann@example.org", (), None)

    text = formatter(production=False).format(record)

    assert "abc" not in text
    assert "ann@" not in text
