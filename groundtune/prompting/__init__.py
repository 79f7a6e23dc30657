"""Prompts: templates and the rendering of conversations to tokens. Knows no model and no retrieval."""
