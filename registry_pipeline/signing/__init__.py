"""Sign with SSH keys and check such signatures, as git does."""
