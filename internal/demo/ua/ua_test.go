package ua

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/emiago/sipgo/sip"
	"github.com/icholy/digest"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var loopback = netip.MustParseAddrPort("127.0.0.1:0")

// pair starts a server and a phone that talk to each other with nothing between.
func pair(t *testing.T, cfg ServerConfig) (*Server, *Caller) {
	t.Helper()
	if cfg.Name == "" {
		cfg.Name = "server-1"
	}
	if !cfg.Addr.IsValid() {
		cfg.Addr = loopback
	}
	if cfg.Ring == 0 {
		cfg.Ring = 2 * time.Millisecond
	}
	s, err := StartServer(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Kill() })
	c, err := StartCaller(CallerConfig{User: "1001", Addr: netip.AddrPortFrom(cfg.Addr.Addr(), 0), Proxy: s.Addr()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return s, c
}

func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func TestCallEndsFromEitherSide(t *testing.T) {
	for _, test := range []struct {
		name string
		plan Plan
		want Outcome
	}{
		{"we hang up", Plan{To: "1002", Hold: time.Millisecond}, Completed},
		{"hold and back", Plan{To: UserEcho, Hold: 3 * time.Millisecond, Pause: true}, Completed},
		{"server hangs up", Plan{To: UserHangUp, Hold: time.Minute}, HungUp},
		{"busy", Plan{To: UserBusy}, Busy},
		{"cancel", Plan{To: UserNoAnswer, Cancel: true}, Cancelled},
		{"no answer", Plan{To: UserNoAnswer, Ring: time.Millisecond}, Failed},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, c := pair(t, ServerConfig{HangUpAfter: 2 * time.Millisecond})
			res := c.Call(within(t), test.plan)
			if res.Outcome != test.want {
				t.Fatalf("outcome %s, want %s: %+v", res.Outcome, test.want, res)
			}
			if res.Strayed != "" {
				t.Errorf("strayed to %q", res.Strayed)
			}
			if answered := test.want == Completed || test.want == HungUp; answered != (res.Setup > 0) {
				t.Errorf("setup time %v", res.Setup)
			}
			if st := s.Stats(); st.Calls != 0 || c.CallsUp() != 0 {
				t.Errorf("calls left: %d at the server, %d at the phone", st.Calls, c.CallsUp())
			}
		})
	}
}

func TestCallOverIPv6(t *testing.T) {
	addr := netip.MustParseAddrPort("[::1]:0")
	probe, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(addr))
	if err != nil {
		t.Skipf("no IPv6 loopback: %v; run where ::1 is configured", err)
	}
	probe.Close()
	_, c := pair(t, ServerConfig{Addr: addr, HangUpAfter: 2 * time.Millisecond})
	if _, err := c.Register(within(t), time.Minute); err != nil {
		t.Error(err)
	}
	for _, to := range []string{"1002", UserHangUp} {
		if res := c.Call(within(t), Plan{To: to, Hold: 20 * time.Millisecond}); res.Setup == 0 {
			t.Errorf("%s: %+v", to, res)
		}
	}
}

func TestRegisterFourWay(t *testing.T) {
	s, c := pair(t, ServerConfig{})
	r, err := c.Register(within(t), 90*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if r.Challenges != 1 || r.Server != "server-1" || r.Expires < 89*time.Second || r.Expires > 90*time.Second {
		t.Errorf("got %+v", r)
	}
	if got, ok := s.cfg.Locations.draw(5, time.Now()); !ok || got.uri.Port != int(c.Addr().Port()) {
		t.Errorf("bound to %+v, want port %d", got, c.Addr().Port())
	}
	if _, err := c.Register(within(t), 0); err != nil {
		t.Fatal(err)
	}
	if n := s.cfg.Locations.Count(time.Now()); n != 0 {
		t.Errorf("%d users bound after Expires 0", n)
	}
	if st := s.Stats(); st.Registrations != 2 || st.Challenges != 2 || st.StrangeNonces != 0 {
		t.Errorf("server counts %+v", st)
	}
}

// TestNonceTellsServersApart has credentials meet another server than the challenge did.
func TestNonceTellsServersApart(t *testing.T) {
	now := time.Now()
	one, other := NewNonces(), NewNonces()
	register := func(nonce, user, password string) *sip.Request {
		req := sip.NewRequest(sip.REGISTER, sip.Uri{Scheme: "sip", Host: "127.0.0.1"})
		cred, err := digest.Digest(
			&digest.Challenge{Realm: Realm, Nonce: nonce, Algorithm: "MD5", QOP: []string{"auth"}},
			digest.Options{Method: "REGISTER", URI: "sip:127.0.0.1", Username: user, Password: password})
		if err != nil {
			t.Fatal(err)
		}
		req.AppendHeader(sip.NewHeader("Authorization", cred.String()))
		return req
	}
	good := register(one.make(now), "1001", Password)
	for _, test := range []struct {
		name   string
		nonces *Nonces
		req    *sip.Request
		at     time.Time
		want   verdict
	}{
		{"the same server", one, good, now, rightCredentials},
		{"another server", other, good, now, staleNonce},
		{"too late", one, good, now.Add(nonceLife + 2*time.Second), staleNonce},
		{"wrong password", one, register(one.make(now), "1001", "guess"), now, wrongCredentials},
		{"another's name", one, register(one.make(now), "1002", Password), now, wrongCredentials},
		{"forged nonce", one, register("AAAA", "1001", Password), now, staleNonce},
		{"none", one, sip.NewRequest(sip.REGISTER, sip.Uri{Scheme: "sip", Host: "127.0.0.1"}), now, noCredentials},
	} {
		if got := check(test.nonces, test.req, "1001", test.at); got != test.want {
			t.Errorf("%s: verdict %d, want %d", test.name, got, test.want)
		}
	}
}

func TestLocations(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	l := NewLocations()
	register := func(user, callID string, cseq uint32, expires string, contacts ...string) ([]binding, error) {
		req := sip.NewRequest(sip.REGISTER, sip.Uri{Scheme: "sip", Host: "127.0.0.1"})
		id := sip.CallIDHeader(callID)
		req.AppendHeader(&id)
		req.AppendHeader(&sip.CSeqHeader{SeqNo: cseq, MethodName: sip.REGISTER})
		if expires != "" {
			req.AppendHeader(sip.NewHeader("Expires", expires))
		}
		for _, text := range contacts {
			h := &sip.ContactHeader{}
			if text == "*" {
				h.Address.Wildcard = true
			} else if _, err := sip.ParseAddressValue(text, &h.Address, &h.Params); err != nil {
				t.Fatal(err)
			}
			req.AppendHeader(h)
		}
		return l.register(req, user, now)
	}
	for i, step := range []struct {
		callID   string
		cseq     uint32
		expires  string
		contacts []string
		left     int
		err      error
	}{
		{"a", 1, "", []string{"<sip:x@127.0.0.1:1>"}, 1, nil},
		{"a", 2, "60", []string{"<sip:x@127.0.0.1:2>", "<sip:x@127.0.0.1:3>;expires=30"}, 3, nil},
		{"a", 2, "60", []string{"<sip:x@127.0.0.1:2>"}, 0, errOutOfOrder},
		{"b", 1, "60", []string{"<sip:x@127.0.0.1:2>"}, 3, nil}, // another Call-ID starts anew: section 10.3 step 7
		{"b", 2, "", nil, 3, nil}, // a query
		{"b", 3, "0", []string{"<sip:x@127.0.0.1:2>"}, 2, nil},
		{"b", 4, "", []string{"*"}, 0, errBadWildcard},
		{"b", 5, "0", []string{"*"}, 0, nil},
	} {
		got, err := register("x", step.callID, step.cseq, step.expires, step.contacts...)
		if err != step.err || err == nil && len(got) != step.left {
			t.Fatalf("step %d: %d bindings, error %v; want %d, %v", i, len(got), err, step.left, step.err)
		}
	}
	var many []string
	for i := range maxContacts + 1 {
		many = append(many, fmt.Sprintf("<sip:y@127.0.0.1:%d>", i+1))
	}
	if _, err := register("y", "c", 1, "", many...); err != errFull {
		t.Errorf("%d contacts: %v", len(many), err)
	}
	if _, err := register("y", "c", 2, "10", many[0]); err != nil || l.Count(now) != 1 {
		t.Errorf("count %d, %v", l.Count(now), err)
	}
	if n := l.Count(now.Add(10 * time.Second)); n != 0 {
		t.Errorf("%d users after the expiry", n)
	}
}

// TestKillLosesCallsQuietly kills a server with a call up and revives it: no BYE comes, the phone's own BYE finds
// nobody who knows the call, and the revived server takes new ones at the old address.
func TestKillLosesCallsQuietly(t *testing.T) {
	s, c := pair(t, ServerConfig{})
	ctx := within(t)
	up, hangUp := make(chan struct{}), make(chan struct{})
	done := make(chan Result, 1)
	var calls sync.WaitGroup
	calls.Go(func() {
		done <- c.Call(ctx, Plan{To: "1002", Hold: time.Minute, HangUp: hangUp, OnUp: func(string) { close(up) }})
	})
	<-up
	addr := s.Addr()
	if lost := s.Kill(); lost != 1 {
		t.Errorf("%d calls lost, want 1", lost)
	}
	if s.Stats().Alive {
		t.Error("alive after Kill")
	}
	if err := s.Revive(); err != nil {
		t.Fatal(err)
	}
	if s.Addr() != addr {
		t.Errorf("revived at %v, was at %v", s.Addr(), addr)
	}
	select {
	case res := <-done:
		t.Fatalf("the call ended by itself: %+v", res)
	default:
	}
	close(hangUp)
	calls.Wait()
	if res := <-done; res.Outcome != Lost || res.Status != sip.StatusCallTransactionDoesNotExists {
		t.Errorf("got %+v, want it lost with 481", res)
	}
	if res := c.Call(ctx, Plan{To: "1002"}); res.Outcome != Completed {
		t.Errorf("after the revival: %+v", res)
	}
	if st := s.Stats(); st.Answered != 2 || st.Strangers != 1 {
		t.Errorf("server counts %+v", st)
	}
}

func TestClosingAPhoneAbortsItsCalls(t *testing.T) {
	_, c := pair(t, ServerConfig{})
	up := make(chan struct{})
	done := make(chan Result, 1)
	var calls sync.WaitGroup
	calls.Go(func() {
		done <- c.Call(context.Background(), Plan{To: "1002", Hold: time.Minute, OnUp: func(string) { close(up) }})
	})
	<-up
	c.Close()
	calls.Wait()
	if res := <-done; res.Outcome != Aborted {
		t.Errorf("got %+v", res)
	}
}

// TestClosingWhileHangingUp closes a phone whose BYE nobody answers, at a slightly different moment each time.
func TestClosingWhileHangingUp(t *testing.T) {
	for range 20 {
		s, c := pair(t, ServerConfig{})
		up, hangUp := make(chan struct{}), make(chan struct{})
		var res Result
		var calls sync.WaitGroup
		calls.Go(func() {
			res = c.Call(context.Background(), Plan{To: "1002", Hold: time.Minute, HangUp: hangUp, OnUp: func(string) { close(up) }})
		})
		<-up
		s.Kill()
		close(hangUp)
		c.Close()
		calls.Wait()
		if res.Outcome != Aborted {
			t.Fatalf("got %+v", res)
		}
	}
}

// TestServerAsksPhones has the server send requests of its own to who is registered.
func TestServerAsksPhones(t *testing.T) {
	s, c := pair(t, ServerConfig{Qualify: time.Millisecond})
	ctx := within(t)
	if _, err := c.Register(ctx, time.Minute); err != nil {
		t.Fatal(err)
	}
	for s.Stats().Qualified == 0 {
		// a call takes a while and is an occasion for the server to ask
		if res := c.Call(ctx, Plan{To: "1002", Hold: 2 * time.Millisecond}); res.Outcome != Completed {
			t.Fatalf("%+v", res)
		}
	}
	if n := s.Stats().Unqualified; n != 0 {
		t.Errorf("%d OPTIONS not answered", n)
	}
}

func TestServerRefuses(t *testing.T) {
	_, c := pair(t, ServerConfig{})
	a := c.agent
	for _, test := range []struct {
		method sip.RequestMethod
		extra  string
		tag    string
		want   int
	}{
		{sip.OPTIONS, "", "", 200},
		{sip.MESSAGE, "", "", 405},
		{sip.BYE, "", "nobody", 481},
		{sip.CANCEL, "", "", 481},
		{sip.INVITE, "Require", "", 420},
		{sip.INVITE, "", "nobody", 481},
	} {
		to := sip.ToHeader{Address: c.address("1002")}
		if test.tag != "" {
			to.Params.Add("tag", test.tag)
		}
		req := a.request(test.method, c.address("1002"), c.self("x"), to, c.nextCallID(), 1)
		if test.extra != "" {
			req.AppendHeader(sip.NewHeader(test.extra, "precondition"))
		}
		res, err := a.do(within(t), req)
		if err != nil {
			t.Fatalf("%s: %v", test.method, err)
		}
		if res.StatusCode != test.want {
			t.Errorf("%s (%s): %d, want %d", test.method, test.extra, res.StatusCode, test.want)
		}
		if test.want == 420 && (res.GetHeader("Unsupported") == nil || res.GetHeader("Unsupported").Value() != "precondition") {
			t.Error("420 without Unsupported")
		}
		if test.want == 405 && res.GetHeader("Allow") == nil {
			t.Error("405 without Allow")
		}
	}
}

func TestEchoReturnsRTPOnly(t *testing.T) {
	e, err := listenEcho(loopback.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer e.close()
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(e.addr))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	junk, rtp := []byte("OPTIONS sip:x SIP/2.0\r\n"), append([]byte{0x80, 0, 0, 1}, make([]byte, 168)...)
	for _, packet := range [][]byte{junk, rtp[:11], rtp} {
		if _, err := conn.Write(packet); err != nil {
			t.Fatal(err)
		}
	}
	if err := conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	var buf [2048]byte
	n, err := conn.Read(buf[:])
	if err != nil || n != len(rtp) {
		t.Errorf("%d bytes back, %v; want the %d of the RTP packet first", n, err, len(rtp))
	}
}

func TestSessionAnswersTheOffer(t *testing.T) {
	addr := netip.MustParseAddrPort("127.0.0.1:4000")
	for offer, want := range map[string]string{sendRecv: sendRecv, sendOnly: recvOnly, recvOnly: sendOnly, inactive: inactive} {
		if got := mirror(direction(session(addr, 1, offer))); got != want {
			t.Errorf("offer %s answered with %s, want %s", offer, got, want)
		}
	}
	if got := direction([]byte("v=0\r\nc=IN IP4 0.0.0.0\r\n")); got != sendOnly {
		t.Errorf("hold by address read as %s", got)
	}
}

// TestFleet has phones place calls of all kinds at a busy server until enough are over.
func TestFleet(t *testing.T) {
	const seed, enough = 7, 60
	t.Logf("seed %d", seed)
	s, _ := pair(t, ServerConfig{HangUp: 0.3, HangUpAfter: 4 * time.Millisecond, Seed: seed})
	over := make(chan Result, 4096)
	f, err := StartFleet(FleetConfig{
		Callers: 3, Proxy: s.Addr(), Listen: loopback.Addr(), Rate: 300, Talk: 20 * time.Millisecond,
		Expires: time.Minute, Mix: Mix{Busy: 0.2, Cancel: 0.2, Pause: 0.2}, Seed: seed,
		Report: func(r Result) { over <- r },
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(within(t))
	var running sync.WaitGroup
	running.Go(func() { f.Run(ctx) })
	for range enough {
		select {
		case <-over:
		case <-ctx.Done():
			t.Fatalf("only %+v", f.Totals())
		}
	}
	f.SetPaused(true)
	cancel()
	running.Wait()
	f.HangUp(within(t))
	f.Close()
	got := f.Totals()
	if got.Of(Failed)+got.Of(Lost)+got.Of(Aborted)+got.Strayed > 0 {
		t.Errorf("not all well: %+v", got)
	}
	for _, o := range []Outcome{Completed, HungUp, Cancelled, Busy} {
		if got.Of(o) == 0 {
			t.Errorf("no call %s: %+v", o, got)
		}
	}
	if got.Up != 0 || got.Ringing.P50 <= 0 || got.Setup.P99 < got.Setup.P50 {
		t.Errorf("gauges: %+v", got)
	}
}
