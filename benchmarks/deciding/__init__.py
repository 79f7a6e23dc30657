"""The benchmark of deciding: every candidate's scores on many tasks, and how well rules choose among them."""
