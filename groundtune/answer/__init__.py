"""Retrieval, citations and the assistant: a question and its caller in, an answer with citations out. Knows no scores."""
