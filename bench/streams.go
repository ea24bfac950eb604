//go:build linux

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

const (
	targetTCP = 1.3 // CPU per message over UDP's
	targetTLS = 2.0

	streamServers = 18000 // ports of a farm of its own, over UDP and TCP; over TLS tlsPorts above
	streamCallers = 16800
	tlsPorts      = 1000
	streamProxy   = 5180 // Carillon's port for UDP and TCP; the next is that for TLS
	streamPeer    = 5190 // Kamailio's
)

// streams measures TCP and TLS: what a message costs beside UDP, what idle connections hold, and what handshakes cost.
func (b *bench) streams() error {
	if err := b.makeKeys(); err != nil {
		return err
	}
	farm, err := startLoad(b.path("sipgen"), generatorCPU(), fmt.Sprintf("--servers=127.0.0.1:%d", streamServers), fmt.Sprintf("--nservers=%d", servers),
		fmt.Sprintf("--callers=127.0.0.1:%d", streamCallers), fmt.Sprintf("--ncallers=%d", callers), "--streams=1", "--cert="+b.path("p256.pem"), "--key="+b.path("p256.key"))
	if err != nil {
		return err
	}
	defer farm.stop()
	old := b.farm
	b.farm = farm
	defer func() { b.farm = old }()
	if err := b.streamMessages(); err != nil {
		return err
	}
	if err := b.idleConnections(); err != nil {
		return err
	}
	return b.handshakes()
}

// over is a peer as callers over one transport see it.
func (p *peer) over(transport string, port, window int) *peer {
	return &peer{name: p.name + ", " + transport, cmd: p.cmd, cpus: p.cpus, foreign: p.foreign, log: p.log, exited: p.exited, port: port, window: window,
		more: []string{"transport=" + strings.ToLower(transport)}}
}

// streamMessages measures full calls from ten connections of clients to ten servers, each transport in turn within each round.
func (b *bench) streamMessages() error {
	us, err := b.startCarillonStreams("p256")
	defer b.stop(us)
	if err != nil {
		return err
	}
	k, err := b.startKamailioStreams("p256")
	defer b.stop(k)
	if err != nil {
		return err
	}
	peers := []*peer{us.over("UDP", streamProxy, 256), us.over("TCP", streamProxy, 256), us.over("TLS", streamProxy+1, 256),
		k.over("TCP", streamPeer, 64), k.over("TLS", streamPeer+1, 64)}
	for _, p := range peers {
		if err := b.ready(b.farm, p); err != nil {
			return err
		}
	}
	if err := b.inTurn("streams", b.rounds, peers, func(p *peer) []string {
		return []string{fmt.Sprintf("window=%d", p.window), fmt.Sprintf("secs=%.1f", b.secs), "warmup=0.3"}
	}); err != nil {
		return err
	}
	t := table{title: "Streams: full calls, ten connections of callers, ten servers over the same transport",
		columns: []string{"program", "window", "messages/s", "calls/s", "CPU µs/message", "CPU over UDP", "INVITE to 200, p50 µs"}}
	for _, p := range peers {
		t.rows = append(t.rows, []string{p.name, fmt.Sprint(p.window), thousands(median(of(p.runs, perS))), thousands(median(of(p.runs, callsOf))),
			fmt.Sprintf("%.2f", median(of(p.runs, cpu))), fmt.Sprintf("%.2f", median(ratios(p.runs, peers[0].runs, cpu))), fmt.Sprintf("%.0f", median(of(p.runs, p50)))})
	}
	b.tables = append(b.tables, t)
	targets := table{title: "Streams: the targets", columns: targetColumns}
	for i, target := range []float64{targetTCP, targetTLS} {
		p := peers[1+i]
		over := ratios(p.runs, peers[0].runs, cpu)
		targets.add(fmt.Sprintf("%s: CPU per message over UDP's", p.name), fmt.Sprintf("%.2f", median(over)), quartiles(over), fmt.Sprintf("at most %.1f", target), median(over) <= target)
	}
	for i, p := range peers[1:3] {
		over := ratios(peers[3+i].runs, p.runs, cpu)
		targets.rows = append(targets.rows, []string{p.name + ": messages for each second of CPU over Kamailio", fmt.Sprintf("%.2f", median(over)), quartiles(over), "", ""})
	}
	b.tables = append(b.tables, targets)
	return nil
}

// startCarillonStreams starts it with three services: UDP, TCP and TLS on both sides.
func (b *bench) startCarillonStreams(key string) (*peer, error) {
	cert, err := os.ReadFile(b.path(key + ".pem"))
	if err != nil {
		return nil, err
	}
	private, err := os.ReadFile(b.path(key + ".key"))
	if err != nil {
		return nil, err
	}
	indented := func(text []byte) string {
		return strings.ReplaceAll(strings.TrimSpace(string(text)), "\n", "\n      ")
	}
	list := func(port int) string { return `"` + strings.Join(farmList(port, servers), `", "`) + `"` }
	text := fmt.Sprintf(`VirtualService:
- {name: udp, vsvip_ref: vip, pool_ref: udp, application_profile_ref: app, services: [{port: %[1]d}]}
- {name: tcp, vsvip_ref: vip, pool_ref: tcp, application_profile_ref: app, services: [{port: %[1]d, override_network_profile_ref: System-TCP-Proxy}]}
- {name: tls, vsvip_ref: vip, pool_ref: tls, application_profile_ref: app, ssl_key_and_certificate_refs: [cert],
   services: [{port: %[2]d, override_network_profile_ref: System-TCP-Proxy, enable_ssl: true}]}
VsVip: [{name: vip, vip: [{vip_id: 0, ip_address: "127.0.0.1"}]}]
ApplicationProfile: [{name: app, type: sip, sip_service_profile: {record_route: true}}]
SSLProfile: [{name: ssl}]
Pool:
- {name: udp, lb_algorithm: consistent-hash, lb_algorithm_hash: call-id, servers: [%[3]s], health_monitor_refs: [System-SIP]}
- {name: tcp, lb_algorithm: consistent-hash, lb_algorithm_hash: call-id, servers: [%[3]s], health_monitor_refs: [System-SIP]}
- {name: tls, lb_algorithm: consistent-hash, lb_algorithm_hash: call-id, servers: [%[4]s], ssl_profile_ref: ssl}
SSLKeyAndCertificate:
- name: cert
  certificate:
    certificate: |
      %[5]s
  key: |
      %[6]s
`, streamProxy, streamProxy+1, list(streamServers), list(streamServers+tlsPorts), indented(cert), indented(private))
	file := b.path("streams.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return nil, err
	}
	p := &peer{name: "carillon", port: streamProxy, cpus: []int{proxyCPU}}
	return p, b.start(p, b.carillonPath(), "run", "--store", "none", "-f", file, "--workers", "1", "--metrics", fmt.Sprintf("127.0.0.1:%d", firstMetrics+streamProxy-firstProxy),
		"--secret-file", b.path("secret"))
}

// startKamailioStreams starts one process for all connections, and one for TCP as Kamailio has it.
func (b *bench) startKamailioStreams(key string) (*peer, error) {
	var list strings.Builder
	for i := range servers {
		fmt.Fprintf(&list, "1 sip:127.0.0.1:%d;transport=tcp\n2 sip:127.0.0.1:%d;transport=tls\n", streamServers+i, streamServers+tlsPorts+i)
	}
	dir, err := filepath.Abs(b.path(""))
	if err != nil {
		return nil, err
	}
	return b.runKamailio(&peer{name: "kamailio", foreign: true, port: streamPeer, cpus: []int{proxyCPU}}, "bench/kamailio/streams.cfg.in", list.String(),
		"@LISTEN@", fmt.Sprintf("127.0.0.1:%d", streamPeer), "@TLSLISTEN@", fmt.Sprintf("127.0.0.1:%d", streamPeer+1),
		"@CERT@", filepath.Join(dir, key+".pem"), "@KEY@", filepath.Join(dir, key+".key"))
}
