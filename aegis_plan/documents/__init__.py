"""YAML text to a checked, frozen model, with the place of everything; it opens no connection and resolves no secret."""
