"""fastai's `Learner` without the work for events that nobody listens to."""

from collections.abc import Sequence
from operator import attrgetter
from typing import Any

from fastai.callback.core import Callback
from fastai.learner import Learner
from torch import Tensor

_KNOWN = "_known_listeners"


class EventLearner(Learner):
    """A `Learner` that asks each callback once what it listens to.

    fastai sorts all callbacks at each of a batch's eight events, and calls all of them.
    """

    def __call__(self, event_name: str | Sequence[str]) -> None:
        """Send an event, or several, to the callbacks that have a method for it, in their order."""
        for name in [event_name] if isinstance(event_name, str) else event_name:
            for callback in self._listeners(name):
                callback(name)

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what is known about callbacks: it counts for this process alone."""
        return {name: value for name, value in super().__getstate__().items() if name != _KNOWN}

    def _listeners(self, event_name: str) -> list[Callback]:
        callbacks = list(self.cbs)
        known: dict[tuple[Any, ...], tuple[list[Callback], list[Callback]]] = self.__dict__.setdefault(_KNOWN, {})
        key = event_name, *map(id, callbacks)
        if key not in known:
            if len(known) > 1000:  # callbacks that came and went
                known.clear()
            listeners = [
                each
                for each in sorted(callbacks, key=attrgetter("order"))
                # At the end of a fit, fastai makes callbacks that stopped themselves listen again.
                if event_name == "after_fit" or event_name in vars(each) or hasattr(type(each), event_name)
            ]
            known[key] = callbacks, listeners  # with the callbacks, whose ids no other can have as long as they live
        return known[key][1]

    def _set_device(self, batch: Any) -> Any:
        device = self.dls.device
        if all(isinstance(part, Tensor) and part.device == device for part in batch):
            return batch
        return super()._set_device(batch)
