"""State of a workspace: database, artefacts, stages, lineage. Knows nothing of what is stored."""
