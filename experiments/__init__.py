"""Experiments: programs that compute and store. ``python -m experiments list | run NAME``."""
