"""The events that services tell each other, one module per publishing service.

A tag is the event's type for ever: changes are additive, a breaking change is a new `.v2`. An event carries the full
state of its aggregate, so that a consumer may miss, repeat or reorder events and still end up right: it keeps the
highest `version` (of the envelope) it has seen. Imports nothing but msgspec and the standard library.
"""
