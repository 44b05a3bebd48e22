"""pellucid: diffusion models from your own data."""
