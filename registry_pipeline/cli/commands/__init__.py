"""The commands: each parses its options, calls the pipeline, and prints through the reporter."""
