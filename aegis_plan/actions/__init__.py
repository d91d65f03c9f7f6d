"""The kinds of steps. `spec.py` is what planners know of each kind; one module per kind does it at a site."""
