"""Stores of codes and scores, and the LightningDataModules."""
