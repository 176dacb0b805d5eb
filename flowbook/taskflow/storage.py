"""TaskFlow's ``storage``: `Storage`, which engines and listeners ask for all that is known of a flow.

It works on the details it was given, which others may change as well: nothing of them is remembered here.
A change is made to a copy, written by the backend, and then taken over, so that a failed write changes nothing.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from threading import RLock
from types import SimpleNamespace
from typing import Any, Final, TypeVar
from uuid import uuid4

from flowbook.atoms import History
from flowbook.atoms.base import Atom
from flowbook.taskflow import exceptions, states
from flowbook.taskflow.persistence.base import Backend
from flowbook.taskflow.persistence.models import AtomDetail, FlowDetail, RetryDetail, TaskDetail
from flowbook.taskflow.persistence.rows import INJECTOR
from flowbook.taskflow.types.failure import Failure

META_INJECTED: Final = "injected"
META_PROGRESS: Final = "progress"
META_PROGRESS_DETAILS: Final = "progress_details"
"""The keys of an atom's metadata that storage itself writes."""

Values = dict[str, Any]
Pairs = Mapping[str, Any] | Iterable[tuple[str, Any]]
Names = Mapping[str, str]
Few = Collection[str] | None
Handler = Callable[[list[Any]], Any] | None
Scopes = Iterable[Iterable[str]] | None  # the atoms whose results may be taken, the nearest scope first
Fetcher = Callable[[str], Scopes] | None  # gives the scopes that are visible to an atom

_READABLE: Final = {
    states.EXECUTE: (states.SUCCESS, states.FAILURE, states.REVERTING),
    states.REVERT: (states.REVERTED, states.REVERT_FAILURE, states.REVERTING),
}
"""In which states an atom has something to show for its execute and for its revert."""

_BEGUN_AGAIN: Final = (states.PENDING, states.RUNNING, states.RETRYING, states.SUCCESS, states.IGNORE)
"""In which states a failure that an atom still has is one of an earlier attempt."""

_Kind = TypeVar("_Kind", bound=AtomDetail)
_Changed = TypeVar("_Changed", FlowDetail, AtomDetail, TaskDetail, RetryDetail)
_Told = TypeVar("_Told")


def _outcome(atom: AtomDetail, method: str, results: str) -> Any:
    """Return why a method of the atom failed, else what its attribute ``results`` has. Raises NotFound for neither."""
    failures = _failed(atom)
    if method in failures:
        return failures[method]
    if atom.state not in _READABLE[method]:
        raise exceptions.NotFound(f"atom {atom.name!r} has no result of {method}: it is {atom.state}")
    return getattr(atom, results)


def _failed(atom: AtomDetail) -> dict[str, Failure]:
    """Return the failures of an atom that no later attempt made good, by what failed."""
    failures = {states.EXECUTE: atom.failure, states.REVERT: atom.revert_failure}
    is_old = atom.state in _BEGUN_AGAIN
    return {method: failure for method, failure in failures.items() if failure is not None and not is_old}


def _reader(kind: type[_Kind], read: Callable[[_Kind], _Told]) -> Callable[[Any, str], _Told]:
    """Return a method that takes the name of an atom of this kind, and tells what ``read`` does of its detail."""
    return lambda storage, atom_name: read(storage._atom_of(kind, atom_name))


def _teller(method: str) -> Callable[[Any], dict[str, Failure]]:
    """Return a method that tells why execute or revert failed, by name of atom, where no later attempt made it good."""
    return lambda storage: {
        atom.name: failures[method] for atom in storage._flowdetail if method in (failures := _failed(atom))
    }


class StoredFlow:
    """A flow detail, the backend that keeps it or None, and how to find the atoms in it.

    All that take the name of an atom raise NotFound for an unknown one, and TypeError for one of another kind.
    """

    def __init__(self, flow_detail: FlowDetail, backend: Backend | None = None) -> None:
        self._flowdetail, self.backend = flow_detail, backend
        self.flow_name, self.flow_uuid = flow_detail.name, flow_detail.uuid
        lock = RLock()  # held, more than once if need be, by all who change the details
        self.lock: Final = SimpleNamespace(read_lock=lambda: lock, write_lock=lambda: lock)
        self._uuids = {atom.name: atom.uuid for atom in flow_detail}

    @property
    def flow_meta(self) -> dict[str, Any]:
        """The metadata of the flow detail."""
        return self._flowdetail.meta

    def get_flow_state(self) -> str:
        """Return the state of the flow; one that never ran is PENDING."""
        return self._flowdetail.state or states.PENDING

    def set_flow_state(self, state: str) -> None:
        """Note and write the state of the flow, whatever it was before."""
        with self._changed(self._flowdetail) as flow:
            flow.state = state

    def change_flow_state(self, state: str) -> tuple[bool, str]:
        """Return whether the state is another one now, and the old one. Raises InvalidState if it cannot follow."""
        with self.lock.write_lock():
            old = self.get_flow_state()
            moved = states.check_flow_transition(old, state)
            if moved:
                self.set_flow_state(state)
            return moved, old

    def update_flow_metadata(self, update_with: Mapping[str, Any] | None) -> None:
        """Add to the flow's metadata and write it."""
        with self._changed(self._flowdetail) as flow:
            flow.meta.update(update_with or {})

    get_atom_uuid = _reader(AtomDetail, lambda atom: atom.uuid)
    get_atom_state = _reader(AtomDetail, lambda atom: atom.state)
    get_atom_intention = _reader(AtomDetail, lambda atom: atom.intention)

    def get_atoms_states(self, atom_names: Iterable[str]) -> dict[str, tuple[str | None, str | None]]:
        """Return state and intention of atoms, by name."""
        return {atom.name: (atom.state, atom.intention) for atom in map(self._atom, atom_names)}

    def _atom(self, name: str) -> AtomDetail:
        return self._atom_of(AtomDetail, name)

    def _atom_of(self, kind: type[_Kind], name: str) -> _Kind:
        atom = self._flowdetail.find(self._uuids.get(name, ""))
        if atom is None:
            raise exceptions.NotFound(f"Unknown atom name {name!r}")
        if not isinstance(atom, kind):
            raise TypeError(f"what is kept of atom {name!r} is a {type(atom).__name__}, not a {kind.__name__}")
        return atom

    @contextmanager
    def _changed(self, detail: _Changed) -> Iterator[_Changed]:
        """Give a copy of a detail to change, with nothing inside, which is then written and taken over."""
        with self.lock.write_lock():
            changed = detail.copy(retain_contents=False) if isinstance(detail, FlowDetail) else detail.copy()
            yield changed
            if self.backend is not None:
                with closing(self.backend.get_connection()) as connection:
                    is_flow = isinstance(changed, FlowDetail)
                    (connection.update_flow_details if is_flow else connection.update_atom_details)(changed)
            detail.merge(changed)

    def _add(self, atoms: Iterable[AtomDetail]) -> None:
        """Write atom details, and take them in."""
        with self._changed(self._flowdetail) as flow:
            for atom in atoms:
                flow.add(atom)
        for atom in flow:
            self._flowdetail.add(atom)
            self._uuids[atom.name] = atom.uuid


class StoredAtoms(StoredFlow):
    """States, outcomes, histories and progress of the atoms of a flow; what changes them writes them."""

    def set_atom_state(self, atom_name: str, state: str) -> None:
        """Note the state of an atom, whatever it was before; a PENDING task has no outcome."""
        with self._changed(self._atom(atom_name)) as atom:
            atom.state = state
            if state == states.PENDING and isinstance(atom, TaskDetail):
                atom.forget()

    def set_atom_intention(self, atom_name: str, intention: str) -> None:
        """Note what is to become of an atom."""
        with self._changed(self._atom(atom_name)) as atom:
            atom.intention = intention

    def reset(self, atom_name: str, state: str = states.PENDING) -> None:
        """Forget the outcome of an atom and give it this state; does nothing when it is in it."""
        if atom_name != INJECTOR and self.get_atom_state(atom_name) != state:
            with self._changed(self._atom(atom_name)) as atom:
                atom.reset(state)

    def update_atom_metadata(self, atom_name: str, update_with: Pairs | None) -> None:
        """Add to the metadata of an atom."""
        with self._changed(self._atom(atom_name)) as atom:
            atom.meta.update(update_with or {})

    def set_task_progress(self, task_name: str, progress: float, details: Mapping[str, Any] | None = None) -> None:
        """Note how far a task is, from 0 to 1; empty ``details`` take away those noted before."""
        with self._changed(self._atom_of(TaskDetail, task_name)) as task:
            task.meta[META_PROGRESS] = progress
            if details is not None:
                noted = {"at_progress": progress, "details": details} if details else None
                task.meta[META_PROGRESS_DETAILS] = noted

    get_task_progress = _reader(TaskDetail, lambda task: float(task.meta.get(META_PROGRESS, 0.0)))
    get_task_progress_details = _reader(TaskDetail, lambda task: task.meta.get(META_PROGRESS_DETAILS))
    get_execute_result = get = _reader(AtomDetail, lambda atom: _outcome(atom, states.EXECUTE, "results"))
    get_revert_result = _reader(AtomDetail, lambda atom: _outcome(atom, states.REVERT, "revert_results"))
    get_retry_history = _reader(RetryDetail, lambda it: History(it.results, failure=_failed(it).get(states.EXECUTE)))

    def save_retry_failure(self, retry_name: str, failed_atom_name: str, failure: Failure) -> None:
        """Add an atom's first failure to the newest attempt of a retry. Raises StorageFailure where there was none."""
        with self._changed(self._atom_of(RetryDetail, retry_name)) as retry:
            if not retry.results:
                raise exceptions.StorageFailure(f"retry {retry_name!r} has made no attempt that could have failed")
            retry.last_failures.setdefault(failed_atom_name, failure)

    def cleanup_retry_history(self, retry_name: str, state: str) -> None:
        """Empty the history of a retry and give it this state."""
        with self._changed(self._atom_of(RetryDetail, retry_name)) as retry:
            retry.results, retry.state = [], state

    def get_retry_histories(self) -> list[tuple[str, History]]:
        """Return the name and the attempts of every retry."""
        retries = [atom.name for atom in self._flowdetail if isinstance(atom, RetryDetail)]
        return [(name, self.get_retry_history(name)) for name in retries]

    get_failures = get_execute_failures = _teller(states.EXECUTE)
    get_revert_failures = _teller(states.REVERT)

    def has_failures(self) -> bool:
        """Return whether any execute or revert has failed and was not made good."""
        return any(map(_failed, self._flowdetail))


class Storage(StoredAtoms):
    """All that is known of a flow, and how to change it; changes are written when there is a ``backend``."""

    injector_name = INJECTOR

    def __init__(self, flow_detail: FlowDetail, backend: Backend | None = None, scope_fetcher: Fetcher = None) -> None:
        super().__init__(flow_detail, backend)
        self._scopes_of = scope_fetcher or (lambda atom_name: None)
        self._save_as: dict[str, Mapping[str, int | str | None]] = {}
        self._providers: dict[str, dict[str, None]] = {}  # the names of atoms by symbol, in order
        self._transient: Values = {}
        self._transient_of: dict[str, Values] = {}

    def ensure_atom(self, atom: Atom) -> str:
        """Return the uuid of the atom's detail, as `ensure_atoms` does for many."""
        return self.ensure_atoms([atom])[0]

    def ensure_atoms(self, atoms: Iterable[Any]) -> list[str]:
        """Return the uuids of the atoms' details; those that are missing are made and written, all in one.

        Raises TypeError for what is no atom, and Duplicate where a task has the name of a retry.
        """
        given = list(atoms)
        with self.lock.write_lock():
            missing: dict[str, AtomDetail] = {}
            for atom in given:
                if not isinstance(atom, Atom):
                    raise TypeError(f"Unknown atom {atom!r}, a {type(atom).__name__}: neither a task nor a retry")
                kind = RetryDetail if atom.kind == "retry" else TaskDetail
                if atom.name not in self._uuids:
                    version = atom.version if isinstance(atom.version, str) else ".".join(map(str, atom.version))
                    missing[atom.name] = kind(atom.name, str(uuid4()), version=version, state=states.PENDING)
                elif not isinstance(self._atom(atom.name), kind):
                    raise exceptions.Duplicate(f"Atom detail {atom.name!r} of {self.flow_name!r} is of another kind")
            if missing:
                self._add(missing.values())
            for atom in given:
                self._save_as[atom.name] = atom.save_as
                for symbol in atom.save_as:
                    self._providers.setdefault(symbol, {})[atom.name] = None
            return [self._uuids[atom.name] for atom in given]

    def save(self, atom_name: str, result: Any, state: str = states.SUCCESS) -> None:
        """Note and write what an atom's execute or revert came to, and the state it is in now."""
        with self._changed(self._atom(atom_name)) as atom:
            atom.put(state, result)

    def inject(self, pairs: Pairs, transient: bool = False) -> None:
        """Give values to all atoms of the flow; transient ones are for this storage only, others are written."""
        with self.lock.write_lock():
            if transient:
                self._transient.update(pairs)
            else:
                injector = TaskDetail(INJECTOR, self._uuids.get(INJECTOR) or str(uuid4()))
                injector.put(states.SUCCESS, {**self._kept(), **dict(pairs)})
                self._add([injector])

    def inject_atom_args(self, atom_name: str, pairs: Pairs, transient: bool = True) -> None:
        """Give values to one atom, which come before all others; those that are not transient are written."""
        with self.lock.write_lock():
            kept = self._atom(atom_name).meta.get(META_INJECTED) or {}
            if transient:
                self._transient_of.setdefault(atom_name, {}).update(pairs)
            else:
                self.update_atom_metadata(atom_name, {META_INJECTED: {**kept, **dict(pairs)}})

    def injected_inputs(self) -> Values:
        """Return the values that were given to all atoms, by symbol; those that are written come first."""
        return {**self._transient, **self._kept()}

    def injected_for(self, atom_name: str) -> Values:
        """Return the values that were given to one atom, by symbol; transient ones come first."""
        kept = self._atom(atom_name).meta.get(META_INJECTED) or {}
        return {**kept, **self._transient_of.get(atom_name, {})}

    def fetch(self, name: str, many_handler: Handler = None) -> Any:
        """Return what was injected, else provided, or what ``many_handler`` makes of all of it. Raises NotFound."""
        values = self._values(name)
        if not values:
            raise exceptions.NotFound(self._why_no(name))
        return many_handler(values) if many_handler else values[0]

    def fetch_all(self, many_handler: Handler = None) -> Values:
        """Return the value of every symbol that has one; several are a list, or what ``many_handler`` makes of it."""
        found = {name: self._values(name) for name in {**self._providers, **self.injected_inputs()}}
        handle = many_handler or (lambda values: values[0] if len(values) == 1 else values)
        return {name: handle(values) for name, values in found.items() if values}

    def fetch_mapped_args(
        self, args_mapping: Names, atom_name: str | None = None, scope_walker: Scopes = None, optional_args: Few = None
    ) -> Values:
        """Return the values of arguments as the atom would be given them. Raises NotFound unless it is optional."""
        first = {} if atom_name is None else self.injected_for(atom_name)
        injected, scopes = {**self.injected_inputs(), **first}, self._scopes(atom_name, scope_walker)
        found = {}
        for argument, symbol in args_mapping.items():
            try:
                found[argument] = injected[symbol] if symbol in injected else self._nearest(symbol, scopes)
            except exceptions.NotFound:
                if argument not in (optional_args or ()):
                    raise
        return found

    def fetch_unsatisfied_args(
        self, atom_name: str, args_mapping: Names, scope_walker: Scopes = None, optional_args: Few = None
    ) -> set[str]:
        """Return the arguments that nobody provides, now or later, as seen from the atom."""
        injected = {**self.injected_inputs(), **self.injected_for(atom_name)}
        visible = {name for scope in self._scopes(atom_name, scope_walker) for name in scope}
        wanted = {name: symbol for name, symbol in args_mapping.items() if name not in (optional_args or ())}
        known = {symbol for symbol, providers in self._providers.items() if not visible.isdisjoint(providers)}
        return {name for name, symbol in wanted.items() if symbol not in injected and symbol not in known}

    def _kept(self) -> Values:
        """Return the values that were injected to stay."""
        return (self._atom(INJECTOR).results if INJECTOR in self._uuids else None) or {}

    def _scopes(self, atom_name: str | None, given: Scopes) -> list[list[str]]:
        if given is None and atom_name is not None:
            given = self._scopes_of(atom_name)
        return [list(scope) for scope in given or ()]

    def _values(self, symbol: str) -> list[Any]:
        injected = [source[symbol] for source in (self._kept(), self._transient) if symbol in source]
        return [*injected, *self._provided(symbol, self._providers.get(symbol, ()))]

    def _nearest(self, symbol: str, scopes: list[list[str]]) -> Any:
        """Return the value from the nearest scope that has a provider of the symbol which was not ignored."""
        providers = self._providers.get(symbol, ())
        for scope in scopes:
            near = [name for name in scope if name in providers and self.get_atom_state(name) != states.IGNORE]
            for value in self._provided(symbol, near):
                return value
            if near:
                break
        raise exceptions.NotFound(self._why_no(symbol))

    def _provided(self, symbol: str, names: Iterable[str]) -> Iterator[Any]:
        """Yield the value that each atom gives a symbol, of those that have given one."""
        for name in names:
            try:
                result, index = _outcome(self._atom(name), states.EXECUTE, "last_results"), self._save_as[name][symbol]
                value = result if index is None else result[index]
            except (exceptions.NotFound, LookupError, TypeError, ValueError):  # there is no result, or not in it
                continue
            yield value

    def _why_no(self, symbol: str) -> str:
        if symbol not in self._providers:
            return f"Name {symbol!r} is not mapped to anything that was injected or that an atom provides"
        return f"Unable to find result {symbol!r} in what is there of {', '.join(self._providers[symbol])}"
