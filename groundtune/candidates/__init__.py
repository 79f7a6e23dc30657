"""Candidate -> assistant: the one place that builds, used by the race, by deployment and by retraining. Knows no scores."""
