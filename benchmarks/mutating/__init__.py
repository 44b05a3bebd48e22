"""Mutation of the package's mathematics: small wrong changes, and the tests that ought to notice them."""
