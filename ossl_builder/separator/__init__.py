"""The bundled separator: a small model that splits film sound into dialogue and music.

`model` holds the class, `bundled.safetensors` the weights, `training` how they came about.
"""
