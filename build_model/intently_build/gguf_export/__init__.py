"""GGUF, for laptops: a file that llama.cpp and Ollama run, a Modelfile, and the proof that it answers alike."""
