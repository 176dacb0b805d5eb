"""What is chosen to be deleted, what of it is deleted, and what is never touched without force."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from flowbook.exceptions import Damaged, OwnershipLost
from flowbook.persistence import Backend, Claim, Query, fetch
from flowbook.persistence.changes import Put
from flowbook.persistence.memory import MemoryBackend
from flowbook.persistence.owners import Owner, current_owner
from flowbook.testing.backend_samples import FLOW_ROW, ids, stranger
from flowbook.views.documents import list_document
from flowbook.views.housekeeping import (
    CHANGED,
    CLAIMED,
    GONE,
    Choice,
    Upgrade,
    choose,
    prune,
    pruning_document,
    upgrade_script,
    upgrade_storage,
)
from flowbook.views.runs import DAMAGED, GROUP, RunRow
from flowbook.views.schemas import PRUNE

GONE_OWNER = replace(current_owner(), pid=2**22 + 1, lock=1)  # above any pid of this machine


@pytest.fixture(params=["memory:", "sqlite"])
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Backend]:
    with fetch(f"sqlite:///{tmp_path}/runs.db" if request.param == "sqlite" else request.param) as opened:
        for number, state in enumerate(["SUCCESS", "FAILURE", "REVERTED", "SUSPENDED", "SUCCESS"]):
            add(opened, f"r{number}", state=state, updated_at=2000.0 + number, book="odd" if number % 2 else "even")
        yield opened


def add(backend: Backend, run: str, owner: Owner | None = None, **fields: object) -> Claim:
    """Write a run; unless it is given an owner, nobody has claimed it then."""
    claim = backend.claim(f"flow:{run}", owner or current_owner(), lease_s=60)
    claim = backend.commit(claim, [Put("flow", run, {**FLOW_ROW, "id": run, **fields})])
    if owner is None:
        backend.renew(claim, lease_s=0.0)
    return claim


def chosen(backend: Backend, choice: Choice) -> list[str]:
    return [run.id for run in choose(backend, choice).runs]


@pytest.mark.parametrize(
    ("choice", "runs"),
    [
        (Choice(), ["r4", "r2", "r1", "r0"]),
        (Choice(states={"SUSPENDED"}), ["r3"]),
        (Choice(book="even"), ["r4", "r2", "r0"]),
        (Choice(before=2001.0), ["r1", "r0"]),
        (Choice(keep=3), ["r0"]),
        (Choice(keep=1, book="even"), ["r2", "r0"]),
        (Choice(keep=9), []),
    ],
    ids=range(7),
)
def test_a_choice_means_the_finished_runs_that_fit_the_last_written_first(
    backend: Backend, choice: Choice, runs: list[str]
) -> None:
    assert chosen(backend, choice) == runs
    assert choose(backend, choice).atoms == 3 * len(runs)


def test_records_that_are_no_runs_are_never_chosen(backend: Backend) -> None:
    add(backend, f"{GROUP}book", state="SUCCESS")
    assert f"{GROUP}book" not in chosen(backend, Choice())


def test_choosing_deletes_nothing_and_pruning_only_what_was_chosen(backend: Backend) -> None:
    pruning = choose(backend, Choice(book="odd"))
    assert len(ids(backend, Query())) == 5
    heard: list[str] = []
    pruned = prune(backend, pruning, told=lambda run: heard.append(run.id))
    assert ([run.id for run in pruned.deleted], pruned.skipped, heard) == (["r1"], (), ["r1"])
    assert sorted(ids(backend, Query())) == ["r0", "r2", "r3", "r4"]


def test_a_claimed_run_is_spared_and_said_to_be(backend: Backend) -> None:
    add(backend, "owned", stranger(), state="SUCCESS")
    pruning = choose(backend, Choice())
    assert "owned" not in {run.id for run in pruning.runs}
    assert [run.id for run in pruning.spared] == ["owned"]
    pruned = prune(backend, pruning)
    assert [(run.id, why) for run, why in pruned.skipped] == [("owned", CLAIMED)]
    assert sorted(ids(backend, Query())) == ["owned", "r3"]


def test_force_takes_a_claimed_run_from_its_owner_and_deletes_it(backend: Backend) -> None:
    claim = add(backend, "owned", stranger(), state="SUCCESS")
    pruning = choose(backend, Choice(force=True))
    assert pruning.spared == ()
    assert "owned" in {run.id for run in prune(backend, pruning, force=True).deleted}
    with pytest.raises(OwnershipLost):
        backend.commit(claim, [Put("atom", "a", {})])
    assert ids(backend, Query()) == ["r3"]


def test_a_run_that_was_claimed_meanwhile_is_skipped(backend: Backend) -> None:
    pruning = choose(backend, Choice(book="odd"))
    backend.claim("flow:r1", stranger(), lease_s=60)
    pruned = prune(backend, pruning)
    assert [(run.id, why) for run, why in pruned.skipped] == [("r1", CLAIMED)]
    assert "r1" in ids(backend, Query())


def test_a_run_that_was_written_meanwhile_is_skipped(backend: Backend) -> None:
    pruning = choose(backend, Choice(book="odd"))
    add(backend, "r1", state="SUCCESS", updated_at=3000.0)
    assert [(run.id, why) for run, why in prune(backend, pruning).skipped] == [("r1", CHANGED)]
    assert "r1" in ids(backend, Query())


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("state", ["SUCCESS", "RUNNING"])
def test_a_run_that_was_run_again_while_others_were_deleted_is_skipped(
    backend: Backend, state: str, force: bool
) -> None:
    pruning = choose(backend, Choice(states={"SUCCESS"}))

    def again(run: RunRow) -> None:
        if run.id == "r4":
            add(backend, "r0", state=state, updated_at=3000.0)

    pruned = prune(backend, pruning, force=force, told=again)
    kept = [] if force and state == "SUCCESS" else ["r0"]  # what is forced may be written all the time
    assert [(run.id, why) for run, why in pruned.skipped] == [(run, CHANGED) for run in kept]
    assert sorted({"r0", "r4"} & {*ids(backend, Query())}) == kept


class Worn(MemoryBackend):
    """One of its runs cannot be deleted."""

    def destroy(self, flow: str) -> None:
        if flow == "r1":
            raise Damaged(self.url, "its records are not readable")
        super().destroy(flow)


def test_a_run_that_the_storage_cannot_delete_stops_no_other() -> None:
    backend, heard = Worn(), list[str]()
    for number in range(3):
        add(backend, f"r{number}", state="SUCCESS")
    pruned = prune(backend, choose(backend, Choice()), told=lambda run: heard.append(run.id))
    assert sorted(run.id for run in pruned.deleted) == ["r0", "r2"]
    assert [(run.id, why) for run, why in pruned.skipped] == [
        ("r1", "a stored record is damaged: its records are not readable")
    ]
    assert [type(error) for error in pruned.errors] == [Damaged]
    assert sorted(heard) == ["r0", "r1", "r2"]
    assert ids(backend, Query()) == ["r1"]


def test_a_damaged_run_is_chosen_by_the_state_that_is_told_of_it_and_by_nothing_else(tmp_path: Path) -> None:
    with fetch(f"dir:{tmp_path}/runs") as backend:
        for number in range(3):
            add(backend, f"r{number}", state="SUCCESS")
        damage(tmp_path / "runs", "r1")
        assert sorted(chosen(backend, Choice())) == ["r0", "r2"]
        assert chosen(backend, Choice(states={DAMAGED})) == ["r1"]
        assert chosen(backend, Choice(states={DAMAGED}, book="default")) == []
        pruned = prune(backend, choose(backend, Choice(states={DAMAGED})))
        assert ([run.id for run in pruned.deleted], pruned.skipped) == (["r1"], ())
        assert sorted(ids(backend, Query())) == ["r0", "r2"]


def damage(logbook: Path, run: str) -> None:
    """Spoil the first line of the journals of a run."""
    for journal in (logbook / "flow" / run).glob("epoch-*"):
        journal.write_bytes(b"x" + journal.read_bytes()[1:])


def test_a_run_that_somebody_else_has_deleted_is_skipped(backend: Backend) -> None:
    pruning = choose(backend, Choice(book="odd"))
    backend.destroy("r1")
    pruned = prune(backend, pruning)
    assert [(run.id, why) for run, why in pruned.skipped] == [("r1", GONE)]


def test_a_run_whose_owner_is_known_to_be_gone_is_deleted_without_force(tmp_path: Path) -> None:
    with fetch(f"sqlite:///{tmp_path}/runs.db") as backend:
        add(backend, "left", GONE_OWNER, state="FAILURE")
        assert [run.id for run in prune(backend, choose(backend, Choice())).deleted] == ["left"]
        assert ids(backend, Query()) == []


def test_the_document_says_what_would_happen_and_what_did(backend: Backend) -> None:
    add(backend, "owned", stranger(), state="SUCCESS")
    pruning = choose(backend, Choice(book="odd"))
    before = list_document(pruning.runs)["runs"]
    planned = pruning_document(backend, pruning, None)
    assert planned["schema"] == "flowbook.prune/1"
    assert (planned["dry_run"], planned["deleted"], planned["skipped"]) == (True, 0, 0)
    assert planned["runs"] == [{**before[0], "fate": "to delete", "why": ""}]
    done = pruning_document(backend, pruning, prune(backend, pruning))
    assert (done["dry_run"], done["deleted"], done["deleted_atoms"]) == (False, 1, 3)
    assert [run["fate"] for run in done["runs"]] == ["deleted"]
    spared = pruning_document(backend, choose(backend, Choice(book="default")), None)
    assert [(run["id"], run["fate"], run["why"]) for run in spared["runs"]] == [("owned", "skipped", CLAIMED)]
    assert list(spared["runs"][0]) == list(PRUNE.row)


def test_upgrading_says_from_where_to_where(tmp_path: Path) -> None:
    backend = fetch(f"sqlite:///{tmp_path}/runs.db")
    assert upgrade_script(backend)
    made = upgrade_storage(backend)
    assert made.before is not None
    assert (made.before.found, made.did_something) == (None, True)
    again = upgrade_storage(backend)
    assert again.before == again.after
    assert not again.did_something
    assert upgrade_script(backend) == ""
    backend.close()


def test_a_storage_without_versions_needs_no_upgrade() -> None:
    backend = fetch("memory:")
    assert upgrade_storage(backend) == Upgrade("memory:", None, None)
    assert upgrade_script(backend) == ""
