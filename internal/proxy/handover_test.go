package proxy

import (
	"bytes"
	"maps"
	"net/netip"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/carillon-sip/carillon/internal/aged"
	"github.com/carillon-sip/carillon/internal/sip"
	"github.com/carillon-sip/carillon/internal/snapshot"
)

// heirOf is what the numbers of one world mean in another.
func heirOf(from, to *step) *Heir {
	h := &Heir{Snapshot: to.l.snap, NowNS: from.in.NowNS, Listener: to.l.snap.Listeners}
	for _, sv := range from.l.snap.Servers() {
		var n snapshot.Handle
		if sv != nil {
			if same := to.l.snap.Pools[0].ServerAt(sv.Addr); same != nil {
				n = same.Handle
			}
		}
		h.Servers = append(h.Servers, n)
	}
	return h
}

func listenerNumber(ln *snapshot.Listener) uint32 { return uint32(ln.Index) }

// bigger is a world with the servers in another order, and more of them: a Call-ID that is not known finds another server now
// and then.
func bigger(t *testing.T, s *step) *step {
	b := newStep(t)
	b.l.servers = append(slices.Clone(s.l.servers), "10.0.0.11:5060", "10.0.0.12:5060", "10.0.0.13:5060", "10.0.0.14:5060")
	slices.Reverse(b.l.servers)
	b.l.snap = nil
	b.l.compile()
	b.in.Listener, b.in.Snapshot = b.l.snap.Listeners[0], b.l.snap
	return b
}

// What was told of a state is answered by another state as it was by the first, and counted by the same servers.
func TestStateChangesHands(t *testing.T) {
	a := newStep(t)
	b := bigger(t, a)
	rapid.Check(t, func(t *rapid.T) {
		for _, w := range []*step{a, b} {
			w.in.State = NewState(1<<20, 1<<20, nil)
			w.l.state[0] = w.in.State
			for _, sv := range w.l.snap.Servers() {
				if sv != nil {
					sv.State.OpenTransactions.Store(0)
					sv.State.Calls.Store(0)
					sv.State.Dialogs.Store(0)
				}
			}
		}
		req := invite()
		seen := map[uint32]bool{}
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			n := rapid.Uint32Range(0, 60).Draw(t, "call")
			a.in.Now += aged.Tick(rapid.IntRange(0, 2000).Draw(t, "ms"))
			a.in.NowNS += 1e6
			number(req, n)
			a.in.From = netip.MustParseAddrPort("192.0.2.7:16000")
			v := a.handle(req)
			seen[n] = true
			if status := rapid.SampledFrom([]int{0, 100, 180, 200, 486}).Draw(t, "status"); status > 0 && v.Action == Forward {
				var m sip.Msg
				m.Parse(bytes.Clone(a.out))
				a.in.From = v.To
				a.handle(m.AppendReply(nil, &sip.Reply{Status: status, Reason: "x", ToTag: []byte("t")}))
			}
		}
		told := a.in.State.AppendState(nil, listenerNumber)
		n, ok := b.in.State.TakeState(told, heirOf(a, b))
		if !ok || n.Transactions != a.in.State.Transactions() || n.Known != a.in.State.Calls() {
			t.Fatalf("%+v of %d transactions and %d Call-IDs, %v", n, a.in.State.Transactions(), a.in.State.Calls(), ok)
		}
		b.in.Now, b.in.NowNS = a.in.Now, a.in.NowNS
		for _, sv := range a.l.snap.Pools[0].Servers {
			other := b.l.snap.Pools[0].ServerAt(sv.Addr)
			got := [3]int64{other.State.OpenTransactions.Load(), other.State.Calls.Load(), other.State.Dialogs.Load()}
			want := [3]int64{sv.State.OpenTransactions.Load(), sv.State.Calls.Load(), sv.State.Dialogs.Load()}
			if got != want {
				t.Fatalf("%s counts %v, did %v", sv.Addr, got, want)
			}
		}
		wait := aged.Tick(rapid.IntRange(0, 20_000).Draw(t, "later"))
		from := netip.MustParseAddrPort("192.0.2.7:16000")
		a.in.From, b.in.From = from, from
		a.in.Now, b.in.Now = a.in.Now+wait, b.in.Now+wait
		for _, n := range slices.Sorted(maps.Keys(seen)) {
			number(req, n) // a retransmission, or the next transaction of the call
			if rapid.Bool().Draw(t, "next") {
				copy(req[bytes.Index(req, []byte("z9hG4bK"))+7:], "f")
			}
			was, is := a.handle(req), b.handle(req)
			if was.Reason == FailedOverSilence || is.Reason == FailedOverSilence || was.Reason == NewCall && is.Reason == NewCall {
				continue // where to is for the hash to say, which has more servers here
			}
			if was.To != is.To || was.Action != is.Action || was.Reason != is.Reason || !bytes.Equal(a.out, b.out) {
				t.Fatalf("call %d: %v %v to %s, was %v %v to %s\n%s\n%s", n, is.Action, is.Reason, is.To, was.Action, was.Reason, was.To, b.out, a.out)
			}
		}
	})
}

// Octets that are no state do no harm, wherever they end or whatever they hold.
func TestStateThatCannotBeRead(t *testing.T) {
	a := newStep(t)
	req := invite()
	for i := range 20 {
		number(req, uint32(i))
		a.handle(req)
	}
	told := a.in.State.AppendState(nil, listenerNumber)
	rapid.Check(t, func(t *rapid.T) {
		broken := bytes.Clone(told[:rapid.IntRange(0, len(told)-1).Draw(t, "cut")])
		if len(broken) > 0 && rapid.Bool().Draw(t, "changed") {
			broken[rapid.IntRange(0, min(len(broken)-1, 200)).Draw(t, "at")] ^= byte(rapid.IntRange(1, 255).Draw(t, "bits"))
		}
		if _, ok := NewState(1<<20, 1<<20, nil).TakeState(broken, heirOf(a, a)); ok {
			t.Fatalf("%d of %d octets were taken for the whole", len(broken), len(told))
		}
	})
}
