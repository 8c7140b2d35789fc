"""Where results go unless the user says otherwise."""

RUN = "runs/default"

INVERSIONS = f"{RUN}/inversions"
"""Inversions of photographs, which every edit looks for there."""
