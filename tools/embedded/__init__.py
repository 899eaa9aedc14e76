"""The backing servers of Homeroom as child processes, out of wheels: no root, no Docker (ADR 0101)."""
