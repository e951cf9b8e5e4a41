"""bpf(2) through libbpf: assembler, maps, programs, links, pins, feature probes."""
