"""Does a store hold what `bridge_payments.stores.base` promises? Subclass, say how to make one, run pytest.

    class TestMyStore(StoreConformance):
        def make_store(self, clock):
            return MyStore(clock=clock)

Needs no plugin: each test drives an event loop of its own.
"""

from __future__ import annotations

from .endpoints import EndpointPromises
from .lists import ListPromises
from .operations import OperationPromises
from .payments import PaymentPromises
from .queues import QueuePromises
from .records import RecordPromises
from .transactions import TransactionPromises

__all__ = ["StoreConformance"]


class StoreConformance(
    PaymentPromises,
    ListPromises,
    RecordPromises,
    OperationPromises,
    QueuePromises,
    EndpointPromises,
    TransactionPromises,
):
    """Everything that the engine and the workers rely on."""
