#!/usr/bin/env python
"""Edit faces: ``python edit.py --help``."""

from ifgan_pl.cli import edit

if __name__ == "__main__":
    edit()
