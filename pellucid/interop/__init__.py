"""Models of other libraries as ours: folders in the layout of diffusers."""
