"""Tests of the database tier."""
