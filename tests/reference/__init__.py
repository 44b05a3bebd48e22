"""Published sampling algorithms, written from their papers in NumPy float64 and in their own letters: oracles for tests.

Every transcription returns its states after each step, (steps, B, D), and none imports the library: only `networks`, which
wraps the exact mixture as the denoisers that the library's samplers take, does.
"""
