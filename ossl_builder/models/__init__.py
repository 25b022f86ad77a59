"""Pretrained models: locate, check and run them."""
