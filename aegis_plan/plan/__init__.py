"""What would be done: a pure function of documents and snapshot."""
