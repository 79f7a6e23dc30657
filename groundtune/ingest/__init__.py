"""From source items to indexed chunks: detect, parse, chunk, embed, sync. Knows nothing of questions."""
