"""Attributes of a user's own: from yes and no about some faces to a score of all faces, and to its hyperplane.

``labels`` are answers about faces; ``faces`` what is known of each face; ``head`` scores faces from labels; ``learn``
adds a boundary by those scores to others; ``suggest`` says which faces to ask about next.
"""
