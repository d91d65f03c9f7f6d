"""Where things are done: the worker, the one road to an effect, its ledger and its programs."""
