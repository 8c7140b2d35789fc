"""Labelled pictures as LightningDataModules."""
