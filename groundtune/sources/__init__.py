"""Where documents come from. Knows connectors; knows neither parsing nor access."""
