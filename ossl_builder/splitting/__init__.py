"""Which films share material, and on which side each film stands."""
