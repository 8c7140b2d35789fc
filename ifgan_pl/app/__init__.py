"""A page to edit faces on: a session in plain Python, and a thin server and page over it."""
