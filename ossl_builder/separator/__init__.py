"""The bundled separator: a small model that splits film audio into dialogue and music.

`model` has the class, `bundled.safetensors` the weights. How it was trained: `train/separator/`.
"""
