"""The bundled separator: a small model that splits film audio into dialogue and music.

`model` has the class, `unet` its layers, `bundled.safetensors` the weights, which began as those of
Spleeter (`LICENSE-spleeter.txt`). How it was trained: `train/separator/`.
"""
