"""Who may read what: the algebra of audiences, the rules that give them, the register that is the only truth."""
