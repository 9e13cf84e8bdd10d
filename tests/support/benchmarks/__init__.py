"""The runs behind docs/benchmarks.md: what is kept up for them, the studies, their records, and the page."""
