"""Code that all servers of the project share."""
