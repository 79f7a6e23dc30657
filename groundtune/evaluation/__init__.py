"""Running a respondent over examples, timing it, and the statistics of paired scores. Knows neither retrieval nor training."""
