"""When protection is due, and who sees to it: it has plans made and applied, and never acts on a store by itself."""
