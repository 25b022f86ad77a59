"""The demo films: three short films, pictures and sound, made from nothing but this code."""
