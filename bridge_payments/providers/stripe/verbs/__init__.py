"""What an account does, one file per noun: every method awaits answers and maps them, and decides nothing."""
