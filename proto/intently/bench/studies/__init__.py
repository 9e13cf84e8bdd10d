"""What is measured: one load, a ramp of loads, the highest load within a latency, or two targets in turn."""
