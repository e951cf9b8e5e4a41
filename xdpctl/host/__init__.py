"""What the kernel has: links, XDP attachments and namespaces, read into plain dataclasses."""
