"""The ledger: what may be reserved, what is booked, and what a person is told."""

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hlx_model.money import NANO, dollars
from hlx_model.providers import database
from hlx_model.providers import ledger as module
from hlx_model.providers.files import ProviderFiles
from hlx_model.providers.ledger import DEFAULT_CAPS, Ledger, NotAllowed
from tests.support.providers import a_question

CENT = NANO // 100


def spend(ledger: Ledger, cents: int, **question: str | None) -> None:
    """Reserve and book an amount."""
    ledger.settle(ledger.reserve(a_question(**question), cents * CENT), cents * CENT)  # type: ignore[arg-type]


def test_a_cap_is_kept_by_what_is_booked_and_what_is_reserved(files: ProviderFiles) -> None:
    ledger = Ledger(files)
    ledger.set_cap("day", 30 * CENT)
    spend(ledger, 10)
    held = ledger.reserve(a_question(), 20 * CENT)
    with pytest.raises(NotAllowed, match=r"the cap of a day is \$0.30 and \$0.30 of it is spent or reserved"):
        ledger.reserve(a_question(), 1)
    ledger.release(held)
    assert ledger.reserve(a_question(), 20 * CENT)


def test_each_cap_refuses_with_the_command_that_raises_it(files: ProviderFiles) -> None:
    ledger = Ledger(files)
    with pytest.raises(NotAllowed, match=r"a call is \$0.25; this call may cost \$0.26: .*`hlx costs cap call 0.26`"):
        ledger.reserve(a_question(), 26 * CENT)
    for name, cents in (("session", 10), ("day", 20), ("all", 30)):
        for other, nano in DEFAULT_CAPS.items():
            ledger.set_cap(other, nano)
        ledger.set_cap(name, cents * CENT)
        already = ledger.spending().all // CENT
        spend(ledger, cents - already)
        with pytest.raises(NotAllowed, match=f"`hlx costs cap {name} 0.{cents + 1}`"):
            ledger.reserve(a_question(), CENT)
    assert ledger.spending().all == 30 * CENT


def test_a_session_pays_from_its_own_cap_alone(files: ProviderFiles) -> None:
    ledger = Ledger(files)
    ledger.set_cap("session", 20 * CENT)
    spend(ledger, 20)
    with pytest.raises(NotAllowed, match="the cap of a session"):
        ledger.reserve(a_question(), CENT)
    spend(ledger, 20, session="run-2")
    spend(ledger, 25, session=None)
    assert ledger.spending().by_session == {"run-1": 20 * CENT, "run-2": 20 * CENT}


def test_yesterday_counts_for_all_days_and_not_for_today(files: ProviderFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = Ledger(files)
    ledger.set_cap("day", 20 * CENT)
    with monkeypatch.context() as patch:
        patch.setattr(module, "_today", lambda: "2026-11-29")
        spend(ledger, 20)
    spend(ledger, 15)
    spending = ledger.spending()
    assert spending.today == 15 * CENT and spending.all == 35 * CENT and len(spending.by_day) == 2


def test_more_than_reserved_is_booked_closes_the_provider_and_is_an_alert(files: ProviderFiles) -> None:
    ledger = Ledger(files)
    ledger.settle(ledger.reserve(a_question("openai"), 5 * CENT), 7 * CENT)
    spending = ledger.spending()
    assert spending.booked == 7 * CENT and "gpt-4o cost $0.07, more than the $0.05" in spending.closed["openai"]
    with pytest.raises(NotAllowed, match=r"openai is closed: .*`hlx costs reopen openai`"):
        ledger.reserve(a_question("openai"), 1)
    assert ledger.reserve(a_question("claude"), 1)
    (alert,) = ledger.take_alerts()
    assert alert.startswith("openai is closed") and ledger.take_alerts() == []
    ledger.reopen("openai")
    assert ledger.reserve(a_question("openai"), 1)


def test_alerts_come_once_at_half_at_four_fifths_and_when_a_cap_refuses(files: ProviderFiles) -> None:
    ledger = Ledger(files)
    ledger.set_cap("day", 100 * CENT)
    alerts = []
    for cents in (20, 25, 4, 1, 20, 9, 1, 5):
        spend(ledger, cents)
        alerts.append([alert.split("(")[-1] for alert in ledger.take_alerts()])
    assert alerts == [[], [], [], ["50%)"], [], [], ["80%)"], []]
    for _ in range(2):
        with pytest.raises(NotAllowed):
            ledger.reserve(a_question(), 20 * CENT)
    (alert,) = ledger.take_alerts()
    assert "$0.85 of $1.00 for the day" in alert and ledger.take_alerts() == []


def test_an_alert_comes_again_for_another_cap(files: ProviderFiles) -> None:
    ledger = Ledger(files)
    ledger.set_cap("all", 20 * CENT)
    spend(ledger, 20)
    assert len(ledger.take_alerts()) == 1
    ledger.set_cap("all", 60 * CENT)
    spend(ledger, 10)
    assert "$0.30 of $0.60" in ledger.take_alerts()[0]


def test_a_reservation_of_a_dead_process_is_spent_until_it_is_released(files: ProviderFiles) -> None:
    code = (
        "import sys; from pathlib import Path; from hlx_model.providers.files import ProviderFiles\n"
        "from hlx_model.providers.ledger import Ledger; from tests.support.providers import a_question\n"
        "print(Ledger(ProviderFiles(Path(sys.argv[1]))).reserve(a_question(), 20_000_000))"
    )
    ran = subprocess.run([sys.executable, "-c", code, files.root], capture_output=True, text=True, check=True)
    id, ledger = ran.stdout.strip(), Ledger(files)
    mine = ledger.reserve(a_question(), CENT)
    spending = ledger.spending()
    assert [(one.id, one.alive) for one in spending.open] == [(id, False), (mine, True)]
    assert spending.reserved == spending.all == 3 * CENT
    with pytest.raises(ValueError, match="which is running"):
        ledger.release(mine, dead_only=True)
    ledger.release(id, dead_only=True)
    assert ledger.spending().all == CENT
    with pytest.raises(ValueError, match="is released, not open"):
        ledger.release(id)


def test_a_settlement_after_a_release_is_booked(files: ProviderFiles) -> None:
    ledger = Ledger(files)
    id = ledger.reserve(a_question(), CENT)
    ledger.release(id)
    ledger.settle(id, CENT)
    assert ledger.spending().booked == CENT
    with pytest.raises(ValueError, match="is settled"):
        ledger.settle(id, CENT)


def test_only_the_owner_can_read_the_ledger_and_its_journal(files: ProviderFiles) -> None:
    Ledger(files).reserve(a_question(), CENT)
    import sqlite3

    with sqlite3.connect(files.ledger) as db:  # while it is open, its journal is there
        assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        db.execute("UPDATE calls SET spent = spent")
        modes = {path.name: path.stat().st_mode & 0o777 for path in files.root.iterdir()}
    db.close()
    assert len(modes) == 3 and set(modes.values()) == {0o600}, modes


def test_a_network_disk_gets_no_write_ahead_log(files: ProviderFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "_is_on_network", lambda folder: True)
    Ledger(files).set_cap("day", 7 * NANO)
    import sqlite3

    db = sqlite3.connect(files.ledger)
    assert db.execute("PRAGMA journal_mode").fetchone() == ("delete",)
    db.close()
    assert Ledger(files).caps()["day"] == 7 * NANO


def test_a_damaged_a_newer_or_an_unwritable_ledger_is_one_line(files: ProviderFiles, tmp_path: Path) -> None:
    files.make()
    files.ledger.write_bytes(b"no database at all, by no means" * 99)
    with pytest.raises(ValueError, match=r"ledger\.sqlite: no ledger .*move it away"):
        Ledger(files).spending()
    files.ledger.unlink()
    Ledger(files).set_cap("day", 0)
    import sqlite3

    db = sqlite3.connect(files.ledger)
    db.execute("PRAGMA user_version = 2")
    db.close()
    with pytest.raises(ValueError, match="version 2, which a newer hlx wrote"):
        Ledger(files).caps()


def test_reading_an_empty_home_writes_nothing(files: ProviderFiles) -> None:
    ledger = Ledger(files)
    assert ledger.caps() == DEFAULT_CAPS and ledger.take_alerts() == []
    assert ledger.spending().all == 0 and not files.root.exists()


def test_a_cap_has_a_known_name_and_a_sane_amount(files: ProviderFiles) -> None:
    for name, nano, said in (("week", 1, "choose one of"), ("day", -1, "from"), ("day", NANO**2, "from")):
        with pytest.raises(ValueError, match=said):
            Ledger(files).set_cap(name, nano)


@settings(deadline=None, max_examples=15)
@given(st.lists(st.tuples(st.sampled_from("rsx"), st.integers(0, 40)), max_size=25))
def test_no_order_of_operations_passes_a_cap(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int]]
) -> None:
    ledger = Ledger(ProviderFiles(tmp_path_factory.mktemp("ledger") / "providers"))
    ledger.set_cap("all", 60 * CENT)
    held: dict[str, int] = {}
    booked = 0
    for kind, cents in steps:
        if kind == "r":
            fits = cents <= 25 and booked + sum(held.values()) + cents <= 60
            try:
                held[ledger.reserve(a_question(), cents * CENT)] = cents
                assert fits
            except NotAllowed:
                assert not fits
        elif held:
            id, worst = held.popitem()
            if kind == "s":
                ledger.settle(id, min(cents, worst) * CENT)
                booked += min(cents, worst)
            else:
                ledger.release(id)
    spending = ledger.spending()
    assert (spending.booked, spending.reserved) == (booked * CENT, sum(held.values()) * CENT)


@pytest.mark.parametrize(
    ("nano", "shown"),
    [(0, "$0.00"), (39_000, "$0.000039"), (12_345_678, "$0.01235"), (250_000_000, "$0.25"), (1_234 * NANO, "$1,234.00"),
     (999_999_999, "$1.00")],
)  # fmt: skip
def test_an_amount_is_shown_with_four_digits_that_count(nano: int, shown: str) -> None:
    assert dollars(nano) == shown
