"""The LightningModules that fit and predict."""
