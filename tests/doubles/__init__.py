"""Doubles of the servers that catagent talks to: real HTTP on loopback, behaviour from the test."""

from tests.doubles.faults import Fault, at_random, first_of, in_order, when
from tests.doubles.limits import ConcurrencyLimit, Jitter, RateLimit, Storm
from tests.doubles.protocol import Reply, ToolCall, prompt_of
from tests.doubles.server import ProviderDouble, Record

__all__ = [
    "ConcurrencyLimit",
    "Fault",
    "Jitter",
    "ProviderDouble",
    "RateLimit",
    "Record",
    "Reply",
    "Storm",
    "ToolCall",
    "at_random",
    "first_of",
    "in_order",
    "prompt_of",
    "when",
]
