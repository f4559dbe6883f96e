"""The shapes on the wire. What is not declared here does not leave the process."""
