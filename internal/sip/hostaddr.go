package sip

import "net/netip"

// HostAddr reads an IPv4 or IPv6 address, the latter with or without brackets, without a zone. It does not allocate.
func HostAddr(b []byte) (netip.Addr, bool) { return netip.Addr{}, false }
