"""The local dispatcher does what every carrier has to do."""

from __future__ import annotations

from aegis_plan.dispatch.contract import Dispatcher
from aegis_plan.dispatch.local import LocalDispatcher
from tests.conformance.dispatch import DispatcherSuite, life
from tests.conformance.rig import Place


class TestLocal(DispatcherSuite):
    def carrier(self, place: Place) -> Dispatcher:
        self.made = LocalDispatcher({place.site: place.command}, silence=2.0)
        return self.made

    def worker(self, place: Place) -> int:
        return self.made._pipes[place.site].process.pid

    def coordinator(self, place: Place, script: str) -> list[str]:
        return life(place, script)
