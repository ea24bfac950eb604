package health

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/carillon-sip/carillon/internal/sip"
)

// FuzzStream: whatever a server sends over a connection is taken in whole messages, and cutting the stream anywhere changes nothing:
// what was settled by its first part stays settled, and what was not is as if it had all come at once.
func FuzzStream(f *testing.F) {
	mon := sipMonitor("a")
	addr := netip.MustParseAddrPort("10.0.0.1:5060")
	o := options{mon: &mon, to: addr, via: addr, run: 42}
	request := string(o.append(nil))
	f.Add([]byte(answerTo(request, "200 OK")), 30)
	f.Add([]byte(answerTo(request, "100 Trying", "", "body")+"\r\n\r\n"+answerTo(request, "503 No", "X: y\r\n", "body")), 200)
	f.Add([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"), 3)
	f.Add([]byte(strings.Replace(answerTo(request, "200 OK"), "Content-Length: 0", "Content-Length: 99999", 1)), 9)
	f.Fuzz(func(t *testing.T, b []byte, cut int) {
		d := dial{mon: &mon, addr: addr, run: 42}
		b = b[:min(len(b), maxStream/2)] // a full buffer is judged as it is
		cut = min(max(cut, 0), len(b))
		first, rest, done := readStream(t, &d, b[:cut])
		all, allRest, allDone := readStream(t, &d, b)
		if !done {
			first, rest, done = readStream(t, &d, append(append([]byte{}, rest...), b[cut:]...))
		}
		if first != all || done != allDone || !done && string(rest) != string(allRest) {
			t.Errorf("cut at %d: %+v %v %q, whole: %+v %v %q", cut, first, done, rest, all, allDone, allRest)
		}
	})
}

func readStream(t *testing.T, d *dial, b []byte) (outcome, []byte, bool) {
	var msg sip.Msg
	for {
		out, used, done := d.message(&msg, b)
		switch {
		case done:
			return out, nil, true
		case used == 0:
			return outcome{}, b, false
		case used < 0 || used > len(b):
			t.Fatalf("%d of %d octets used", used, len(b))
		}
		b = b[used:]
	}
}
