"""Where it is asked: one thin file per web framework. Importing this imports none of them."""
