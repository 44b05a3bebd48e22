"""Clients of `soak.py`, and how it watches the server."""
