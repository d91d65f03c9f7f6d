"""PostgreSQL over its replication protocol: full, incremental and log backups, restore and replay."""
