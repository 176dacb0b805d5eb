"""TaskFlow's ``types.notifier``: callbacks by event, called with the event and a dict of details."""

import copy
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, ClassVar, NamedTuple, Self

LOG = logging.getLogger(__name__)

Callback = Callable[..., Any]  # takes what its owner registered it with
Filter = Callable[[dict[str, Any]], Any]


class Listener(NamedTuple):
    """One registered callback, with the arguments it is to get besides the event and ``details``."""

    callback: Callback
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    details_filter: Filter | None

    def __call__(self, event_type: str, details: dict[str, Any]) -> None:
        """Call back, unless the filter finds nothing in ``details``."""
        if self.details_filter is None or self.details_filter(details):
            self.callback(event_type, *self.args, **self.kwargs, details=details)


class Notifier:
    """Calls back who has registered for an event, those for ANY first; not safe while others register or notify."""

    ANY: ClassVar[str] = "*"
    RESERVED_KEYS: ClassVar[tuple[str, ...]] = ("details",)

    def __init__(self) -> None:
        self._listeners: dict[str, dict[tuple[Callback, Filter | None], Listener]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._listeners.values()))

    def is_registered(self, event_type: str, callback: Callback, details_filter: Filter | None = None) -> bool:
        """Say whether an equal callback with an equal filter is registered for this event."""
        return (callback, details_filter) in self._listeners.get(event_type, ())

    def register(
        self,
        event_type: str,
        callback: Callback,
        args: Iterable[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        details_filter: Filter | None = None,
    ) -> None:
        """Have ``callback(event, *args, details=..., **kwargs)`` called at every event that the filter lets through.

        Raises ValueError for what cannot be called, watched, or registered again, KeyError for a reserved key.
        """
        if not callable(callback) or not callable(details_filter or callback):
            raise ValueError(f"a callback or a filter cannot be called: {callback!r}, {details_filter!r}")
        if not self.can_be_registered(event_type):
            raise ValueError(f"nobody can register for the event {event_type!r}")
        if self.is_registered(event_type, callback, details_filter):
            raise ValueError(f"{callback!r} is registered for the event {event_type!r} already")
        if own := set(kwargs or ()).intersection(self.RESERVED_KEYS):
            raise KeyError(f"arguments of {callback!r} are the notifier's own: {', '.join(own)}")
        listener = Listener(callback, tuple(args or ()), dict(kwargs or {}), details_filter)
        self._listeners.setdefault(event_type, {})[callback, details_filter] = listener

    def deregister(self, event_type: str, callback: Callback, details_filter: Filter | None = None) -> bool:
        """Forget one callback; say whether it was registered."""
        return self._listeners.get(event_type, {}).pop((callback, details_filter), None) is not None

    def deregister_event(self, event_type: str) -> int:
        """Forget all callbacks for an event; return how many there were."""
        return len(self._listeners.pop(event_type, ()))

    def reset(self) -> None:
        """Forget all callbacks."""
        self._listeners.clear()

    def notify(self, event_type: str, details: Mapping[str, Any] | None) -> None:
        """Call back all that wait for this event, each with a copy of ``details``; what they raise is logged only."""
        if not self.can_trigger_notification(event_type):
            LOG.debug("nobody is told of the event %r", event_type)
            return
        for each in [each for event in (self.ANY, event_type) for each in self._listeners.get(event, {}).values()]:
            try:
                each(event_type, dict(details or {}))
            except Exception:
                LOG.warning("%r failed on the event %s with %s", each, event_type, details, exc_info=True)

    def copy(self) -> Self:
        """Return another notifier of this kind with the same callbacks; from now on they change apart."""
        copied = copy.copy(self)
        copied._listeners = {event: dict(listeners) for event, listeners in self._listeners.items()}
        return copied

    def listeners_iter(self) -> Iterator[tuple[str, list[Listener]]]:
        """Return an iterator over each event with its listeners, where it has any."""
        return ((event, [*listeners.values()]) for event, listeners in self._listeners.items() if listeners)

    def can_be_registered(self, event_type: str) -> bool:
        """Say whether one may register for this event: here, for any."""
        return True

    def can_trigger_notification(self, event_type: str) -> bool:
        """Say whether this event can happen: ANY stands for events and is none."""
        return event_type != self.ANY


class RestrictedNotifier(Notifier):
    """A notifier of the given events only, and of ANY unless ``allow_any`` is False."""

    def __init__(self, watchable_events: Iterable[str], allow_any: bool = True) -> None:
        super().__init__()
        self._watchable_events = frozenset(watchable_events)
        self._allow_any = allow_any

    def can_be_registered(self, event_type: str) -> bool:
        """Say whether the event is one of the given, or ANY where that is allowed."""
        return event_type in self._watchable_events or (self._allow_any and event_type == self.ANY)
