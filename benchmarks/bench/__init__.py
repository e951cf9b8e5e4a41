"""What benchmarks/policy.py is made of: the same rules for three contenders, frames, figures."""
