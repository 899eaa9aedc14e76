"""What text may hold, for `msgspec.Meta(pattern=…)`."""

from typing import Final

LINE: Final = r"^[^\x00-\x1f\x7f]*$(?!\n)"
"""One line, without control characters.

For Python `$` alone is also right before a newline at the end: with one, the name of a school would break the header of
every mail. In JavaScript, of which OpenAPI's patterns are, what follows it says nothing.
"""
TRIMMED: Final = r"^[^\s\x00-\x1f\x7f](?:[^\x00-\x1f\x7f]*[^\s\x00-\x1f\x7f])?$(?!\n)"
"""A line without spaces around it, for what is compared."""
