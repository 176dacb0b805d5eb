"""A slow reference of a flow with retries and deciders, other half: who is asked what, and what an answer does."""

from __future__ import annotations

from typing import Any, NamedTuple

from flowbook.atoms import Retry
from simulation.layout import WHOLE
from simulation.reference import ALWAYS
from simulation.reference_rounds import Rounds


class Question(NamedTuple):
    """What ``retry`` is asked: about the failure ``what`` of ``about``, which ``first`` was asked about at first."""

    retry: str
    about: str
    what: str
    first: str
    wave: int


class ScopedReference(Rounds):
    """Who is asked about a failure or about an atom, one question after the other, and what an answer does."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.questions: list[Question] = []  # about failures, not put yet
        self.handed_on: Question | None = None

    # -- messages --

    def enter(self) -> None:
        self.decided = {name for name in self.state if self.state[name] == "RUNNING" or self._is_begun(name)} | self.due
        self.undecided, self.questions, self.handed_on, self.dropped = set(), [], None, set()
        self.wave = {**self.wave, **{name: -1 for name, state in self.state.items() if state == "IGNORE"}}
        super().enter()
        for name in self._unjudged() if self.broken_in == ALWAYS else ():
            self._judge(name, self.wave[name])

    def ended(self, name: str, failed: bool) -> None:
        executed, wave = self._end(name)
        if executed and failed:
            self._fail(name, wave)
        elif executed:
            self._set(name, "SUCCESS")
            if isinstance(self.layout.atoms[name], Retry):
                self.history = {**self.history, name: [*self.history.get(name, []), (self.result_of(name), {})]}
        elif failed:
            self._set(name, "REVERT_FAILURE")
            self._break(wave)
        else:
            self._set(name, "REVERTED")
            self._forget_history({name})
        self._queue_ready(wave)

    def suspended(self, withdrawn: list[str]) -> None:
        was, begun = self.flow, [name for name in withdrawn if self.state[name] == "RUNNING" and name in self.history]
        super().suspended(withdrawn)
        self.state = {**self.state, **dict.fromkeys(begun, "RETRYING")}
        self.flow = "SUSPENDING" if was == "RUNNING" else was

    def _is_ending(self) -> bool:
        return self.broken_in < ALWAYS or WHOLE in self.intentions

    def _revert_all(self) -> None:
        self.questions, self.handed_on = [], None
        if self.resolves:
            self._resolve(WHOLE, "REVERT", -1)
        else:
            self._break(-1)

    # -- questions --

    def asks(self) -> set[tuple[str, str]]:
        """Return who may be asked next, each with the atom it is asked about (deciders: with nothing)."""
        if self.handed_on is not None:
            return {self.handed_on[:2]}
        return {question[:2] for question in self.questions} | {(name, "") for name in self.undecided}

    def put(self, retry: str, about: str) -> Question:
        """Put a question about a failure: the retry's history has it from now on."""
        pending = [self.handed_on] if self.handed_on else self.questions
        question = next(one for one in pending if one[:2] == (retry, about))
        self.questions, self.handed_on = [one for one in self.questions if one != question], None
        rounds = self.history.get(retry, [])
        if rounds:
            result, failures = rounds[-1]
            self.history = {**self.history, retry: [*rounds[:-1], (result, {about: question.what, **failures})]}
        return question

    def answered(self, question: Question, answer: str, delay_s: float) -> None:
        """Take what a retry said: a decision, or RAISES; with RETRY, how long it waits."""
        outer = self._retries_of(question.retry)
        if answer == "RETRY":
            self._resolve(question.retry, "RETRY", question.wave, delay_s)
        elif answer != "REVERT" or (not outer and self.defers):
            self._resolve(WHOLE, "REVERT", question.wave)
        elif not outer:
            self._resolve(question.first, "REVERT", question.wave)
        else:
            self.handed_on = question._replace(retry=outer[0], about=question.retry)
        self._queue_ready(question.wave)

    def decide(self, name: str, answer: str) -> None:
        """Take what the deciders on an atom say together: YES, the depth of a no, or RAISES."""
        wave = self.wave[name] - 1  # that of the atom whose end made it ready
        if answer == "YES":
            self.decided = self.decided | {name}
        elif answer == "RAISES":
            self.executed_in = {**self.executed_in, name: self.wave[name]}
            wave = self.wave[name]
            self._fail(name, wave)
        else:
            reached = {other for other in self._reached(name, answer) if self.state[other] == "PENDING"}
            self.state = {**self.state, **dict.fromkeys(reached, "IGNORE")}
            self.ignored_by = {**self.ignored_by, **dict.fromkeys(reached, name)}
            self.wave = {**self.wave, **dict.fromkeys(reached, -1), name: wave}  # passed with what it waited for
        self._queue_ready(wave)

    def _fail(self, name: str, wave: int) -> None:
        self._set(name, "FAILURE")
        self.failed = self.failed | {name}
        if self.broken_in == ALWAYS:
            self._judge(name, wave)

    def _judge(self, name: str, wave: int) -> None:
        retries = self._retries_of(name)
        if self.is_cancelled:
            return
        if not self.resolves:
            self._break(wave)
        elif not retries:
            self._resolve(WHOLE, "REVERT", wave)
        else:
            question = Question(retries[0], name, f"failure of {self.result_of(name)}", retries[0], wave)
            self.questions = [*self.questions, question]

    def _retries_of(self, name: str) -> list[str]:
        """Return who is asked about an atom's failure, one after the other: not itself, and none that was ignored."""
        return [r for r in self.layout.around[name] if r not in (name, WHOLE) and self.state[r] != "IGNORE"]

    def _break(self, wave: int) -> None:
        self.questions, self.handed_on, self.undecided = [], None, set()
        if self.broken_in == ALWAYS:
            self._begin_due_rounds(set(self.state), wave)
            super()._break(wave)
            self.due = self.queue | self.in_flight

    def _resolve(self, scope: str, what: str, wave: int, delay_s: float = 0.0) -> None:
        around = (WHOLE,) if scope == WHOLE else self.layout.around[scope]
        decided = next((one for one in around if one in self.intentions), None)
        wins = decided == scope and self.intentions[scope] == "RETRY" and what == "REVERT"
        if decided is not None and not wins:
            return
        members = set(self.layout.members[scope])
        self._begin_due_rounds(members, wave)
        later = {n for n in self.queue & members if self.wave[n] > wave and self.state[n] == "PENDING"} - self.left
        self.queue, self.dropped = self.queue - later, self.dropped | later
        wave = min(wave, self.reverted_since.get(scope, wave))  # what was dropped stays so
        self._forget_intentions(members)
        self.intentions = {**self.intentions, scope: what}
        self.reverted_since = {**self.reverted_since, scope: wave}
        self.next_try_at = {**self.next_try_at, **({scope: self.now + delay_s} if delay_s else {})}

    def _reached(self, name: str, depth: str) -> set[str]:
        """Return the atoms that a no of this depth ignores."""
        if depth == "ALL":
            return {name} | self.layout.behind[name]
        reached = {name}
        level = {name} if depth != "ATOM" else set()
        while level:
            behind = {other for one in level for other in self.layout.next[one]} - reached
            level = {n for n in behind if self._is_task_beside(n, name)}
            reached |= level
            level = level if depth == "FLOW" else set()
        return reached

    def _is_task_beside(self, name: str, other: str) -> bool:
        same_flow = self.layout.flow_of[name] == self.layout.flow_of[other]
        return same_flow and not isinstance(self.layout.atoms[name], Retry)
