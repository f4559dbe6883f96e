"""How it is asked, without any framework."""
