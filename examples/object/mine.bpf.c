// SPDX-License-Identifier: Apache-2.0 OR BSD-2-Clause
/* Drops IPv4 packets of sources that have sent more than `limit` of them. */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <xdpctl.h>

const volatile __u64 limit = 1000;

/* Packets by source. With the oldest sources forgotten, no flood of sources can fill it. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 65536);
	__type(key, __be32);
	__type(value, __u64);
} counts SEC(".maps");

static __always_inline int mine(struct xdpctl_frame *frame)
{
	struct ethhdr *ethernet = frame->data;
	struct iphdr *ip = (void *)(ethernet + 1);
	__u64 *count, one = 1;
	__be32 source;

	if ((void *)(ethernet + 1) > frame->data_end)
		return XDPCTL_DROP;
	if (ethernet->h_proto != bpf_htons(ETH_P_IP))
		return XDPCTL_PASS;
	if ((void *)(ip + 1) > frame->data_end)
		return XDPCTL_DROP;
	source = ip->saddr;
	count = bpf_map_lookup_elem(&counts, &source);
	if (!count) {
		bpf_map_update_elem(&counts, &source, &one, BPF_NOEXIST);
		return XDPCTL_PASS;
	}
	return __sync_fetch_and_add(count, 1) < limit ? XDPCTL_PASS : XDPCTL_DROP;
}

XDPCTL_POLICY(xdp_main, mine)

char LICENSE[] SEC("license") = "Dual BSD/GPL";
