"""Every exception, grouped by who can fix it.

`UsageError` is the caller's program, `FlowFailed` a task of theirs, `StorageError` the world (trying again may
help), `InternalError` us. Each says what happened (``str``), and where it knows them also ``where``, ``why`` and
``todo``; the command line prints these four parts and no traceback, a traceback has the last three as notes.
Facts are attributes; the class writes the text.
"""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterable, Sequence
from difflib import get_close_matches
from functools import cached_property
from typing import ClassVar, NamedTuple


class FlowbookError(Exception):
    """Base of every error that flowbook raises on purpose."""

    code: ClassVar[str] = "FB000"

    @property
    def where(self) -> str:
        """Say where it happened (a file and line, a URL, a run), or nothing."""
        return ""

    @property
    def why(self) -> str:
        """Say what caused it, or nothing."""
        return ""

    @property
    def todo(self) -> str:
        """Say what the reader can do about it, or nothing."""
        return ""

    @cached_property
    def __notes__(self) -> list[str]:  # type: ignore[override]  # made when first read, then a plain attribute
        """What tracebacks print below the text (PEP 678): the other parts; `add_note` adds to them."""
        return self._notes()

    def _notes(self) -> list[str]:
        """Return the parts that the text does not hold already, a note each."""
        text = str(self)
        parts = (("where", self.where), ("why", self.why), ("do", self.todo))
        return [f"  {name}: {part}" for name, part in parts if not all(each in text for each in part.split(", "))]


class UsageError(FlowbookError):
    """The calling program, a URL or a word on the command line is wrong; trying again changes nothing."""

    code = "FB100"


class FlowFailed(FlowbookError):
    """Tasks of the flow failed; the flow was run as declared."""

    code = "FB200"


class StorageError(FlowbookError):
    """The logbook cannot be read or written now; what was committed is safe."""

    code = "FB300"


class InternalError(FlowbookError):
    """Flowbook contradicts itself."""

    code = "FB900"

    @property
    def todo(self) -> str:
        """Ask for a report."""
        return "please report this, with the text above and the version of flowbook"


# -- usage ----------------------------------------------------------------------------------------------------


class Problem(NamedTuple):
    """One wiring error: what is wrong, at which places (``file:line``), and how it might be mended."""

    what: str
    places: tuple[str, ...] = ()
    hint: str = ""

    def __str__(self) -> str:
        places = f" ({', '.join(self.places)})" if self.places else ""
        return f"{self.what}{places}" + (f"; {self.hint}" if self.hint else "")


class CompilationFailure(UsageError):
    """The flow cannot be run as it is wired; ``problems`` holds every error, not only the first."""

    code = "FB101"

    def __init__(self, flow: str, problems: Sequence[Problem]) -> None:
        self.flow, self.problems = flow, tuple(problems)
        super().__init__(flow, self.problems)

    def __str__(self) -> str:
        lines = "".join(f"\n  - {problem}" for problem in self.problems)
        return f"flow {self.flow!r} has {len(self.problems)} wiring error(s):{lines}"

    @property
    def where(self) -> str:
        """Name the places of all problems, each once."""
        return ", ".join(dict.fromkeys(place for problem in self.problems for place in problem.places))


class InvalidState(UsageError):
    """What was asked for is not possible in the state the flow or engine is in."""

    code = "FB102"

    def __init__(self, asked: str, state: str) -> None:
        self.asked, self.state = asked, state
        super().__init__(asked, state)

    def __str__(self) -> str:
        return f"cannot {self.asked} while {self.state}"


class NotPossible(UsageError, ValueError):
    """An argument's value makes no sense; ``what`` says which and why."""

    code = "FB103"

    def __init__(self, what: str, *, where: str = "", why: str = "", todo: str = "") -> None:
        self.what, self._where, self._why, self._todo = what, where, why, todo
        super().__init__(what)

    def __str__(self) -> str:
        return self.what

    @property
    def where(self) -> str:
        """Say where the value stood."""
        return self._where

    @property
    def why(self) -> str:
        """Say what makes no sense about it, where the text does not."""
        return self._why

    @property
    def todo(self) -> str:
        """Say what to give instead."""
        return self._todo


class WrongType(UsageError, TypeError):
    """An argument is of a type that is not taken here."""

    code = "FB104"

    def __init__(self, what: str, got: object, wanted: str, *, todo: str = "") -> None:
        self.what, self.got, self.wanted, self._todo = what, repr(got), wanted, todo
        super().__init__(what, self.got, wanted)

    def __str__(self) -> str:
        return f"{self.what} is {self.got}, which is not {self.wanted}"

    @property
    def todo(self) -> str:
        """Say what to give instead."""
        return self._todo


class UnknownPlugin(UsageError, LookupError):
    """No installed package offers a backend, engine or executor of this name."""

    code = "FB105"

    def __init__(self, group: str, name: str, known: Collection[str], *, why: str = "", todo: str = "") -> None:
        self.group, self.name, self.known = group, name, tuple(sorted(known))
        self._why, self._todo = why, todo
        super().__init__(group, name, self.known)

    def __str__(self) -> str:
        return f"no {self.group} is called {self.name!r}; installed are {', '.join(self.known) or 'none'}"

    @property
    def why(self) -> str:
        """Say why a known one could not be loaded."""
        return self._why

    @property
    def todo(self) -> str:
        """Say what there is instead, or name the nearest."""
        return self._todo or did_you_mean(self.name, self.known)


class InputsChanged(UsageError):
    """The run was recorded with other inputs than those given now."""

    code = "FB106"

    def __init__(self, run: str, names: Iterable[str]) -> None:
        self.run, self.names = run, tuple(sorted(names))
        super().__init__(run, self.names)

    def __str__(self) -> str:
        return f"run {self.run!r} was recorded with other values of {', '.join(map(repr, self.names))}"

    @property
    def todo(self) -> str:
        """Offer the two ways on."""
        return "give the recorded inputs (or none) to continue this run, or choose another run_id"


class FlowChanged(UsageError):
    """The flow differs from the plan that the run recorded, in a way that is refused."""

    code = "FB107"

    def __init__(self, run: str, differences: Sequence[str]) -> None:
        self.run, self.differences = run, tuple(differences)
        super().__init__(run, self.differences)

    def __str__(self) -> str:
        return f"the flow of run {self.run!r} has changed: " + "; ".join(self.differences)

    @property
    def todo(self) -> str:
        """Offer the two ways on."""
        return "resume with the code that started the run, or start a new run under another run_id"


class FactoryRefused(UsageError):
    """The run's flow would be rebuilt by code that the caller has not allowed."""

    code = "FB108"

    def __init__(self, run: str, factory: str, allow: str) -> None:
        self.run, self.factory, self.allow = run, factory, allow
        super().__init__(run, factory, allow)

    def __str__(self) -> str:
        return f"run {self.run!r} is built by {self.factory}, which is not on the allow-list"

    @property
    def todo(self) -> str:
        """Print what to allow: an argument of `resume` and an option of the command line alike."""
        return f"if you trust it: --allow {self.allow}    (in code: engines.resume(..., allow=[{self.allow!r}]))"


class FactoryMissing(UsageError, LookupError):
    """The flow cannot be rebuilt: no factory was saved, or it cannot be found or called any more."""

    code = "FB109"

    def __init__(self, run: str, why: str) -> None:
        self.run, self._why = run, why
        super().__init__(run, why)

    def __str__(self) -> str:
        return f"the flow of run {self.run!r} cannot be rebuilt"

    @property
    def why(self) -> str:
        """Say what is missing."""
        return self._why

    @property
    def todo(self) -> str:
        """Say how to go on without a factory."""
        return "run the program that started it again with the same run_id: it continues where it stopped"


class EncodeError(UsageError, TypeError):
    """A value cannot be stored; ``path`` says which part of it."""

    code = "FB110"

    def __init__(self, path: str, reason: str) -> None:
        self.path, self.reason = path, reason
        super().__init__(path, reason)

    def __str__(self) -> str:
        return f"cannot store {self.path}: {self.reason}"

    @property
    def todo(self) -> str:
        """Offer the usual ways out."""
        return "return plain data, a dataclass or an Enum, or register the type: flowbook.persistence.register_type"


class DecodeError(UsageError, LookupError):
    """A stored value is whole, but this process cannot rebuild it; ``type_name`` says what it would be."""

    code = "FB111"

    def __init__(self, type_name: str, reason: str) -> None:
        self.type_name, self.reason = type_name, reason
        super().__init__(type_name, reason)

    def __str__(self) -> str:
        return f"cannot rebuild a stored {self.type_name}: {self.reason}"

    @property
    def todo(self) -> str:
        """Name the module to import; a record is no reason to import one by itself."""
        module, colon, _ = self.type_name.partition(":")
        first = f"import {module} before resuming" if colon else "define it as the program that stored it did"
        return f"{first}, or register the type: flowbook.persistence.register_type"


# -- storage --------------------------------------------------------------------------------------------------


class NotFound(StorageError, LookupError):
    """The logbook has no such record."""

    code = "FB301"

    def __init__(self, kind: str, key: str, known: Collection[str] = ()) -> None:
        self.kind, self.key, self.known = kind, key, tuple(sorted(known))
        super().__init__(kind, key, self.known)

    def __str__(self) -> str:
        return f"there is no {self.kind} {self.key!r}"

    @property
    def todo(self) -> str:
        """Name the nearest key that exists."""
        return did_you_mean(self.key, self.known)


class FlowOwned(StorageError):
    """Another living engine owns the flow."""

    code = "FB302"

    def __init__(self, key: str, owner: str, since: str, lease_left_s: float | None = None) -> None:
        self.key, self.owner, self.since, self.lease_left_s = key, owner, since, lease_left_s
        super().__init__(key, owner, since, lease_left_s)

    def __str__(self) -> str:
        lease = "" if self.lease_left_s is None else f", its lease ends in {self.lease_left_s:.0f} s"
        return f"{_claimed(self.key)} is owned by {self.owner} since {self.since}{lease}"

    @property
    def todo(self) -> str:
        """Say how the claim ends."""
        return (
            "wait until that engine has ended or is known to be dead: wait_and_resume, on the command line --wait; "
            "or take the run from it: take_over=True, --take-over"
        )


class OwnershipLost(StorageError):
    """A newer owner has taken the flow over: nothing that this engine writes is taken any more."""

    code = "FB303"

    def __init__(self, key: str, epoch: int) -> None:
        self.key, self.epoch = key, epoch
        super().__init__(key, epoch)

    def __str__(self) -> str:
        return f"the claim on {_claimed(self.key)} (epoch {self.epoch}) is lost: a newer owner has taken over"

    @property
    def todo(self) -> str:
        """Leave the run to its new owner."""
        kind, _, name = self.key.partition(":")
        return f"another process runs it: flowbook watch {shlex.quote(name)}" if kind == "flow" else ""


class _Trouble(StorageError):
    """Storage trouble with a backend's name and the driver's words."""

    says: ClassVar[str] = "storage trouble"
    then: ClassVar[str] = ""  # what to do

    def __init__(self, backend: str, reason: str) -> None:
        self.backend, self.reason = backend, reason
        super().__init__(backend, reason)

    def __str__(self) -> str:
        return self.says

    @property
    def where(self) -> str:
        """Name the backend, secrets hidden."""
        return self.backend

    @property
    def why(self) -> str:
        """Give the driver's words."""
        return self.reason

    @property
    def todo(self) -> str:
        """Say how to go on."""
        return self.then


class StorageBusy(_Trouble):
    """Others kept the storage locked until the deadline; nothing was written."""

    code, says = "FB304", "the storage stayed locked by others until the deadline"
    then = "run it again: it continues where it stopped"


class StorageFull(_Trouble):
    """There is no space left; nothing was written."""

    code, says = "FB305", "the storage is full"
    then = "free space, then run it again: it continues where it stopped"


class StorageUnavailable(_Trouble):
    """The storage cannot be reached or written."""

    code, says = "FB306", "the storage cannot be reached or written"
    then = "see that path, server and permissions are right, then run it again: it continues where it stopped"


class Damaged(_Trouble):
    """A stored record cannot be read; other flows are not touched."""

    code, says = "FB307", "a stored record is damaged"
    then = "flowbook doctor names all that is damaged; other runs are untouched, and can be read and resumed"


class NotALogbook(Damaged):
    """The storage is no logbook: something else, or another program's; nothing was written."""

    code, says = "FB310", "this is not a flowbook logbook"
    then = "name the file, directory or database of a logbook (in ZooKeeper the path), or an empty or new one"


class NewerSchema(_Trouble):
    """The storage was written by a newer version of flowbook."""

    code, says = "FB308", "the storage was written by a newer version of flowbook"
    then = "install the newer version of flowbook"


class TooLarge(StorageError):
    """A value is over the size that the backend takes."""

    code = "FB309"

    def __init__(self, what: str, size_bytes: int, limit_bytes: int) -> None:
        self.what, self.size_bytes, self.limit_bytes = what, size_bytes, limit_bytes
        super().__init__(what, size_bytes, limit_bytes)

    def __str__(self) -> str:
        return f"{self.what} has {self.size_bytes} bytes, over the limit of {self.limit_bytes}"

    @property
    def todo(self) -> str:
        """Offer the usual ways out."""
        return "return a path or a key to the data, not the data"


# -- ourselves ------------------------------------------------------------------------------------------------


class InvalidTransition(InternalError):
    """The transition tables have no such row."""

    code = "FB901"

    def __init__(self, state: str, event: str) -> None:
        self.state, self.event = state, event
        super().__init__(state, event)

    def __str__(self) -> str:
        return f"nothing leads from {self.state} by {self.event}"


def _claimed(key: str) -> str:
    """Return what a claim's key stands for, as people call it."""
    kind, _, name = key.partition(":")
    return f"run {name!r}" if kind == "flow" else key


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return ``did you mean 'x'?`` with the nearest known name, or nothing when none is near."""
    near = get_close_matches(name, list(known), n=1)
    return f"did you mean {near[0]!r}?" if near else ""
