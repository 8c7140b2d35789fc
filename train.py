#!/usr/bin/env python
"""Train and measure: ``python train.py --help``."""

from ifgan_pl.cli import train

if __name__ == "__main__":
    train()
