"""What is wrong with one row, said before anyone knows the file and the line."""

from __future__ import annotations


class BadRow(Exception):  # never leaves the room: a reader adds file and line
    """Row ``row`` (counted from 0 within a batch) does not fit; ``problem`` says why."""

    def __init__(self, row: int, problem: str) -> None:
        super().__init__(problem)
        self.row = row
        self.problem = problem


class BadLayout(Exception):  # never leaves the room: a reader adds the file
    """The columns of a file cannot be told apart; the message says why and what to do."""


class BadTimeText(Exception):  # never leaves the room
    """Texts that are not all written in one known form of time."""
