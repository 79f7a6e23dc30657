"""A decision as pages: the content of report.json and its scores to Markdown and HTML. Pure; knows no workspace."""
