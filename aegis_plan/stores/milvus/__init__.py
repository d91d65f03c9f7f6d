"""Milvus: what it declares and how it is planned. Nothing here acts on it yet."""
