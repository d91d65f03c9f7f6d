"""Carries attempts to sites and brings outcomes back; it decides nothing and never retries."""
