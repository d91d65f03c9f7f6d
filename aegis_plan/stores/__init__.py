"""Databases: `contract.py` is what each has to offer; a folder each, with a pure `spec.py` and the parts that act."""
