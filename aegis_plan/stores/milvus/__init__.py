"""Milvus: what it declares, how it is planned, and what acts on it at a site."""
