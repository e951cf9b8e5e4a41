// The rules of benchmarks/policy.py as a good C programmer would write them: each header is parsed
// once, into registers, then come the rules. `workload.h`, written by the benchmark, says which:
//
//   COUNTERS   how many rules there are, and one more for the default
//   RULES      RULE(number, prefix, mask, port) RULE(...)
//   SET_HASH, SET_TRIE, SET_BITMAP, SET_COMPOSITE with ENTRIES
//   LIMIT_COST, LIMIT_TOLERANCE   nanoseconds: one limit, as a generic cell rate algorithm
//
// It does less than xdpctl: frames in fragments and IPv6 extension headers are not looked into.
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <stdbool.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include "workload.h"

#define DEFAULT (COUNTERS - 2)
#define MALFORMED (COUNTERS - 1)

struct counter {
	__u64 packets;
	__u64 bytes;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__type(key, __u32);
	__type(value, struct counter);
	__uint(max_entries, COUNTERS);
} counters SEC(".maps");

struct tag {
	__be16 control;
	__be16 type;
};

// What the rules look at, in host byte order. `is_tcp` and `is_ip4` guard the rest.
struct headers {
	__u32 saddr;
	__u16 dport;
	bool is_ip4;
	bool is_tcp;
};

static __always_inline int verdict(struct xdp_md *ctx, __u32 number, int code)
{
	struct counter *counter = bpf_map_lookup_elem(&counters, &number);

	if (counter) {
		counter->packets++;
		counter->bytes += ctx->data_end - ctx->data;
	}
	return code;
}

static __always_inline bool parse(struct xdp_md *ctx, struct headers *found)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct ethhdr *ethernet = data;
	struct iphdr *ip;
	struct tcphdr *tcp;
	void *next = ethernet + 1;
	__be16 type;

	if (next > end)
		return false;
	type = ethernet->h_proto;
	for (int tags = 0; tags < 2; tags++) {
		struct tag *tag = next;

		if (type != bpf_htons(ETH_P_8021Q) && type != bpf_htons(ETH_P_8021AD))
			break;
		next = tag + 1;
		if (next > end)
			return false;
		type = tag->type;
	}
	if (type == bpf_htons(ETH_P_IPV6))
		return next + sizeof(struct ipv6hdr) <= end;
	if (type != bpf_htons(ETH_P_IP))
		return true;
	ip = next;
	if ((void *)(ip + 1) > end || ip->version != 4 || ip->ihl < 5)
		return false;
	next += ip->ihl * 4;
	if (next > end)
		return false;
	found->is_ip4 = true;
	found->saddr = bpf_ntohl(ip->saddr);
	if (ip->protocol != IPPROTO_TCP || ip->frag_off & bpf_htons(0x1fff))
		return true;
	tcp = next;
	if ((void *)(tcp + 1) > end)
		return false;
	found->is_tcp = true;
	found->dport = bpf_ntohs(tcp->dest);
	return true;
}

#if defined SET_HASH
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, __u32);
	__type(value, __u8);
	__uint(max_entries, ENTRIES);
} entries SEC(".maps");

static __always_inline bool is_member(struct headers *found)
{
	return found->is_ip4 && bpf_map_lookup_elem(&entries, &found->saddr);
}

#elif defined SET_TRIE
struct prefix {
	__u32 length;
	__be32 address;
};

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__type(key, struct prefix);
	__type(value, __u8);
	__uint(max_entries, ENTRIES);
	__uint(map_flags, BPF_F_NO_PREALLOC);
} entries SEC(".maps");

static __always_inline bool is_member(struct headers *found)
{
	struct prefix key = {32, bpf_htonl(found->saddr)};

	return found->is_ip4 && bpf_map_lookup_elem(&entries, &key);
}

#elif defined SET_BITMAP
struct bits {
	__u64 words[1024];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, struct bits);
	__uint(max_entries, 1);
} entries SEC(".maps");

static __always_inline bool is_member(struct headers *found)
{
	__u32 zero = 0;
	struct bits *bits = bpf_map_lookup_elem(&entries, &zero);

	return found->is_tcp && bits && bits->words[found->dport / 64] >> found->dport % 64 & 1;
}

#elif defined SET_COMPOSITE
struct pair {
	__u32 address;
	__u16 port;
	__u16 nothing;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, struct pair);
	__type(value, __u8);
	__uint(max_entries, ENTRIES);
} entries SEC(".maps");

static __always_inline bool is_member(struct headers *found)
{
	struct pair key = {found->saddr, found->dport, 0};

	return found->is_tcp && bpf_map_lookup_elem(&entries, &key);
}
#endif

#if defined LIMIT_COST
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, __u64);
	__uint(max_entries, 1);
} limits SEC(".maps");

static __always_inline bool is_within(void)
{
	__u32 zero = 0;
	__u64 *due = bpf_map_lookup_elem(&limits, &zero), now = bpf_ktime_get_ns();

	for (int attempt = 0; due && attempt < 8; attempt++) {
		__u64 old = *due, moved = (old > now ? old : now) + LIMIT_COST;

		if (moved > now + LIMIT_TOLERANCE)
			return false;
		if (__sync_val_compare_and_swap(due, old, moved) == old)
			return true;
	}
	return false;
}
#endif

SEC("xdp")
int policy(struct xdp_md *ctx)
{
	struct headers found = {};

	if (!parse(ctx, &found))
		return verdict(ctx, MALFORMED, XDP_DROP);
#if defined RULES
#define RULE(number, prefix, mask, port)                                                   \
	if (found.is_tcp && (found.saddr & mask) == prefix && found.dport == port)         \
		return verdict(ctx, number, XDP_DROP);
	RULES
#elif defined LIMIT_COST
	if (found.is_tcp && found.dport == 8000)
		return is_within() ? verdict(ctx, 0, XDP_PASS) : verdict(ctx, 1, XDP_DROP);
#else
	if (is_member(&found))
		return verdict(ctx, 0, XDP_DROP);
#endif
	return verdict(ctx, DEFAULT, XDP_DROP);
}

char _license[] SEC("license") = "Dual BSD/GPL";
