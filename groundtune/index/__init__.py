"""Hybrid index backends. Know rows, audience ids and vectors; know neither documents' truth nor how vectors are made."""
