"""Where bytes come from, and where they go: the only package that calls the operating system."""
