"""The store of codes and scores, labels from files, and the LightningDataModules."""
