"""What lies beside the published documents for a machine that has nothing, not even this program."""
