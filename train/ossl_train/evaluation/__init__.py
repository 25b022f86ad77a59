"""How good generated music is: against the films' own music, its prompt, and its video."""
