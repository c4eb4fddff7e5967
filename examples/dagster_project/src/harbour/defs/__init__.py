"""The assets, checks and IO managers of this project."""
