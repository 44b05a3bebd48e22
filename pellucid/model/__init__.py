"""The loadable bundle: configuration, denoiser, codec and modality in one file, and sampling from it."""
