// Package health probes the servers of the pools and decides which of them are up.
//
// One goroutine, the loop, owns everything that is learned: it starts the probes that are due, hears their results, moves
// the rise/fall machine of each check (one server under one monitor) and works out the state of each server from its checks.
// The machine itself is pure: it knows neither sockets nor clocks. Nothing here touches storage; what a configuration change
// leaves alone keeps its health, its history and its place in the schedule.
//
// # From which address probes leave
//
// Servers with access lists admit the address of the service, so a probe leaves from Target.Local:
//
//   - Without Config.Sender the package opens a UDP socket of its own for each local address in use, bound to that address and
//     an ephemeral port: right address, other port. This is what most want, since answers can't be taken for anybody's call.
//   - With Config.Sender a SIP probe over UDP is handed to the engine, which sends it from the service's socket (address and
//     port of the service) and hands what comes back for it to Manager.Deliver and Manager.Unreachable; IsProbe tells which
//     responses those are.
//   - TCP, UDP and ping monitors, and SIP over TCP, always use sockets of their own, bound to the same address.
//
// # Unknown
//
// A server that no monitor has judged yet is Unknown. What that means for traffic is the engine's to decide. To take it for up costs some
// calls a second try while a server that was dead from the start is found out. To give it calls only when none of its pool is known to be
// up gives the first few servers of a big pool that come up everybody's calls. Between the two: up while fewer than half of the pool's
// servers have been judged. Quick start judges a server within about half a second if it answers, and within failed_checks times
// receive_timeout if not; of many servers it takes them one after the other, at half of MaxStarts a second.
//
// # Time
//
// All decisions use the monotonic clock: setting the machine's time moves no probe and no state.
package health
