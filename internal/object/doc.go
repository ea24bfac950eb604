// Package object holds the objects that users configure: virtual services, VIPs, pools, health monitors and profiles,
// with the field names, defaults and ranges of VMware's Avi load balancer.
//
// A file of objects goes through [Load], which decodes each object onto a value that already holds the defaults,
// turns every spelling of an enumeration or a reference into the one normal form, and checks the whole. A [Set] built
// in Go starts from [New] and is checked with [Set.Validate].
//
// The struct tags of the types are the schema, and there is no other: decoding, defaults, ranges, printing and
// docs/objects all read them. See schema.go for the words a tag may hold.
//
// The package knows neither storage nor sockets, and imports nothing else of ours.
package object
