"""Floor 10: models behind HTTP, and a page to use them by."""
