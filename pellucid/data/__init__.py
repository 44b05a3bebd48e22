"""Floor 5: samples on their way to training. `pack` holds them on disk, `order` says which comes when."""
