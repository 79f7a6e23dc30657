"""From questions to a verdict: plan, race, comparisons, report. Knows candidates and scores; not how anything is trained."""
