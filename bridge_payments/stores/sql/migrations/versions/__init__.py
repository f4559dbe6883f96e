"""One file per version, never changed once released; each brings its own copies of the types it uses."""
