"""Input of users: words for help, the id of one row, days, tenants, and mistakes."""

from __future__ import annotations

import inspect
import json
import os
import re
import shlex
import sys
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goedgepickt_async.cli.app import app
from goedgepickt_async.cli.common import read_day
from goedgepickt_async.sandbox import Sandbox
from goedgepickt_async.settings import BASE_URLS
from goedgepickt_async.testing import serving
from tests.support.tables import each_row

from .conftest import Finished, skip_waits

Inside = Callable[..., Finished]
FAST = ("--sandbox", "--sandbox-rate", "off", "--sandbox-orders", "120", "--sandbox-products", "60")


@pytest.fixture
def sandbox(inside: Inside, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Sandbox]:
    with serving(Sandbox(orders=120, products=40, limit=None)) as running:
        monkeypatch.setenv("GOEDGEPICKT_API_KEY", running.api_key)
        monkeypatch.setenv("GOEDGEPICKT_BASE_URL", running.url)
        monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
        yield running


def commands() -> list[tuple[str, ...]]:
    found: list[tuple[str, ...]] = []
    for name in app:
        if name.startswith("-"):
            continue
        inner = [each for each in app[name] if not each.startswith("-")]
        found += [(name, each) for each in inner] or [(name,)]
    return found


@pytest.mark.slow
@pytest.mark.parametrize("command", commands(), ids=" ".join)
def test_every_help_page_has_an_example(inside: Inside, command: tuple[str, ...]) -> None:
    done = inside(*command, "--help", COLUMNS="200")
    assert done.code == 0
    body = done.out.decode().split("\n", 1)[1]
    assert not re.search(r"(│ +│\n){2}", body), "an option has a second paragraph, and looks torn"
    assert f"goedgepickt {' '.join(command)}" in body
    examples = [line.strip() for line in body.split("\n") if line.strip().startswith("goedgepickt ")]
    assert [line for line in examples if len(line) > 76] == [], "a terminal of 80 columns wraps it: it cannot be pasted"


def test_the_help_summarizes_every_command(inside: Inside) -> None:
    lines = inside("--help", COLUMNS="200").out.decode().splitlines()
    for name in {command[0] for command in commands()}:
        assert any(re.match(rf"│ {name} +\w.*", line) for line in lines), name


# These run until Ctrl-C, need a receiver, an inbox or a run, or have separate slow tests.
# Only their options are checked.
ONLY_PARSED = (
    "completion",
    "probe",
    "runs 2",
    "sandbox",
    *(f"webhooks {name}" for name in ("failed", "listen", "replay", "send", "trigger")),
)


def examples() -> Iterator[list[str]]:
    for command in [(), *commands()]:
        group = app
        for word in command:
            group = group[word]
        text = group.help or inspect.getdoc(group.default_command) or ""
        for line in re.sub(r"\\\n *", "", text).splitlines():
            example = line.strip().removeprefix("Example: ").strip("`")
            if example.startswith("goedgepickt "):
                yield shlex.split(re.split(r" >>? |  #", example)[0])[1:]


@pytest.mark.slow
def test_every_example_of_every_help_page_works(
    inside: Inside, sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    skip_waits(monkeypatch)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    shop = sandbox.world.webshops[0]["uuid"]
    monkeypatch.setenv("GOEDGEPICKT_WEBSHOP_UUID", shop)
    present = [(row["sku"], row["price"]) for row in sandbox.world.products[2:36:2]]
    catalogue = [f"{sku},{price or ''}\n" for sku, price in present]
    changed = f"{present[0][0]},62.50\n"  # one row of 17, which is less than 10 %
    rows = {
        "catalogue.csv": "".join(["sku,price\n", changed, *catalogue[1:]]),
        "stock.csv": "sku,level\nSB-00002,3\n",
        "stock.xlsx": "sku,level\nSB-00002,3\n",
        "orders.csv": "order_id,status,created_at,line.sku,line.product_name,line.quantity\nS-9,open,2026-11-01,SB-00002,Mok,1\n",
        "body.json": json.dumps(
            {"webshopUuid": shop, "webhookEvent": "order.statusChanged", "targetUrl": "https://a.example.test"}
        ),
    }
    wrong = []
    tried = list(examples())
    for words in tried:
        line = " ".join(words)
        for name, text in rows.items():  # an export may have written a file with this name
            (tmp_path / name).write_text(text)
        if line.startswith(ONLY_PARSED):
            app.parse_args(words, exit_on_error=False, print_error=False)
            continue
        given: dict[str, str] = {}
        if "account" in words:
            given = {"GOEDGEPICKT_API_KEY": sandbox.account_key, "GOEDGEPICKT_BASE_URL": ""}
            monkeypatch.setitem(BASE_URLS, "account", sandbox.account_url)
        done = inside(*words, **given)
        if done.code:
            wrong.append((line, done))
    assert wrong == []
    assert len(tried) > 40


@each_row(
    ("words", "same"),
    [
        (("help",), ("--help",)),
        (("version",), ("--version",)),
        (("help", "export"), ("export", "--help")),
        (("export", "help"), ("export", "--help")),
        (("help", "webhooks", "list"), ("webhooks", "list", "--help")),
    ],
)
def test_help_and_version_work_as_commands(inside: Inside, words: tuple[str, ...], same: tuple[str, ...]) -> None:
    done = inside(*words)
    assert (done.code, done.out) == (0, inside(*same).out)


@each_row(
    ("words", "message"),
    [
        (("exprot",), "Did you mean export?"),
        (("orders", "list"), "goedgepickt export orders"),
        (("--sandbox", "doctor"), "options must be after the command"),
        (("webhooks", "lsit"), "Did you mean list?"),
        (("doctor", "--timeout", "0"), "--timeout: '0' is not a number of seconds above 0"),
        (("doctor", "--max-wait", "nan"), "--max-wait: 'nan' is not a number of seconds of 0 or more"),
        (("export", "orders", "--limit", "1.5", "--sandbox"), "--limit: '1.5' is not a whole number"),
        (("export", "orders", "--sandbox", "--sandbox-products", "-1"), "--sandbox-products: -1 is less than 0"),
        (("sandbox", "--port", "80000"), "--port: 80000 is not between 0 and 65535"),
        (("sandbox", "--today", "1-3-2026"), "write 2026-03-01"),
        (("export", "orders", "--created-after", "20260301", "--sandbox"), "write 2026-03-01"),
        (("export", "--sandbox"), "RESOURCE is missing"),
        (("export", "orders", "--resume"), "--resume needs a value"),
        (("doctor", "twice"), "'twice' is not an argument of this command"),
        (("list", "orders"), "Did you mean export?"),
        (("webhooks", "ensure"), "See: goedgepickt webhooks ensure --help"),
        (("export", "orders", "--created-after", "28-11-2026", "--sandbox"), "write 2026-11-28"),
        (("get", "orders", "", "--sandbox"), "an argument is empty"),
        (("get", "orders", " ", "--sandbox"), "the id is empty"),
        (("export", "orders", "--sandbox", "--webshop", ""), "the value of --webshop is empty; is a variable"),
        (("doctor", "--tenant="), "the value of --tenant is empty"),
        (("export", "orders", "--sandbox", "--limit", "\u0663"), "'\u0663' is not a whole number"),
        (("export", "orders", "--sandbox", "--limit", "1_000"), "'1_000' is not a whole number"),
        (("export", "orders", "--sandbox", "--limit", "9" * 200), "is not a whole number"),
        (("doctor", "--sandbox", "--timeout", "\u0663"), "is not a number of seconds"),
        (("doctor", "--sandbox", "--timeout", "1_0"), "is not a number of seconds"),
        (("export", "orders", "--sandbox", "--created-after", "31-02-2026"), "this day does not exist"),
        (("export", "orders", "--sandbox", "--created-after", "28 november 2026"), "write 2026-11-28"),
        (("export", "orders", "--sandbox", "--created-after", "3 mrt. '26"), "write year, month and day"),
        (("export", "orders", "--sandbox", "--created-after", "3-mrt-26"), "write 2026-03-03"),
        (("export", "orders", "--sandbox", "--created-after", "2026-3-1T10:00"), "write 2026-03-01"),
        (("export", "orders", "--sandbox", "--created-after", "gisteren"), "write year, month and day"),
        (("export", "orders", "--sandbox", "--fields", "stauts"), "did you mean status"),
        (("export", "orders", "--sandbox", "--fields", "totalPaid"), "did you mean total_paid?"),
        (("export", "orders", "--sandbox", "--fields", "shipping"), "it has the parts shipping.first_name, "),
        (("export", "orders", "--sandbox", "--fields", "uuid;status"), "separate the names by commas"),
        (("export", "orders", "--sandbox", "--fields", "lines"), "--lines writes a row for each line"),
        (("export", "orders", "\u2014sandbox"), "write two hyphens: --sandbox"),
        (("export", "orders", "-output", "a.csv", "--sandbox"), "write two hyphens: --output"),
        (("export", "orders", "-format", "csv", "--sandbox"), "write two hyphens: --format"),
        (("export", "orders", "--", "--sandbox"), "leave out --"),
        (("EXPORT", "orders", "--sandbox"), "Did you mean export?"),
        (("exprot", "orders"), "Did you mean export?"),
        (("completion", "tcsh"), "bash"),
        (("export", "orders", "--sandbox-orders", "0"), "--sandbox-orders needs --sandbox"),
        (("sandbox", "--today", "0001-01-01"), "today must be a day of the years 1971 to 9998"),
        (("request", "GET", "/orders?page=2", "--sandbox"), "--query NAME=VALUE"),
        (("runs", "20260101"), "`goedgepickt runs`"),
        (("runs", "--resume", os.devnull), "gets the same file again"),
        (("apply", "plan.json", "--resume", "x"), "gets the same file again"),
        (("export", "orders", "--sandbox", "--resume", os.devnull), "pass another file with --resume\n"),
        (("export", "orders", "--sandbox", "-o", "a.csv", "--resume", "./a.csv"), "--output and --resume are the same"),
        (("export", "orders", "--sandbox", "-o", "a.csv", "--since-last", "--checkpoint", "a.csv"), "the same file"),
        (
            ("export", "orders", "-o", "a.csv", "--skip-unreadable", "--resume", "a.csv.unreadable.jsonl"),
            "the file of --skip-unreadable and --resume are the same file",
        ),
        (
            ("export", "orders", "-o", "a.xlsx", "--since-last", "--checkpoint", "a.xlsx.part"),
            "the temporary file of --output and --checkpoint are the same file",
        ),
        (
            ("export", "orders", "-o", "a.csv", "--since-last", "--checkpoint", "./a.csv.resume"),
            "the resume file of --output and --checkpoint are the same file",
        ),
        (("sandbox", "--openapi", os.devnull, "--write-env", os.devnull), "are the same file"),
        (("webhooks", "failed", "x"), "'x' is not a whole number"),
        (("webhooks", "failed", "1", "0"), "0 is less than 1"),
        (("probe", "--sandbox", "-o", "-"), "leave --output out to print to stdout"),
        (("plan", "stock", os.devnull, "--sandbox", "-o", "-"), "leave --output out to print to stdout"),
        (("apply", "rows.csv", "--kind", "stock", "--sandbox", "--journal", "-"), "--journal needs a file"),
        (("sandbox", "--openapi", os.devnull), "--openapi /dev/null is not JSON"),
        (("probe", "--sandbox", "-o", "a", "--resume", "a"), "--output and --resume are the same file"),
        (("get", "products", "x", "--created-after", "2026-01-01", "--sandbox"), "not available for products"),
        (("doctor", "--sandbox", "--tenant", "x"), "leave out --tenant"),
        (("export", "orders", "--sandbox", "--created-after", "11/28/2026"), "write 2026-11-28"),
        (("export", "orders", "--sandbox", "--created-after", "2026-02-30"), "this day does not exist"),
        (("export", "orders", "--api-key=secret"), "The key comes from GOEDGEPICKT_API_KEY"),
        (("request", "POST", "/orders", "--data", "{}"), "--json JSON"),
        (("request", "FETCH", "/orders", "--sandbox"), "there is no HTTP method FETCH"),
        (("plan", "stock", os.devnull, "--sandbox", "--profile", "shopfy"), "did you mean shopify?"),
        (("plan", "stock", os.devnull, "--sandbox", "--delimiter", ";;"), "delimiter must be one character"),
    ],
)
def test_a_mistake_is_reported_in_one_line_with_a_correction(
    inside: Inside, words: tuple[str, ...], message: str
) -> None:
    done = inside(*words)
    assert (done.code, done.out, done.err.count("\n")) == (2, b"", 1)
    assert message in done.err


@pytest.mark.parametrize(
    "words", [("plan", "products", "rows.csv", "-o"), ("apply", "rows.csv", "--kind=products", "--journal")]
)
def test_an_input_file_is_never_overwritten(inside: Inside, tmp_path: Path, words: tuple[str, ...]) -> None:
    rows, link = tmp_path / "rows.csv", tmp_path / "link.csv"
    rows.write_text("sku,price\nSB-00002,12.50\n")
    link.symlink_to(rows)
    for name in ("rows.csv", "./rows.csv", "link.csv"):
        done = inside(*words, name, "--sandbox", "--webshop", "Bloemwinkel 1")
        assert (done.code, done.err.count("\n"), "FILE and -" in done.err) == (2, 1, True)
    assert rows.read_text() == "sku,price\nSB-00002,12.50\n"


@pytest.mark.parametrize("option", ["--output", "--resume"])
def test_a_file_that_cannot_be_written_is_refused_before_the_first_request(
    inside: Inside, tmp_path: Path, option: str
) -> None:
    (tmp_path / "rows.csv").write_text("sku,price\nSB-00002,12.50\n")
    assert "--write-env needs a file" in inside("sandbox", "--port", "0", "--write-env", ".").err
    for file, message in ((".", "is a directory"), ("nowhere/file", "there is no directory")):
        done = inside("probe", "--sandbox", option, file)
        assert (done.code, message in done.err, "This command only reads" in done.err) == (1, True, False)
        if option == "--output":
            done = inside("plan", "products", "rows.csv", "--sandbox", option, file)
            assert (done.code, message in done.err, done.err.count("\n")) == (1, True, 1)


def test_the_option_sheet_is_refused_for_a_file_that_is_not_a_workbook(inside: Inside, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("sku,price\nSB-00002,12.50\n")
    done = inside("plan", "products", "rows.csv", "--sheet", "Blad1", "--sandbox", "--webshop", "Bloemwinkel 1")
    assert (done.code, "leave out sheet (--sheet)" in done.err) == (1, True)


def test_an_error_of_an_unwritable_checkpoint_names_the_options(inside: Inside, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    words = ("export", "orders", "--sandbox", "--sandbox-orders", "1", "-o", "a.csv", "--since-last")
    done = inside(*words, XDG_STATE_HOME=str(tmp_path / "file"))
    assert (done.code, "--checkpoint" in done.err, "XDG_STATE_HOME" in done.err) == (1, True, True)
    assert not (tmp_path / "a.csv").exists()


@pytest.mark.parametrize(
    "variable", ["GOEDGEPICKT_APIKEY", "GOEDGEPICKT_KEY", "GOEDGEPIKT_API_KEY", "goedgepickt_api_key"]
)
def test_a_misspelt_variable_is_reported(inside: Inside, variable: str) -> None:
    message = f"the variable {variable} is set; did you mean GOEDGEPICKT_API_KEY?"
    assert message in inside("export", "orders", **{variable: "secret-key"}).err
    report = inside("doctor", **{variable: "secret-key"})
    assert message in report.out.decode()
    assert "secret-key" not in report.out.decode() + report.err


def test_other_variables_are_not_reported(inside: Inside) -> None:
    assert "is set" not in inside("export", "orders", GOEDGEPICKT_KEY_LAMPS="x", GOEDGEPICKT_WEBHOOK_SECRETS="x").err


def test_an_empty_list_of_runs_names_the_directory(inside: Inside, tmp_path: Path) -> None:
    done = inside("runs", XDG_STATE_HOME=str(tmp_path / "state"))
    assert (done.code, done.out, str(tmp_path / "state" / "goedgepickt" / "runs") in done.err) == (0, b"", True)


def test_the_error_for_an_unknown_command_lists_the_commands_in_alphabetical_order(inside: Inside) -> None:
    line = inside("exprot").err
    names = line.split("Commands: ")[1].split(". See")[0].split(", ")
    assert names == sorted(names)
    assert {"doctor", "export", "get"} <= set(names)


class Token:
    def __init__(self, value: str) -> None:
        self.value = value


@given(st.dates(date(1000, 1, 1)), st.sampled_from("-/. "))
def test_the_error_for_a_day_in_dutch_notation_has_the_iso_notation(day: date, sign: str) -> None:
    assert read_day(date, [Token(day.isoformat())]) == day
    with pytest.raises(ValueError, match=f"write {day.isoformat()} for"):
        read_day(date, [Token(f"{day.day}{sign}{day.month}{sign}{day.year}")])


@given(st.text())
def test_text_that_is_not_a_day_raises_a_value_error(text: str) -> None:
    try:
        assert isinstance(read_day(date, [Token(text)]), date)
    except ValueError as error:
        assert "is not a day" in str(error)


@pytest.mark.slow
def test_an_order_is_found_by_its_uuid_its_id_and_its_number(inside: Inside, sandbox: Sandbox) -> None:
    order = inside("export", "orders", "--limit", "1").rows[0]
    for text in filter(None, (order["uuid"], order["order_id"], order["display_id"], f"#{order['display_id']}")):
        done = inside("get", "orders", text)
        assert done.code == 0, done.err
        assert json.loads(done.out) == order
    sandbox.requests.clear()
    assert inside("get", "orders", order["uuid"]).code == 0
    assert len(sandbox.requests) == 1


@pytest.mark.usefixtures("sandbox")
def test_a_product_is_found_by_its_sku_and_a_webshop_by_its_name(inside: Inside) -> None:
    done = inside("get", "products", "SB-00000", "--fields", "sku,stock.free_stock")
    assert list(json.loads(done.out)) == ["sku", "stock.free_stock"]
    shop = inside("export", "webshops").rows[0]
    assert json.loads(inside("get", "webshops", shop["name"].lower()).out) == shop
    missing = inside("get", "products", "SB-99999")
    assert (missing.code, missing.out, "nothing among the products" in missing.err) == (1, b"", True)


def test_get_prints_all_products_with_the_same_sku(inside: Inside, sandbox: Sandbox) -> None:
    for name in ("a", "b"):
        sandbox.world.add_product(sku="TWICE", name=name)
    done = inside("get", "products", "TWICE")
    assert (done.code, len(done.rows), "2 products have" in done.err) == (1, 2, True)


def config(tmp_path: Path, text: str) -> None:
    (tmp_path / "config" / "goedgepickt").mkdir(parents=True, exist_ok=True)
    (tmp_path / "config" / "goedgepickt" / "config.toml").write_text(text)


def test_a_tenant_gets_its_key_from_a_variable_or_a_command(
    inside: Inside, sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GOEDGEPICKT_API_KEY")
    monkeypatch.delenv("GOEDGEPICKT_BASE_URL")
    program = f"{sys.executable} -c 'import os; print(os.environ[\"HIDDEN\"])'"
    config(
        tmp_path,
        f"[tenants.a]\nkey_env = 'KEY_A'\nbase_url = '{sandbox.url}'\n"
        f'[tenants.b]\nkey_command = """{program}"""\nbase_url = "{sandbox.account_url}"\n',
    )
    first = inside("doctor", "--tenant", "a", KEY_A=sandbox.api_key, GOEDGEPICKT_API_KEY="another")
    assert first.code == 0, first.out
    second = inside("doctor", GOEDGEPICKT_TENANT="b", HIDDEN=sandbox.account_key)
    assert second.code == 0, second.err
    assert [recorded.base for recorded in sandbox.requests] == ["fulfilment", "account"]
    assert sandbox.api_key.encode() not in first.out


@pytest.mark.usefixtures("sandbox")
@each_row(
    ("text", "message"),
    [
        ("", "there are: none"),
        ("x = [", "cannot be read"),
        ("tenants = 3", "there are: none"),
        ("[tenants.b]\nkey_env = 'B'", "there are: b"),
        ("[tenants.a]\nkey = 'secret-key'", "contains a key"),
        ("[tenants.a]\nkey_env = 'A'\ncolour = 'red'", "tenants.a.colour is unknown"),
        ("[tenants.a]\nkey_env = 3", "tenants.a.key_env is unknown or not text"),
        ("[tenants.a]", "one of key_env and key_command"),
        ("[tenants.a]\nkey_env = 'A'\nkey_command = 'b'", "one of key_env and key_command"),
        ("[tenants.a]\nkey_env = 'A'", "A is not set or empty"),
        ("[tenants.a]\nkey_command = 'no-such-program-here'", "did not print a key"),
        ("[tenants.a]\nkey_command = ''", "did not print a key"),
        ("[tenant.a]\nkey_env = 'A'", "write [tenants.NAME]"),
        ("[tenants.a]\nkey_command = 'true'", "printed nothing"),
        ("[tenants.a]\nkey_command = 'false'", "did not print a key"),
        ("[tenants.a]\nkey_command = '\"'", "did not print a key"),
        ("[tenants.a]\nkey_env = 'A'\napi = 'x'", "account or fulfilment"),
    ],
)
def test_an_invalid_configuration_is_reported_in_one_line_without_a_key(
    inside: Inside, tmp_path: Path, text: str, message: str
) -> None:
    config(tmp_path, text)
    done = inside("doctor", "--tenant", "a")
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert message in done.err
    assert "secret-key" not in done.err


def test_an_anonymous_report_names_no_webshop(inside: Inside) -> None:
    named = json.loads(inside("doctor", *FAST, "--json").out)["configured"]["webshops"]
    for options in (("--json",), ()):
        done = inside("doctor", *FAST, "--anonymous", *options)
        assert done.code == 0
        assert not any(shop[part].encode() in done.out for shop in named for part in ("uuid", "name"))


@pytest.mark.parametrize("variable", ["NO_COLOR", "TERM"])
def test_colours_can_be_turned_off(inside: Inside, variable: str) -> None:
    before = os.environ.get("FORCE_COLOR")
    assert before is None
    done = inside("export", "orders", *FAST, "--limit", "2", "--format", "table", **{variable: "dumb"})
    assert b"\x1b" not in done.out


@pytest.mark.usefixtures("sandbox")
def test_the_budget_is_set_by_option_or_variable_and_reported_by_doctor(inside: Inside, tmp_path: Path) -> None:
    folder = tmp_path / "shared"
    by_option = json.loads(inside("doctor", "--json", "--budget", f"host:{folder}").out)["configured"]["budget"]
    assert (by_option["kind"], by_option["place"].startswith(str(folder))) == ("host", True)
    by_variable = json.loads(inside("doctor", "--json", GOEDGEPICKT_BUDGET=f"host:{folder}").out)["configured"][
        "budget"
    ]
    assert by_variable["place"] == by_option["place"]
    assert by_variable["used"] == 2
    assert str(folder) in inside("doctor", "--budget", f"host:{folder}").out.decode()
    wrong = inside("doctor", "--budget", "nonsense")
    assert wrong.code == 2, wrong.err


def test_a_sandbox_refuses_the_option_budget(inside: Inside) -> None:
    done = inside("doctor", "--sandbox", "--budget", "local")
    assert (done.code, "leave out --budget" in done.err) == (2, True)


@pytest.mark.usefixtures("sandbox")
def test_doctor_reports_the_proxy_without_its_password(inside: Inside) -> None:
    assert "proxy" not in inside("doctor", NO_PROXY="*").out.decode()
    done = inside(
        "doctor",
        HTTPS_PROXY="http://me:hidden@127.0.0.1:9",
        NO_PROXY="",
        GOEDGEPICKT_BASE_URL="https://api.example.test/api/v1",
    )
    assert (done.code, "127.0.0.1:9" in done.out.decode(), "hidden" in done.out.decode() + done.err) == (1, True, False)


def test_a_first_day_in_the_future_is_reported(inside: Inside) -> None:
    done = inside("export", "orders", "--created-after", "2999-01-01", "--sandbox", "--sandbox-orders", "1")
    assert (done.code, done.out, "that day is in the future" in done.err) == (0, b"", True)
