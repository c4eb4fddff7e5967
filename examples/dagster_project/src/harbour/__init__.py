"""A Dagster project whose assets are sealed run folders."""
