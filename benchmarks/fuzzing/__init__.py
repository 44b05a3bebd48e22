"""Fuzzing of every reader: seeds, mutations, targets, and the process in which each case is watched."""
