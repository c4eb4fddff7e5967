"""Tests of the project itself: contracts, packaging, documents, the test suite."""
