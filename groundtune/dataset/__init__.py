"""Questions: reading, checking against the documents, splitting. Knows no model and no candidate."""
