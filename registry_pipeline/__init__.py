"""registry_pipeline: a memory that can be trusted for repositories with many automated runs."""
