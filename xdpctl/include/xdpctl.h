/* SPDX-License-Identifier: Apache-2.0 OR BSD-2-Clause
 *
 * For programs of your own as policies of xdpctl:
 *
 *     policies:
 *       mine: {object: ./mine.bpf.o, program: mine}
 *
 * xdpctl puts the program into its own as a function and calls it for each frame of the devices
 * that have the policy. What it returns ends the frame's way (XDP_DROP, XDP_TX, XDP_REDIRECT) or
 * hands the frame on to the next stage (XDP_PASS).
 *
 * A device is also reached by frames that did not come from the wire as they are: broadcast and
 * multicast, and what a neighbour on the same NIC sends. Those meet the policy in a tc program on
 * the device. XDPCTL_POLICY makes both programs of one function.
 *
 * What to know:
 * - Frames may have more than one buffer (jumbo frames, merged segments). Only the first lies
 *   between data and data_end. xdpctl_load_bytes() reads anywhere, xdpctl_length() tells all.
 * - All functions on the way to a place share 512 bytes of stack, xdpctl's own included. Put what
 *   is big into a map of type BPF_MAP_TYPE_PERCPU_ARRAY.
 * - In tc a VLAN tag may stand beside the packet (vlan_present, vlan_tci), not in it.
 */
#ifndef XDPCTL_H
#define XDPCTL_H

#ifndef __VMLINUX_H__
#include <linux/bpf.h>
#endif
#include <bpf/bpf_helpers.h>

/* What the function of XDPCTL_POLICY returns. */
#define XDPCTL_PASS 0
#define XDPCTL_DROP 1

/* What a program at tc returns: the next filter has its say (TC_ACT_UNSPEC), TC_ACT_SHOT. */
#define XDPCTL_TC_NEXT (-1)
#define XDPCTL_TC_DROP 2

/* So many bytes of a longer frame, at least, lie between data and data_end at tc. */
#ifndef XDPCTL_HEADERS
#define XDPCTL_HEADERS 128
#endif

/* A frame, at either hook. The pointers are those of the kernel's context, with its rules: compare
 * with data_end before each access.
 */
struct xdpctl_frame {
	void *data;
	void *data_end;
	void *context; /* struct __sk_buff * if tc, else struct xdp_md * */
	int tc;
};

/* Hand the frame on to the next stage: `return xdpctl_next(context);`
 *
 * There is nothing to do but to say so: the program was called by the pipeline, which counts the
 * frame as passed and goes on behind the call. Code that runs in a program of its own would have
 * to find its successor and jump there; this does not.
 */
#define xdpctl_next(context)                                                                       \
	_Generic((context), struct xdp_md *: XDP_PASS, struct __sk_buff *: XDPCTL_TC_NEXT)

/* Copy `length` bytes from `offset` on, wherever in the frame they are. 0, or negative where the
 * frame is shorter. `from` is a struct xdp_md *, struct __sk_buff * or struct xdpctl_frame *.
 */
#define xdpctl_load_bytes(from, offset, to, length)                                                \
	_Generic((from),                                                                           \
		struct xdp_md *: xdpctl_load_bytes_xdp,                                            \
		struct __sk_buff *: xdpctl_load_bytes_tc,                                          \
		struct xdpctl_frame *: xdpctl_load_bytes_frame)(from, offset, to, length)

/* Bytes of the whole frame, all of its buffers. */
#define xdpctl_length(from)                                                                        \
	_Generic((from),                                                                           \
		struct xdp_md *: xdpctl_length_xdp,                                                \
		struct __sk_buff *: xdpctl_length_tc,                                              \
		struct xdpctl_frame *: xdpctl_length_frame)(from)

/* Make of `static __always_inline int function(struct xdpctl_frame *frame)` the XDP program `name`
 * and the tc program `name`_tc. It must be inlined, as the two differ in how bytes are loaded.
 */
#define XDPCTL_POLICY(name, function)                                                              \
	SEC("xdp.frags") int name(struct xdp_md *context)                                          \
	{                                                                                          \
		struct xdpctl_frame frame = {                                                      \
			.data = (void *)(long)context->data,                                       \
			.data_end = (void *)(long)context->data_end,                               \
			.context = context,                                                        \
			.tc = 0,                                                                   \
		};                                                                                 \
		return function(&frame) == XDPCTL_PASS ? XDP_PASS : XDP_DROP;                      \
	}                                                                                          \
	SEC("tc") int name##_tc(struct __sk_buff *context)                                         \
	{                                                                                          \
		xdpctl_pull(context);                                                              \
		struct xdpctl_frame frame = {                                                      \
			.data = (void *)(long)context->data,                                       \
			.data_end = (void *)(long)context->data_end,                               \
			.context = context,                                                        \
			.tc = 1,                                                                   \
		};                                                                                 \
		return function(&frame) == XDPCTL_PASS ? XDPCTL_TC_NEXT : XDPCTL_TC_DROP;          \
	}

static __always_inline long xdpctl_load_bytes_xdp(struct xdp_md *context, __u32 offset, void *to,
						  __u32 length)
{
	return bpf_xdp_load_bytes(context, offset, to, length);
}

static __always_inline long xdpctl_load_bytes_tc(struct __sk_buff *context, __u32 offset, void *to,
						 __u32 length)
{
	return bpf_skb_load_bytes(context, offset, to, length);
}

static __always_inline long xdpctl_load_bytes_frame(struct xdpctl_frame *frame, __u32 offset,
						    void *to, __u32 length)
{
	if (frame->tc)
		return bpf_skb_load_bytes(frame->context, offset, to, length);
	return bpf_xdp_load_bytes(frame->context, offset, to, length);
}

static __always_inline __u32 xdpctl_length_xdp(struct xdp_md *context)
{
	return bpf_xdp_get_buff_len(context);
}

static __always_inline __u32 xdpctl_length_tc(struct __sk_buff *context)
{
	return context->len;
}

static __always_inline __u32 xdpctl_length_frame(struct xdpctl_frame *frame)
{
	if (frame->tc)
		return ((struct __sk_buff *)frame->context)->len;
	return bpf_xdp_get_buff_len(frame->context);
}

/* Headers may lie in the packet's other buffers: bring them to where data points. */
static __always_inline void xdpctl_pull(struct __sk_buff *context)
{
	__u32 wanted = context->len < XDPCTL_HEADERS ? context->len : XDPCTL_HEADERS;

	if ((void *)(long)context->data + wanted > (void *)(long)context->data_end)
		bpf_skb_pull_data(context, wanted);
}

#endif
