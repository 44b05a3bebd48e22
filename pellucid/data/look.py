"""A sample of a stream of samples: as many as fit, each as likely as any, whatever the order, and one of every label."""

from collections.abc import Iterator
from heapq import heappush, heappushpop

from pellucid.core.items import Item, Record
from pellucid.core.random import Key

MOST, BYTES = 4096, 1 << 27
"""Samples, and bytes of them, without those that are kept for their label."""


class Look:
    """Keeps the samples with the smallest keyed numbers among all that pass."""

    def __init__(self) -> None:
        self.count = 0
        self._drawn: list[tuple[int, int, Item]] = []
        self._first: dict[str, tuple[int, Item]] = {}

    def passing(self, records: Iterator[Record]) -> Iterator[Record]:
        """The records, unchanged."""
        for record in records:
            if isinstance(record, Item):
                self._see(record)
            yield record

    def kept(self) -> tuple[list[int], list[Item]]:
        """Their places among all samples, rising, and themselves."""
        found = {place: item for _, place, item in self._drawn} | dict(self._first.values())
        return sorted(found), [found[place] for place in sorted(found)]

    def _see(self, item: Item) -> None:
        place, self.count = self.count, self.count + 1
        if item.label is not None:
            self._first.setdefault(item.label, (place, item))
        drawn = int(Key(0, "look").bits([place], 1)[0, 0])
        room = max(1, min(MOST, BYTES // item.data.nbytes))
        (heappush if len(self._drawn) < room else heappushpop)(self._drawn, (-drawn, place, item))
