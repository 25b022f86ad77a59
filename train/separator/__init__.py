"""How the bundled separator was trained: composed music, free speech, a mixer, a loop, a score."""
