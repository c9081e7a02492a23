"""What these tests share with those of the history: a store in each database there is."""

from history.conftest import location

__all__ = ["location"]
