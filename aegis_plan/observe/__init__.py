"""Looks at the world; what cannot be seen is `unknown`, with the reason."""
