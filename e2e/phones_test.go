package e2e

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/carillon-sip/carillon/e2e/lab"
)

// exchange is a small telephone exchange behind the balancer:
//
//	alice, bob, carol (baresip) ---> balancer ---> registrar1, registrar2 (Kamailio, sharing locations)
//
// A call from alice to bob passes the balancer twice: to a registrar, and from it to bob.
type exchange struct {
	t          *testing.T
	wire       *lab.Capture
	edge       netip.AddrPort
	balancer   *lab.Balancer
	registrars [2]*lab.Kamailio
	phones     map[string]*lab.Baresip
}

// startExchange starts it with phones for these users. direct: the registrars send calls straight to the phones.
func startExchange(t *testing.T, setup lab.Setup, spec lab.RegistrarSpec, direct bool, users ...lab.Phone) *exchange {
	t.Helper()
	lab.Require(t, "baresip", "kamailio")
	x := &exchange{t: t, wire: lab.StartCapture(t), edge: lab.Addr(t, "127.0.0.1"), phones: make(map[string]*lab.Baresip)}
	addrs := [2]netip.AddrPort{lab.Addr(t, "127.0.0.21"), lab.Addr(t, "127.0.0.22")}
	x.wire.Names[x.edge], x.wire.Names[addrs[0]], x.wire.Names[addrs[1]] = "balancer", "registrar1", "registrar2"
	if !direct {
		spec.Edge = x.edge
	}
	x.registrars = lab.StartRegistrars(t, addrs, spec)
	setup.Listen, setup.Servers = []netip.AddrPort{x.edge}, addrs[:]
	x.balancer = lab.StartBalancer(t, setup)
	for i, p := range users {
		p.Addr, p.Outbound = lab.Addr(t, "127.0.0.3"+string(rune('1'+i))), x.edge
		x.wire.Names[p.Addr] = p.User
		x.phones[p.User] = lab.StartBaresip(t, p)
	}
	x.expectShared()
	return x
}

// expectShared waits until both registrars know every phone, whichever of them it registered with.
func (x *exchange) expectShared() {
	x.t.Helper()
	for _, k := range x.registrars {
		for user := range x.phones {
			lab.Until(x.t, k.Addr.String()+" knows "+user, func() bool {
				_, known := k.Contact(user)
				return known
			})
		}
	}
}

// dial lets one phone call another and returns the Call-ID once the other one rings.
func (x *exchange) dial(from, to string) string {
	x.t.Helper()
	caller := x.phones[from]
	seen := len(x.wire.Packets())
	caller.Do("dial", "sip:"+to+"@example.test")
	x.phones[to].Expect("CALL_INCOMING")
	for _, p := range x.wire.Packets()[seen:] {
		if m, ok := lab.ReadMessage(p); ok && m.Src == caller.Addr && m.Method() == "INVITE" {
			return m.CallID
		}
	}
	x.t.Fatalf("%s's INVITE is not on the wire", from)
	return ""
}

// dialInVain lets a phone call someone who does not ring, and returns the Call-ID once the call is over with the
// status and its ACK is on the wire.
func (x *exchange) dialInVain(from, to string, status int) string {
	x.t.Helper()
	caller := x.phones[from]
	seen := len(x.wire.Packets())
	caller.Do("dial", "sip:"+to+"@example.test")
	caller.Expect("CALL_CLOSED")
	var id string
	x.awaitsAfter(seen, "the refusal", func(m lab.Message) bool {
		id = m.CallID
		return m.Dst == caller.Addr && m.Status() == status
	})
	x.awaitsAck(id, caller, status)
	return id
}

// awaitsAck waits until the phone has acknowledged the final response to its INVITE.
func (x *exchange) awaitsAck(id string, caller *lab.Baresip, status int) {
	x.t.Helper()
	var number string
	x.wire.Await("final response to "+id, func(p lab.Packet) bool {
		m, ok := lab.ReadMessage(p)
		number = strings.TrimSuffix(m.CSeq, "INVITE")
		return ok && m.CallID == id && m.Dst == caller.Addr && m.Status() == status && m.Method() == "INVITE"
	})
	x.wire.Await("ACK of "+id, func(p lab.Packet) bool {
		m, ok := lab.ReadMessage(p)
		return ok && m.CallID == id && m.Src == caller.Addr && m.CSeq == number+"ACK"
	})
}

// awaits waits for a message of the call at a party, e.g. awaits(id, alice, 200, "BYE"): status 0 is a request.
func (x *exchange) awaits(id string, at *lab.Baresip, status int, method string, more func(lab.Message) bool) {
	x.t.Helper()
	x.wire.Await(method+" of "+id+" at "+at.User, func(p lab.Packet) bool {
		m, ok := lab.ReadMessage(p)
		return ok && p.Dst == at.Addr && m.CallID == id && m.Status() == status && m.Method() == method && (more == nil || more(m))
	})
}

// expectSteps checks what a phone sent and received in a call, 100 left out, and that all of it touched one registrar.
func (x *exchange) expectSteps(id string, at *lab.Baresip, want string) {
	x.t.Helper()
	x.expect(id, at, strings.Fields(want), x.steps(id, at))
}

// expectSet is expectSteps for an exchange in which two answers may cross: 200 to CANCEL and 487 to INVITE.
func (x *exchange) expectSet(id string, at *lab.Baresip, want string) {
	x.t.Helper()
	x.expect(id, at, slices.Sorted(slices.Values(strings.Fields(want))), slices.Sorted(slices.Values(x.steps(id, at))))
}

// steps are the messages of the call at a phone: ">" it sent, "<" it received.
func (x *exchange) steps(id string, at *lab.Baresip) []string {
	x.t.Helper()
	var out []string
	for _, m := range lab.Distinct(x.wire.Calls().ByID[id]) {
		switch {
		case m.Status() == 100:
		case m.Src == at.Addr:
			out = append(out, ">"+m.Word())
		case m.Dst == at.Addr:
			out = append(out, "<"+m.Word())
		}
	}
	return out
}

func (x *exchange) expect(id string, at *lab.Baresip, want, got []string) {
	x.t.Helper()
	messages := x.wire.Calls().ByID[id]
	if !slices.Equal(got, want) {
		x.t.Errorf("%s sent (>) and received (<)\n%s, want\n%s\n%s", at.User, got, want, x.wire.Names.Ladder(messages))
	}
	x.expectOneRegistrar(messages)
}

func (x *exchange) expectOneRegistrar(messages []lab.Message) {
	x.t.Helper()
	var reached []netip.AddrPort
	for _, m := range messages {
		for _, k := range x.registrars {
			if m.Src == x.edge && m.Dst == k.Addr && !slices.Contains(reached, m.Dst) {
				reached = append(reached, m.Dst)
			}
		}
	}
	if len(reached) != 1 {
		x.t.Errorf("the call reached %d registrars\n%s", len(reached), x.wire.Names.Ladder(messages))
	}
}

// Phones register with digest and call each other through the balancer.
func TestPhones(t *testing.T) {
	x := startExchange(t, lab.Setup{}, lab.RegistrarSpec{NoAnswer: 4 * time.Second}, false,
		lab.Phone{User: "alice"}, lab.Phone{User: "bob", OneCall: true}, lab.Phone{User: "carol"})
	t.Run("register", x.testRegister)
	t.Run("call with hold", x.testHold)
	t.Run("callee hangs up", x.testCalleeHangsUp)
	t.Run("cancel", x.testCancel)
	t.Run("rejected", x.testRejected)
	t.Run("busy", x.testBusy)
	t.Run("no answer", x.testNoAnswer)
	t.Run("unknown user", x.testUnknownUser)
}

// in gives the exchange to a subtest: what goes wrong there is that test's failure.
func (x *exchange) in(t *testing.T) *exchange {
	inner := *x
	inner.t = t
	return &inner
}

// The four-way REGISTER lands on one server.
func (x *exchange) testRegister(t *testing.T) {
	x = x.in(t)
	for user, phone := range x.phones {
		for id, messages := range x.wire.Calls().ByID {
			if messages[0].Src == phone.Addr && messages[0].Method() == "REGISTER" {
				x.expectSteps(id, phone, ">REGISTER <401 >REGISTER <200")
				t.Logf("%s registered", user)
			}
		}
	}
}

func (x *exchange) testHold(t *testing.T) {
	x = x.in(t)
	alice, bob := x.phones["alice"], x.phones["bob"]
	id := x.dial("alice", "bob")
	bob.Do("accept", "")
	alice.Expect("CALL_ESTABLISHED")
	bob.Expect("CALL_ESTABLISHED")
	reinvites := func(direction string) func(lab.Message) bool {
		return func(m lab.Message) bool { return strings.Contains(string(m.Body()), "a="+direction) }
	}
	alice.Do("hold", "")
	x.awaits(id, bob, 0, "INVITE", reinvites("sendonly"))
	x.awaits(id, alice, 200, "INVITE", reinvites("recvonly"))
	held := len(x.wire.Packets())
	alice.Do("resume", "")
	x.awaitsAfter(held, "the resumed call's 200", func(m lab.Message) bool {
		return m.CallID == id && m.Dst == alice.Addr && m.Status() == 200 && reinvites("sendrecv")(m)
	})
	x.awaitsAfter(held, "the resumed call's ACK", func(m lab.Message) bool {
		return m.CallID == id && m.Dst == bob.Addr && m.Method() == "ACK"
	})
	alice.Do("hangup", "")
	bob.Expect("CALL_CLOSED")
	x.awaits(id, alice, 200, "BYE", nil)
	x.expectSteps(id, alice, ">INVITE <407 >ACK >INVITE <180 <200 >ACK >INVITE <200 >ACK >INVITE <200 >ACK >BYE <200")
	x.expectSteps(id, bob, "<INVITE >180 >200 <ACK <INVITE >200 <ACK <INVITE >200 <ACK <BYE >200")
}

// awaitsAfter waits for a message behind the first n packets of the capture.
func (x *exchange) awaitsAfter(n int, what string, found func(lab.Message) bool) {
	x.t.Helper()
	x.wire.Await(what, func(p lab.Packet) bool {
		m, ok := lab.ReadMessage(p)
		n--
		return n < 0 && ok && found(m)
	})
}

func (x *exchange) testCalleeHangsUp(t *testing.T) {
	x = x.in(t)
	alice, bob := x.phones["alice"], x.phones["bob"]
	id := x.dial("alice", "bob")
	bob.Do("accept", "")
	alice.Expect("CALL_ESTABLISHED")
	bob.Expect("CALL_ESTABLISHED")
	x.awaits(id, bob, 0, "ACK", nil)
	bob.Do("hangup", "")
	alice.Expect("CALL_CLOSED")
	x.awaits(id, bob, 200, "BYE", nil)
	x.expectSteps(id, alice, ">INVITE <407 >ACK >INVITE <180 <200 >ACK <BYE >200")
	x.expectSteps(id, bob, "<INVITE >180 >200 <ACK >BYE <200")
}

func (x *exchange) testCancel(t *testing.T) {
	x = x.in(t)
	alice, bob := x.phones["alice"], x.phones["bob"]
	id := x.dial("alice", "bob")
	x.awaits(id, alice, 180, "INVITE", nil)
	alice.Do("hangup", "")
	bob.Expect("CALL_CLOSED")
	x.awaits(id, alice, 200, "CANCEL", nil)
	x.awaitsAck(id, alice, 487)
	x.awaits(id, bob, 0, "ACK", nil)
	x.expectSet(id, alice, ">INVITE <407 >ACK >INVITE <180 >CANCEL <200 <487 >ACK")
	x.expectSet(id, bob, "<INVITE >180 <CANCEL >200 >487 <ACK")
}

func (x *exchange) testRejected(t *testing.T) {
	x = x.in(t)
	alice, bob := x.phones["alice"], x.phones["bob"]
	id := x.dial("alice", "bob")
	x.awaits(id, alice, 180, "INVITE", nil)
	bob.Do("hangup", "")
	alice.Expect("CALL_CLOSED")
	x.awaitsAck(id, alice, 486)
	x.awaits(id, bob, 0, "ACK", nil)
	x.expectSteps(id, alice, ">INVITE <407 >ACK >INVITE <180 <486 >ACK")
	x.expectSteps(id, bob, "<INVITE >180 >486 <ACK")
}

// A phone that takes one call at a time is called while it has one; that one goes on.
func (x *exchange) testBusy(t *testing.T) {
	x = x.in(t)
	alice, bob, carol := x.phones["alice"], x.phones["bob"], x.phones["carol"]
	id := x.dial("alice", "bob")
	bob.Do("accept", "")
	alice.Expect("CALL_ESTABLISHED")
	bob.Expect("CALL_ESTABLISHED")
	second := x.dialInVain("carol", "bob", 486)
	x.awaits(second, bob, 0, "ACK", nil)
	x.expectSteps(second, carol, ">INVITE <407 >ACK >INVITE <486 >ACK")
	x.expectSteps(second, bob, "<INVITE >486 <ACK")
	alice.Do("hangup", "")
	bob.Expect("CALL_CLOSED")
	x.awaits(id, alice, 200, "BYE", nil)
}

func (x *exchange) testNoAnswer(t *testing.T) {
	x = x.in(t)
	alice, bob := x.phones["alice"], x.phones["bob"]
	id := x.dial("alice", "bob")
	bob.Expect("CALL_CLOSED") // the registrar gives up and cancels
	alice.Expect("CALL_CLOSED")
	x.awaitsAck(id, alice, 408)
	x.awaits(id, bob, 0, "ACK", nil)
	x.expectSteps(id, alice, ">INVITE <407 >ACK >INVITE <180 <408 >ACK")
	x.expectSet(id, bob, "<INVITE >180 <CANCEL >200 >487 <ACK")
}

func (x *exchange) testUnknownUser(t *testing.T) {
	x = x.in(t)
	alice := x.phones["alice"]
	id := x.dialInVain("alice", "nobody", 404)
	x.expectSteps(id, alice, ">INVITE <407 >ACK >INVITE <404 >ACK")
}

// Without Record-Route of the balancer's, and with registrars that send calls straight to the phones.
func TestPhonesWithoutRecordRoute(t *testing.T) {
	for name, direct := range map[string]bool{"out through the balancer": false, "out directly": true} {
		t.Run(name, func(t *testing.T) {
			x := startExchange(t, lab.Setup{NoRecordRoute: true}, lab.RegistrarSpec{}, direct, lab.Phone{User: "alice"}, lab.Phone{User: "bob"})
			t.Run("callee hangs up", x.testCalleeHangsUp)
			t.Run("cancel", x.testCancel)
		})
	}
}

// Many phones register at once: each challenge and its credentials meet on one registrar, and both have work.
func TestRegistrations(t *testing.T) {
	lab.Require(t, "sipp")
	x := startExchange(t, lab.Setup{}, lab.RegistrarSpec{}, false)
	from := lab.Addr(t, "127.0.0.2")
	x.wire.Names[from] = "phones"
	const phones = 200
	caller := lab.StartSIPp(t, lab.SIPpSpec{Name: "phone", Scenario: "register", Local: from, Remote: x.edge, Calls: phones, Rate: 200})
	if tally := caller.Finish(loadLimit); tally.Succeeded != phones || tally.Failed != 0 {
		t.Errorf("SIPp: %+v\n%s", tally, caller.Errors())
	}
	faults := lab.Faults{Names: x.wire.Names}
	count := make(map[netip.AddrPort]int)
	for id, messages := range x.wire.Calls().ByID {
		if !strings.HasSuffix(id, ".phone@127.0.0.2") {
			continue
		}
		var words []string
		reached := make(map[netip.AddrPort]bool)
		for _, m := range lab.Distinct(messages) {
			if m.Src == from || m.Dst == from {
				words = append(words, m.Word())
			}
			if m.Src == x.edge && m.Dst != from {
				reached[m.Dst] = true
				count[m.Dst]++
			}
			if m.Header("Path") != "" || m.Header("Record-Route") != "" {
				faults.Add(messages, "Path or Record-Route in a REGISTER")
			}
		}
		if got := strings.Join(words, " "); got != "REGISTER 401 REGISTER 200" {
			faults.Add(messages, "the phone saw %s", got)
		}
		if len(reached) != 1 {
			faults.Add(messages, "%d registrars", len(reached))
		}
	}
	faults.Report(t)
	for _, k := range x.registrars {
		t.Logf("%v: %d REGISTER requests", k.Addr, count[k.Addr])
		if count[k.Addr] < phones/2 {
			t.Errorf("%v got %d of %d REGISTER requests", k.Addr, count[k.Addr], 2*phones)
		}
	}
}
