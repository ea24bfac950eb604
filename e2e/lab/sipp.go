//go:build linux

package lab

import (
	"bytes"
	"cmp"
	"crypto/tls"
	"encoding/csv"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// SIPp is a running SIPp.
type SIPp struct {
	*Process
	t      testing.TB
	Addr   netip.AddrPort
	stats  string // CSV file
	errors string // error log
}

// SIPpSpec says what a SIPp does.
type SIPpSpec struct {
	Name     string
	Scenario string         // file in testdata/sipp, without .xml
	Local    netip.AddrPort // its own address
	Remote   netip.AddrPort // where a caller sends to; the zero value makes it a server
	Calls    int            // how many calls a caller makes
	Rate     int            // new calls a second
	Hold     time.Duration  // how long the scenario's <pause/> takes
	T1       time.Duration  // first retransmission after so long; zero: what the scenario says, mostly 2 s
	Keys     map[string]string
	Args     []string
	// Transport is SIPp's own name for it: "u1" (also ""), "t1" for one TCP connection, "tn" for one a call. "l1" and "ln" are
	// the same with TLS, by a Sleeve.
	Transport string
	Cert      *tls.Certificate // that a server shows over TLS
	contact   string           // address by which others know it, where that is not its own
}

// sleeved puts TLS around SIPp if that is wanted.
func (s *SIPpSpec) sleeved(t testing.TB) {
	t.Helper()
	if !strings.HasPrefix(s.Transport, "l") {
		return
	}
	s.Transport, s.contact = "t"+s.Transport[1:], s.Local.String()
	if s.Remote.IsValid() {
		s.Remote = TLSToward(t, s.Remote)
		return
	}
	outside := s.Local
	s.Local = Addr(t, outside.Addr().String())
	TLSBefore(t, outside, s.Cert, s.Local)
}

// Patient is a T1 for tests that are not about retransmissions, and run beside others: on a machine that stands still for two
// seconds SIPp takes a repeated answer for a new one, and on streams ends at it. On loopback nothing is lost.
const Patient = 15 * time.Second

// openCalls is how many calls a caller has at most under way at a time, beside those it holds.
const openCalls = 200

// StartSIPp starts SIPp as the spec says. A server is ready (its port is bound) when StartSIPp returns.
func StartSIPp(t testing.TB, s SIPpSpec) *SIPp {
	t.Helper()
	Require(t, "sipp")
	dir := t.TempDir()
	s.sleeved(t)
	x := &SIPp{t: t, Addr: s.Local, stats: filepath.Join(dir, "stats.csv"), errors: filepath.Join(dir, "errors.log")}
	args := []string{
		"-sf", s.scenario(t, dir), "-i", s.Local.Addr().String(), "-p", strconv.Itoa(int(s.Local.Port())), "-t", cmp.Or(s.Transport, "u1"), "-nostdin",
		"-buff_size", "4000000", "-d", strconv.Itoa(int(s.Hold.Milliseconds())),
		"-trace_err", "-error_file", x.errors, "-trace_stat", "-stf", x.stats, "-fd", "1",
	}
	for key, value := range s.Keys {
		args = append(args, "-key", key, value)
	}
	if s.Remote.IsValid() {
		// On a busy machine the rate is not reached: calls then wait for others to end, instead of piling up until
		// every message is sent again and the test measures nothing but the machine.
		open := openCalls + int(float64(s.Rate)*s.Hold.Seconds())
		args = append(args, "-m", strconv.Itoa(s.Calls), "-r", strconv.Itoa(s.Rate), "-l", strconv.Itoa(open),
			// A server that dies between 180 and 200 would leave the call waiting for ever.
			"-recv_timeout", "20000", "-cid_str", "%u."+s.Name+"@%s")
	}
	args = append(args, s.Args...)
	if s.Remote.IsValid() {
		args = append(args, s.Remote.String())
	}
	x.Process = Start(t, Command{Name: s.Name, Path: path("sipp"), Args: args, Dir: dir, Env: []string{"TERM=dumb"}, Quiet: true})
	if !s.Remote.IsValid() {
		Until(t, s.Name+" has bound "+s.Local.String(), func() bool {
			if x.Exited() {
				t.Fatalf("%s ended at its start: %s", s.Name, x.Errors())
			}
			if strings.HasPrefix(s.Transport, "t") {
				c, err := net.Dial("tcp", s.Local.String())
				if err == nil {
					c.Close()
				}
				return err == nil
			}
			return Bound(s.Local)
		})
	}
	return x
}

// scenario puts the scenario into the test's directory. Without a hold it loses its pauses: to SIPp a pause of 0 is
// still a turn of its clock, and what follows would not come back to back.
func (s SIPpSpec) scenario(t testing.TB, dir string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "sipp", s.Scenario+".xml"))
	if err != nil {
		t.Fatal(err)
	}
	if s.Hold == 0 {
		text = bytes.ReplaceAll(text, []byte("<pause/>"), nil)
	}
	if s.T1 > 0 {
		text = bytes.ReplaceAll(text, []byte(`retrans="2000"`), fmt.Appendf(nil, `retrans="%d"`, s.T1.Milliseconds()))
	}
	if s.contact != "" {
		text = bytes.ReplaceAll(text, []byte("SIP/2.0/[transport]"), []byte("SIP/2.0/TLS"))
		text = bytes.ReplaceAll(text, []byte("[local_ip]:[local_port]>"), []byte(s.contact+";transport=tls>"))
	}
	file := filepath.Join(dir, s.Scenario+".xml")
	if err := os.WriteFile(file, text, 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}

// Tally is SIPp's own account of its calls.
type Tally struct {
	Created, Succeeded, Failed, Repeats int
}

// Finish waits until a caller has made its calls.
func (x *SIPp) Finish(limit time.Duration) Tally {
	x.t.Helper()
	x.WaitExit(limit)
	return x.Tally()
}

// Quit lets a server finish its open calls and end.
func (x *SIPp) Quit() Tally {
	x.t.Helper()
	x.Stop(syscall.SIGUSR1)
	return x.Tally()
}

// Tally reads the last line of the statistics, which is complete once SIPp has ended.
func (x *SIPp) Tally() Tally {
	x.t.Helper()
	file, err := os.Open(x.stats)
	if err != nil {
		x.t.Fatalf("%s: statistics: %v; errors: %s", x.name, err, x.Errors())
	}
	defer file.Close()
	reader := csv.NewReader(file)
	reader.Comma, reader.FieldsPerRecord = ';', -1
	rows, err := reader.ReadAll()
	if err != nil || len(rows) < 2 {
		x.t.Fatalf("%s: statistics have %d lines: %v", x.name, len(rows), err)
	}
	last := rows[len(rows)-1]
	value := func(column string) int {
		for i, name := range rows[0] {
			if name == column && i < len(last) {
				n, _ := strconv.Atoi(last[i])
				return n
			}
		}
		x.t.Fatalf("%s: no column %q in the statistics", x.name, column)
		return 0
	}
	return Tally{
		Created:   value("TotalCallCreated"),
		Succeeded: value("SuccessfulCall(C)"),
		Failed:    value("FailedCall(C)"),
		Repeats:   value("Retransmissions(C)"),
	}
}

// Errors is SIPp's error log, the first lines of it.
func (x *SIPp) Errors() string {
	text, _ := os.ReadFile(x.errors)
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	if len(lines) > 20 {
		lines = append(lines[:20], fmt.Sprintf("... %d lines more", len(lines)-20))
	}
	return strings.Join(lines, "\n") + x.Output()
}
