"""Rules → BPF instructions, and the evaluator that defines their meaning."""
