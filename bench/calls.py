"""The names of the calls that a requirement speaks of; the others are named where they are made."""

from typing import Final

SIGN_IN: Final = "sign in"
"""With the waiting of who was told to come again."""
COME_AGAIN: Final = "sign in: told to come again"
OFFICE_DAY: Final = "dashboard"
TEACHER_DAY: Final = "today (teacher)"
GUARDIAN_DAY: Final = "today (guardian)"
UPLOAD: Final = "upload of 10 MB"
LETTER_UPLOAD: Final = "upload of a letter"
DOWNLOAD: Final = "download of a letter"
LOOK_ON: Final = "open a live stream"
"""Until its first event; it is then read for the whole morning."""

SIGN_INS: Final = (SIGN_IN, COME_AGAIN)
"""Argon2 takes its time so that guessing does: they have rows of their own."""
DASHBOARDS: Final = (OFFICE_DAY, TEACHER_DAY, GUARDIAN_DAY)
FILE_OPERATIONS: Final = (UPLOAD, LETTER_UPLOAD, DOWNLOAD)
"""Bytes that travel between a browser and the object store; what is asked of the API for it is counted by itself."""
FOLLOWED: Final = "a saved register, until today shows it"
"""From the answer to who saved it to the first day that says so."""
SPANS: Final = (*FILE_OPERATIONS, FOLLOWED)
"""What is no call of the API, but made of some."""
