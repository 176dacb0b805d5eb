"""Builds the flow that a spec means, from the words of either package: both call the same things by the same names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from differential.recording import Recorder, Spec


class Words(NamedTuple):
    """The classes of one package: flows by pattern, its task, retries by the type that specs name, decisions."""

    flows: Mapping[str, Any]
    task: Any
    retries: Mapping[str, Any]
    decisions: Any


class Builder:
    """Makes flows of one package's classes."""

    def __init__(self, words: Words) -> None:
        self._words = words
        self._step = type("Step", (_Step, words.task), {})
        self._lenient = type("Lenient", (_Lenient, words.task), {})
        made = {name: type(name, (_Noting, kind), {}) for name, kind in words.retries.items() if name != "script"}
        self._retries = {**made, "script": type("script", (_Scripting, words.retries["script"]), {})}

    def build(self, part: Spec, recorder: Recorder) -> Any:
        """Return the task or flow that is meant."""
        if part["kind"] == "task":
            return self._task(part, recorder)
        retry = self._retry(part["retry"], recorder) if part["retry"] else None
        flow = self._words.flows[part["pattern"]](part["name"], retry=retry)
        children = {child["name"]: self.build(child, recorder) for child in part["children"]}
        flow.add(*children.values())
        for link in part["links"]:
            ends = children[link["from"]], children[link["to"]]
            if link["votes"]:
                flow.link(*ends, decider=_decider(link, recorder), decider_depth=link["depth"])
            else:
                flow.link(*ends)
        return flow

    def _task(self, spec: Spec, recorder: Recorder) -> Any:
        provides = spec["provides"]
        task = (self._lenient if spec["lenient"] else self._step)(
            spec["name"],
            provides=provides[0] if len(provides) == 1 else tuple(provides) or None,
            requires=spec["requires"],
            revert_requires=spec["revert_requires"],
        )
        task.spec, task.recorder, task.priority = spec, recorder, spec["priority"]
        return task

    def _retry(self, spec: Spec, recorder: Recorder) -> Any:
        given: dict[str, Any] = {"name": spec["name"], "provides": spec["provides"]}
        match spec["type"]:
            case "times":
                given |= {"attempts": spec["attempts"], "revert_all": spec["revert_all"]}
            case "foreach":
                given |= {"values": spec["values"], "revert_all": spec["revert_all"]}
            case "parameterized":
                given |= {"rebind": {"values": spec["symbol"]}, "revert_all": spec["revert_all"]}
        retry = self._retries[spec["type"]](**given)
        retry.spec, retry.recorder, retry.decisions = spec, recorder, self._words.decisions
        return retry


def _decider(link: Spec, recorder: Recorder) -> Any:
    return lambda history: recorder.decide(link, history)


class _Scripted:
    spec: Spec
    recorder: Recorder
    decisions: Any


class _Step(_Scripted):
    def execute(self, **arguments: Any) -> Any:
        return self.recorder.execute(self.spec, arguments)

    def revert(self, result: Any, flow_failures: Any, **arguments: Any) -> None:
        self.recorder.revert(self.spec, result, flow_failures, arguments)


class _Lenient(_Step):
    def execute(self, x0: Any = None, unknown: Any = None, **arguments: Any) -> Any:
        return self.recorder.execute(self.spec, {"x0": x0, "unknown": unknown, **arguments})


class _Noting(_Scripted):
    """Notes the calls of a retry, and lets it fail by its spec; it decides as its class does."""

    def execute(self, history: Any, **arguments: Any) -> Any:
        self.recorder.try_again(self.spec, history, arguments)
        return super().execute(history=history, **arguments)  # type: ignore[misc]

    def on_failure(self, history: Any, **arguments: Any) -> Any:
        self.recorder.on_failure(self.spec, history, arguments)
        return super().on_failure(history=history, **arguments)  # type: ignore[misc]

    def revert(self, history: Any, flow_failures: Any, **arguments: Any) -> None:
        self.recorder.give_up(self.spec, history, flow_failures, arguments)


class _Scripting(_Noting):
    """Decides as its spec says."""

    def execute(self, history: Any, **arguments: Any) -> Any:
        return f"{self.spec['name']}.{self.recorder.try_again(self.spec, history, arguments)}"

    def on_failure(self, history: Any, **arguments: Any) -> Any:
        turn = self.recorder.on_failure(self.spec, history, arguments)
        script = self.spec["script"]
        return getattr(self.decisions, script[turn] if turn < len(script) else "REVERT")
