"""An owner of a logbook in a directory is stopped anywhere, overtaken, and wakes: nothing that it does counts any more.

Processes are stopped at any call of files; objects in one process are overtaken in the middle of any verb.
"""

from __future__ import annotations

import itertools
import json
import random
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, TypeVar

import pytest

from crash import driving
from crash.flows import lines_of
from crash.forks import Child, Forks
from crash.owners import EVERY_CALL
from flowbook.exceptions import FlowOwned, NotFound, OwnershipLost
from flowbook.persistence.backend import Claim, Fence, Query
from flowbook.persistence.changes import Change, Delete, Put
from flowbook.persistence.directory.backend import DirectoryBackend
from flowbook.persistence.directory.files import Files, LocalFiles
from flowbook.testing.backend_samples import FLOW_ROW, begin, stranger
from flowbook.testing.files import Call, CrashingFiles, WrappedFiles

pytestmark = pytest.mark.usefixtures("no_descriptor_is_left")

_Answer = TypeVar("_Answer")

KEY = "flow:f"
SAMPLE = 8
STOPS: list[Literal["before", "after", "torn"]] = ["before", "after", "torn"]
HEIRS: dict[str, dict[str, dict[str, Any]]] = {
    "takes over": {"zombie": {}, "heir": {"take_over": True}},
    "comes after the lease": {"zombie": {"elsewhere": True}, "heir": {"late": True}},
}


@pytest.mark.parametrize("how", HEIRS)
@pytest.mark.parametrize("stop", STOPS)
def test_a_process_stopped_at_any_call_of_files_writes_nothing_after_a_takeover(
    stop: str, how: str, forks: Forks, new_folder: Callable[[], Path], figures: Counter[str], full: bool
) -> None:
    count = _contend(forks, new_folder()).wait().answer["calls_of_files"]
    calls = range(1, count + 1)
    for call in calls if full else random.Random(f"{stop} {how}").sample(calls, SAMPLE):
        folder = new_folder()
        zombie = _contend(forks, folder, stop_in_files=(stop, call), **HEIRS[how]["zombie"])
        if not zombie.has_stopped():  # the call raised an error
            assert zombie.wait().answer["did"] == "finished"
            continue
        heir = _contend(forks, folder, **HEIRS[how]["heir"]).wait().answer
        assert heir["did"] == "finished", f"stopped {stop} {call}: {heir}"
        written = _records(folder)
        zombie.proceed()
        woken = zombie.wait().answer
        case = f"stopped {stop} {call}: {woken}, {heir}"
        assert woken["did"] == "OwnershipLost" or not (woken["executed"] and heir["executed"]), case
        assert woken["did"] in ("OwnershipLost", "FlowOwned", "finished"), case
        assert _records(folder) == written, case
        times = Counter((line.atom, line.attempt) for line in lines_of(folder / "log"))
        assert set(times.values()) == {1}, case
        assert {atom for atom, _ in times} == {*"abcd"}, case
        assert len(times) <= 5, case  # four, and the one that was in flight
        figures[f"owners stopped in a directory, then {woken['did']}"] += 1


def _contend(forks: Forks, folder: Path, **how: Any) -> Child:
    conf = {"connection": f"dir:{folder}/runs"}
    return forks.start("crash.owners:contend", conf=conf, log=str(folder / "log"), **how)


def _records(folder: Path) -> str:
    with DirectoryBackend(f"dir:{folder}/runs") as backend:
        records = backend.load(driving.RUN)
    return json.dumps([records.rows, records.appended], sort_keys=True)


# -- in one process: an object of a backend is overtaken in the middle of a verb --


class Died(BaseException):
    """Stands for the end of a process in the middle of something."""


class Interrupted(WrappedFiles):
    """Lets something happen right before a call."""

    def __init__(self, inner: Files) -> None:
        super().__init__(inner)
        self._calls, self._act = 0, _nothing

    def interrupt_before(self, call: int, act: Callable[[], None]) -> None:
        self._calls, self._act = call, act

    def around(self, call: Call, go: Callable[[], _Answer]) -> _Answer:
        self._calls -= 1
        if self._calls == 0:
            self._act()
        return go()


def _nothing() -> None:
    """Do nothing."""


class Scene:
    """A flow with an owner, and somebody else who acts in the middle of what that owner does."""

    def __init__(self, path: Path, act: Callable[[Scene], None]) -> None:
        self.files = Interrupted(LocalFiles())
        self.mine = DirectoryBackend(f"dir:{path}", files=self.files)
        self.theirs = DirectoryBackend(f"dir:{path}")
        self.claim = begin(self.mine, "f")
        self.theirs.post(KEY, {"do": "suspend"})
        (self.request,) = self.theirs.load("f").kind("request")
        self.their_claim: Claim | None = None
        self.seen = ""
        self._act = act

    def let_them_act_before(self, call: int) -> None:
        """Have the others act before this call of files, counted from now on."""
        self.files.interrupt_before(call, self._interrupt)

    def _interrupt(self) -> None:
        self._act(self)
        self.seen = self.look()

    def look(self) -> str:
        """Return all that is in the logbook, as one who comes new to it sees it."""
        with DirectoryBackend(f"dir:{self.theirs.path}") as backend:
            found = [summary.state for summary in backend.find(Query())]
            try:
                records = backend.load("f")
            except NotFound:
                return "nothing"
        assert found == [records.kind("flow")["f"]["state"]]
        return json.dumps([records.rows, records.appended], sort_keys=True)

    def close(self) -> None:
        self.mine.close()
        self.theirs.close()


def _take_over(scene: Scene) -> None:
    claim = scene.theirs.claim(KEY, stranger(2), lease_s=1e6, take_over=True)
    scene.their_claim = scene.theirs.commit(claim, [Put("atom", "theirs", {"of": claim.epoch})])


def _take_over_and_give_up(scene: Scene) -> None:
    _take_over(scene)
    assert scene.their_claim is not None
    scene.theirs.renew(scene.their_claim, lease_s=0)
    scene.their_claim = None


def _come_and_go_twice(scene: Scene) -> None:
    _take_over_and_give_up(scene)
    _take_over_and_give_up(scene)


def _take_over_twice(scene: Scene) -> None:
    _take_over_and_give_up(scene)
    _take_over(scene)


def _take_over_and_over(scene: Scene) -> None:
    _take_over(scene)
    _take_over(scene)


def _die_while_taking_over(scene: Scene) -> None:
    def die() -> None:
        raise Died

    files = CrashingFiles(LocalFiles(), at=1, when="after", crash=die, verbs=["link"])
    dying = DirectoryBackend(f"dir:{scene.theirs.path}", files=files)
    with pytest.raises(Died):
        dying.claim(KEY, stranger(3), lease_s=1e6, take_over=True)
    dying.close()
    _take_over(scene)


def _destroy(scene: Scene) -> None:
    _take_over_and_give_up(scene)
    scene.theirs.destroy("f")


def _destroy_and_begin_anew(scene: Scene) -> None:
    _destroy(scene)
    claim = scene.theirs.claim(KEY, stranger(2), lease_s=1e6)
    scene.their_claim = scene.theirs.commit(claim, [Put("flow", "f", {**FLOW_ROW, "state": "PENDING"})])


ACTS = [
    _take_over,
    _take_over_and_give_up,
    _come_and_go_twice,
    _take_over_twice,
    _take_over_and_over,
    _die_while_taking_over,
    _destroy,
    _destroy_and_begin_anew,
]


def _commit(scene: Scene) -> None:
    changes: list[Change] = [Put("atom", "mine", {"x": "x" * 600}), Delete("request", scene.request)]
    scene.claim = scene.mine.commit(scene.claim, changes)


def _commit_beside(scene: Scene) -> None:
    scene.mine.commit(scene.claim, [Put("atom", "mine", {})], fence=Fence.EPOCH)


def _commit_opened_anew(scene: Scene) -> None:
    scene.mine.close()
    _commit(scene)


def _renew(scene: Scene) -> None:
    scene.mine.renew(scene.claim, lease_s=6000)


def _give_up(scene: Scene) -> None:
    scene.mine.renew(scene.claim, lease_s=0)


DOINGS = [_commit, _commit_beside, _commit_opened_anew, _renew, _give_up]


@pytest.mark.parametrize("act", ACTS, ids=lambda act: act.__name__)
@pytest.mark.parametrize("doing", DOINGS, ids=lambda doing: doing.__name__)
def test_an_owner_overtaken_in_the_middle_of_a_verb_changes_nothing_any_more(
    doing: Callable[[Scene], None], act: Callable[[Scene], None], new_folder: Callable[[], Path], figures: Counter[str]
) -> None:
    for at in itertools.count(1):
        scene = Scene(new_folder() / "runs", act)
        scene.let_them_act_before(at)
        try:
            doing(scene)
            is_acknowledged = True
        except OwnershipLost:
            is_acknowledged = False
        if not scene.seen:  # there are fewer calls than that
            scene.close()
            assert at > 3
            return
        assert scene.look() == scene.seen, f"overtaken before call {at}"
        if is_acknowledged and "commit" in doing.__name__:
            assert act in (_destroy, _destroy_and_begin_anew) or '"mine"' in scene.seen, f"overtaken before call {at}"
        with pytest.raises(OwnershipLost):
            scene.mine.commit(scene.claim, [Put("atom", "later", {})], fence=Fence.EPOCH)
        assert scene.look() == scene.seen, f"overtaken before call {at}"
        if scene.their_claim is not None:
            scene.theirs.commit(scene.their_claim, [Put("atom", "still theirs", {})])
            assert "still theirs" in scene.look()
        scene.close()
        figures["verbs overtaken in the middle"] += 1


@pytest.mark.parametrize("act", ACTS, ids=lambda act: act.__name__)
@pytest.mark.parametrize("is_free", [False, True])
def test_a_claim_overtaken_in_its_middle_is_the_newest_or_worth_nothing(
    is_free: bool, act: Callable[[Scene], None], new_folder: Callable[[], Path], figures: Counter[str]
) -> None:
    for at in itertools.count(1):
        scene = Scene(new_folder() / "runs", act)
        if is_free:
            _give_up(scene)
        scene.let_them_act_before(at)
        claim = scene.mine.claim(KEY, stranger(5), lease_s=1e6, take_over=True)
        if not scene.seen:
            scene.close()
            assert at > 10
            return
        assert scene.look() == scene.seen, f"overtaken before call {at}"
        acknowledged = 0
        for backend, one in ((scene.mine, claim), (scene.theirs, scene.their_claim)):
            before = scene.look()
            try:
                if one is not None:
                    backend.commit(one, [Put("flow", "f", {**FLOW_ROW, "state": "SUCCESS"})])
                    acknowledged += 1
                    assert "SUCCESS" in scene.look(), f"acknowledged and lost: overtaken before call {at}"
            except OwnershipLost:
                assert scene.look() == before, f"overtaken before call {at}"
        assert acknowledged == 1 or (acknowledged == 0 and scene.their_claim is None), f"overtaken before call {at}"
        scene.close()
        figures["claims overtaken in the middle"] += 1


def _expired(backend: DirectoryBackend) -> None:
    backend.claim(KEY, stranger(9), lease_s=0)


def _free(backend: DirectoryBackend) -> None:
    backend.renew(begin(backend, "f"), lease_s=0)


def _no_logbook(backend: DirectoryBackend) -> None:
    assert not backend.find(Query())


BEFORE = {"expired": _expired, "free": _free, "never seen": DirectoryBackend.open, "no logbook": _no_logbook}


@pytest.mark.parametrize("before", BEFORE.values(), ids=BEFORE)
def test_of_two_who_claim_at_once_one_is_refused(
    before: Callable[[DirectoryBackend], None], new_folder: Callable[[], Path], figures: Counter[str]
) -> None:
    for at in itertools.count(1):
        path = new_folder() / "runs"
        theirs = DirectoryBackend(f"dir:{path}")
        before(theirs)
        got: list[Claim] = []

        def claim(backend: DirectoryBackend = theirs, got: list[Claim] = got) -> None:
            with suppress(FlowOwned):
                got.append(backend.claim(KEY, stranger(2), lease_s=1e6))

        files = CrashingFiles(LocalFiles(), at=at, crash=claim, verbs=EVERY_CALL)
        mine = DirectoryBackend(f"dir:{path}", files=files)
        with suppress(FlowOwned):
            got.append(mine.claim(KEY, stranger(3), lease_s=1e6))
        assert len(got) == 1, f"claimed before call {at}"
        theirs.commit(got[0], [Put("flow", "f", FLOW_ROW)])  # whoever has it
        mine.close()
        theirs.close()
        if files.count < at:
            return
        figures["claims at once"] += 1
