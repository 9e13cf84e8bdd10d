"""The tools that quantize, a module each: `quantize(job)` writes a checkpoint into `job.output`.

They run in a process of their own (`quantizing.worker`), in the environment that has the tool.
"""
