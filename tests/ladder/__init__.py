"""Tests of ladders of runs."""
