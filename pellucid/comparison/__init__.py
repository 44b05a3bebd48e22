"""Several ways to a model side by side: the same data, the same cost, the same measures."""
