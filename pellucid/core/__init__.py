"""Floor 0: errors, the registry, keyed randomness, configuration and words about shapes. Imports nothing of ours."""
