"""Git: objects, refs and the change graph of a repository. The only package that starts git."""
