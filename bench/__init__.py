"""The morning rush, and how fast others are at the same."""
