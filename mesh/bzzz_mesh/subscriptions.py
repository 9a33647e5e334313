"""Subscribers of this process: several may listen to one topic, each with its own bounded buffer."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from time import monotonic

import trio

from bzzz_mesh.metrics import MeshMetrics


@dataclass(frozen=True)
class Received:
    """A message by another member, as it came."""

    topic: str
    data: bytes
    author: str
    """Peer id of whoever wrote and signed it; its card was valid on arrival."""
    received_at: float
    """When it arrived, on the clock of `time.monotonic`."""


class Subscription:
    """An endless iterator over a topic's messages; ends when the mesh or the subscription is left."""

    def __init__(self, topic: str, buffer: int) -> None:
        self.topic = topic
        self._send, self._receive = trio.open_memory_channel[Received](buffer)

    def __aiter__(self) -> AsyncIterator[Received]:
        return self._receive.__aiter__()

    async def receive(self) -> Received:
        """Wait for the next message.

        Raises trio.EndOfChannel when the mesh was left.
        """
        return await self._receive.receive()

    def put(self, message: Received) -> bool:
        """Add a message without waiting; return whether there was room."""
        try:
            self._send.send_nowait(message)
        except trio.WouldBlock:
            return False
        return True

    def close(self) -> None:
        """End the iterator once what is buffered was read."""
        self._send.close()


class Subscriptions:
    """All subscriptions by topic."""

    def __init__(self, buffer: int, metrics: MeshMetrics) -> None:
        self._buffer = buffer
        self._metrics = metrics
        self._by_topic: dict[str, list[Subscription]] = {}

    def add(self, topic: str) -> Subscription:
        """Open a subscription."""
        subscription = Subscription(topic, self._buffer)
        self._by_topic.setdefault(topic, []).append(subscription)
        return subscription

    def remove(self, subscription: Subscription) -> None:
        """Close a subscription."""
        subscription.close()
        left = [other for other in self._by_topic.get(subscription.topic, []) if other is not subscription]
        if left:
            self._by_topic[subscription.topic] = left
        else:
            self._by_topic.pop(subscription.topic, None)

    def wanted(self, topic: str) -> bool:
        """Whether anybody listens to a topic."""
        return topic in self._by_topic

    def deliver(self, topic: str, data: bytes, author: str) -> None:
        """Give a message to everybody who listens to its topic; whoever is too slow misses it, counted."""
        message = Received(topic, data, author, monotonic())
        for subscription in self._by_topic.get(topic, []):
            if not subscription.put(message):
                self._metrics.drop("slow_consumer", author, f"{self._buffer} messages unread on {topic}")

    def close(self) -> None:
        """End all iterators."""
        for subscriptions in self._by_topic.values():
            for subscription in subscriptions:
                subscription.close()
        self._by_topic.clear()
