"""One model's weights on both sides of `whole.py`: in a pipeline of diffusers and in a model of ours."""
