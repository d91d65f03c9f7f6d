"""Checks of services, used by looks, gates and watch."""
