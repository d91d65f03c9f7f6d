"""Where backups go. One module per kind of storage behind `contract.Repository`; wrappers add retry and limits."""
