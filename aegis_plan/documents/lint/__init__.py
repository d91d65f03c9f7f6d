"""Lint that thinks: what documents say without being wrong in form, and what will not hold on the day of a disaster.

A rule lives in the module of its noun; `registry.py` lists them all. Nothing here blocks a plan."""
