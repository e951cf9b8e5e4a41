"""What the reference of the policy language says between its tables."""

HEAD = """\
# Policies

<!-- Made by `python -m tests.policies.reference`; change the tables, not this file. -->

A policy is a list of rules. Each frame meets them in order, and the first that matches decides:

```yaml
policies:
  web:
    default: drop                # pass | drop; left out: pass
    rules:
      - {name: arp, match: {ether.type: arp}, action: pass}
      - name: https
        match: {tcp.dport: [443, 8000-8100], ip4.saddr: "!192.0.2.0/24"}
        action: pass
      - {name: seen, match: {udp.dport: 53}, action: count}
```

What a rule does stands under [Actions](#actions). A frame that no rule decides takes the default. A
rule without `match` matches every frame. `xdpctl validate` warns of rules that can never match, and
of what a policy cuts off unawares.

## How values are read

- **All keys** of a rule must hold; of a **list** of values any one may.
- **`"!x"` negates** the whole value, and stands in quotes, as `!` means something else to YAML. In
  a list either all values start with `!` or none does: `["!80", "!443"]` is neither of the two.
- **A key guards its protocol**, negated as well: `tcp.dport: "!443"` holds on TCP alone, and never
  on UDP. A later fragment has no ports, so no port key holds on it.
- **Numbers** are decimal or `0x…`; **ranges** are `low-high`, both ends in; a **name** may stand
  for a number anywhere. Names mean the same on every host: they are not read from its `/etc`.
- Within `{…}` a value with a comma needs quotes: `{tcp.flags: "syn,ack"}`.

## What cannot be parsed

A policy looks as deep into a frame as its keys need: not at all, at Ethernet and its VLAN tags, at
IP, or at what follows (TCP, UDP, SCTP, ICMP, ARP). A frame that ends before that, or whose headers
are not as they must be (a wrong version, more than eight extension headers), is *malformed*: no
rule looks at it, it takes the policy's default, and `show` counts it apart.
"""

LIMITS = """\
A limit is `N/second`, `/minute`, `/hour` or `/day` in packets, `10mbit` (`kbit`, `gbit`) or
`5 mbytes/second` in bytes of frames (k, m and g are thousands); `burst` is how much may come at
once: left out, what comes in 10 ms, but at least 5 packets or 131,072 bytes. Each device has a
bucket of its own, which all CPUs share, and which an edit of the policy leaves as full as it was.
`show` tells what was over the limit. The buckets count in nanoseconds: rates up to 100,000,000
packets a second are exact to 5 %.

Broadcasts and frames of siblings meet the policy on the device itself (docs/datapath.md), where
there is no raw frame any more: `tx` and `redirect` send them all the same, `userspace` drops them.
[examples/userspace](../examples/userspace/) has a small program that takes such frames, and tells
what one needs.

`policy` is no call: the other policy's default decides if none of its rules does, and nothing comes
back. `show` tells its rules by its name. Circles are refused.
"""

SET_HEAD = """\
```yaml
sets:
  blocked: {type: ip4, entries: [192.0.2.0/24, 198.51.100.7], file: blocked.txt}
  servers: {type: [ip4.daddr, tcp.dport], entries: [[10.0.0.1, 443], "10.0.0.0/24 8000-8009"]}
policies:
  web:
    rules:
      - {match: {ip4.saddr: ["@blocked", 203.0.113.0/24]}, action: drop}
      - {match: {set: "!@servers"}, action: count}
```

A set is named where a value may stand: `"@blocked"`, `"!@blocked"`, in a list beside others. A
composite set is named under `set:`, or under its keys: `"ip4.daddr, tcp.dport": "@servers"`. Its
entries are lists, or text with blanks or commas between; one value of an entry may be a prefix or a
range, and of the others small ranges (they are written out).

A `file` has an entry a line; what follows a `#` is a comment. Its name is relative to that of the
topology file. A million entries are no trouble.

Entries change without the policies being compiled anew and without a counter being touched: one
entry is written where it is, several come into force all at once. Ports stand in a bitmap, single
values in a hash, prefixes in a trie: a set of addresses that gets its first prefix becomes another
map, for which its policies are compiled once more.
"""

PROGRAMS = """\
## Programs of your own

```yaml
policies:
  mine: {object: mine.bpf.o, program: xdp_main, tc: xdp_main_tc, maps: {counts: /sys/fs/bpf/counts}}
```

A policy may be an XDP program that you have written and compiled yourself. It stands where rules
would: on a device, or on a root before all devices. `XDP_PASS` hands the frame on to the next
stage; `XDP_DROP`, `XDP_TX` and `XDP_REDIRECT` end its way; all are counted. It is called as a
function of xdpctl's own program: it needs no map of programs, and no tail call.

- `program` may be left out where the object has one XDP program. It must be in `SEC("xdp.frags")`.
- `tc` is the program for what does not come from the wire (broadcasts, frames of siblings): left
  out, `<program>_tc`, if the object has it. Without one such frames get the policy's `default`,
  which is `drop` unless you say `pass`.
- `maps` says where maps are pinned: one that is there already is used, and it stays when the
  topology goes. Others live as long as the same object is in use.
- It shares 512 bytes of stack with xdpctl's program, of which about 300 are left.

`xdpctl.h` makes both programs of one function (`clang -I "$(python3 -m xdpctl.include)"`);
[examples/object](../examples/object/) is one to start from.
"""
