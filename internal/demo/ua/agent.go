// Package ua has the SIP user agents of the demonstration: [Server], a small application server (registrar with digest,
// answers and hangs up calls), and [Caller], a phone that registers and places calls. They stand on emiago/sipgo, an
// implementation that shares nothing with the balancer's own reader and rules, so that what works between them works on
// the wire and not by a common mistake.
package ua

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/emiago/sipgo"
	"github.com/emiago/sipgo/sip"
)

// Methods an agent understands, as Allow tells them.
const allowedMethods = "INVITE, ACK, BYE, CANCEL, OPTIONS, REGISTER"

// errClosed is what a request in flight returns when its agent goes away.
var errClosed = errors.New("user agent closed")

// agent is one SIP user agent on one UDP socket. It lives from listen to close; a server that is killed and revived is
// two agents.
type agent struct {
	name   string         // what User-Agent or Server says
	addr   netip.AddrPort // of the socket; sent-by and Contact
	proxy  netip.AddrPort // outbound proxy; zero: requests go where Route or Request-URI say
	conn   *socket
	stack  *sipgo.UserAgent
	client *sipgo.Client

	ctx  context.Context // done when the agent closes
	stop context.CancelCauseFunc

	mu      sync.Mutex
	closed  bool
	dialogs map[string]*dialog
	wg      sync.WaitGroup
}

// handlers are the answers of an agent to requests from others, by method. A nil one answers 405.
type handlers map[sip.RequestMethod]func(*sip.Request, sip.ServerTransaction)

// listen opens an agent on addr (port 0: any free one) that sends its requests to proxy. The error is the socket's.
func listen(name string, addr, proxy netip.AddrPort) (*agent, error) {
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(addr))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	// 200 calls a second come in bursts; the default buffer drops them when both cores are busy. Best effort.
	_ = conn.SetReadBuffer(1 << 20)
	local := localAddr(conn)

	quiet := slog.New(slog.DiscardHandler) // the terminal belongs to the view
	stack, err := sipgo.NewUA(
		sipgo.WithUserAgent(name),
		sipgo.WithUserAgentHostname(local.Addr().String()),
		sipgo.WithUserAgentTransportLayerOptions(sip.WithTransportLayerLogger(quiet)),
		sipgo.WithUserAgentTransactionLayerOptions(
			sip.WithTransactionLayerLogger(quiet),
			// A late response, its transaction over: RFC 6026 section 8.9 has it dropped.
			sip.WithTransactionLayerUnhandledResponseHandler(func(*sip.Response) {})),
	)
	if err != nil {
		conn.Close()
		return nil, err
	}
	client, err := sipgo.NewClient(stack, sipgo.WithClientLogger(quiet), sipgo.WithClientConnectionAddr(local.String()))
	if err != nil {
		conn.Close()
		return nil, err
	}
	a := &agent{
		name: name, addr: local, proxy: proxy,
		conn: newSocket(conn, stack.TransportLayer().Pool("udp")), stack: stack, client: client,
		dialogs: make(map[string]*dialog),
	}
	a.ctx, a.stop = context.WithCancelCause(context.Background())
	return a, nil
}

// serve starts to answer requests; it returns once the socket is being read.
func (a *agent) serve(h handlers) error {
	server, err := sipgo.NewServer(a.stack, sipgo.WithServerLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		return err
	}
	for method, handle := range h {
		server.OnRequest(method, handle)
	}
	server.OnNoRoute(func(req *sip.Request, tx sip.ServerTransaction) {
		res := a.response(req, sip.StatusMethodNotAllowed, "Method Not Allowed")
		res.AppendHeader(sip.NewHeader("Allow", allowedMethods)) // RFC 3261 section 8.2.1
		_ = tx.Respond(res)
	})
	a.wg.Go(func() { _ = server.ServeUDP(a.conn) }) // ends when close closes the socket
	<-a.conn.reading
	return nil
}

// close takes the agent off the network at once: the socket first, so that not even an answer leaves after the call, and
// no farewell. It returns when everything the agent started has ended. Closing twice is no harm.
func (a *agent) close() {
	a.mu.Lock()
	if a.closed {
		a.mu.Unlock()
		a.wg.Wait()
		return
	}
	a.closed = true
	a.mu.Unlock()

	a.conn.Close()
	a.stop(errClosed)
	for _, d := range a.takeDialogs() {
		d.end()
	}
	a.stack.TransactionLayer().Close() // not the whole stack: see socket
	a.wg.Wait()
}

// spawn runs f beside the caller; close waits for it. It does nothing when the agent is closed already.
func (a *agent) spawn(f func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.closed {
		a.wg.Go(f)
	}
}

// keep enters a dialog so that requests of the peer find it. False: the agent is closed.
func (a *agent) keep(d *dialog) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return false
	}
	a.dialogs[d.id()] = d
	return true
}

// drop forgets a dialog; it reports whether it was there, so that of two who end a call one counts it.
func (a *agent) drop(d *dialog) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	_, was := a.dialogs[d.id()]
	delete(a.dialogs, d.id())
	return was
}

// find returns the dialog that a request of the peer belongs to, nil if none (RFC 3261 section 12.2.2: answer 481).
func (a *agent) find(req *sip.Request) *dialog {
	id, err := sip.DialogIDFromRequestUAS(req)
	if err != nil {
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.dialogs[id]
}

func (a *agent) takeDialogs() map[string]*dialog {
	a.mu.Lock()
	defer a.mu.Unlock()
	all := a.dialogs
	a.dialogs = make(map[string]*dialog)
	return all
}

// callsUp counts the dialogs the agent is in.
func (a *agent) callsUp() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.dialogs)
}

// request makes a request with all that RFC 3261 section 8.1.1 asks for. to has no tag outside a dialog.
func (a *agent) request(method sip.RequestMethod, target sip.Uri, from sip.FromHeader, to sip.ToHeader, callID string, cseq uint32) *sip.Request {
	req := sip.NewRequest(method, target)
	via := &sip.ViaHeader{
		ProtocolName: "SIP", ProtocolVersion: "2.0", Transport: "UDP",
		Host: a.addr.Addr().String(), Port: int(a.addr.Port()),
	}
	via.Params.Add("branch", sip.GenerateBranchN(16))
	via.Params.Add("rport", "")
	req.AppendHeader(via)
	hops := sip.MaxForwardsHeader(70)
	req.AppendHeader(&hops)
	req.AppendHeader(&from)
	req.AppendHeader(&to)
	id := sip.CallIDHeader(callID)
	req.AppendHeader(&id)
	req.AppendHeader(&sip.CSeqHeader{SeqNo: cseq, MethodName: method})
	if method == sip.INVITE || method == sip.REGISTER {
		req.AppendHeader(a.contact(from.Address.User))
	}
	req.AppendHeader(sip.NewHeader("User-Agent", a.name))
	req.SetTransport("UDP")
	if a.proxy.IsValid() {
		req.SetDestination(a.proxy.String())
	}
	return req
}

// response makes a response with the agent's name in it: callers learn from Server who they talk to.
func (a *agent) response(req *sip.Request, status int, reason string) *sip.Response {
	res := sip.NewResponseFromRequest(req, status, reason, nil)
	res.AppendHeader(sip.NewHeader("Server", a.name))
	return res
}

func (a *agent) contact(user string) *sip.ContactHeader {
	return &sip.ContactHeader{Address: sip.Uri{
		Scheme: "sip", User: user, Host: a.addr.Addr().String(), Port: int(a.addr.Port()),
	}}
}

// within returns a context that ends with ctx or with the agent, whichever is first; the cause tells which.
func (a *agent) within(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	unhook := context.AfterFunc(a.ctx, func() { cancel(errClosed) })
	return ctx, func() { unhook(); cancel(nil) }
}

// do sends a request other than INVITE and returns its final response. The stack retransmits by timers E and F; the
// error is sip.ErrTransactionTimeout, the cause of ctx's end, or errClosed.
func (a *agent) do(ctx context.Context, req *sip.Request) (*sip.Response, error) {
	ctx, cancel := a.within(ctx)
	defer cancel()
	tx, err := a.client.TransactionRequest(ctx, req)
	if err != nil {
		return nil, err
	}
	defer tx.Terminate()
	for {
		select {
		case res := <-tx.Responses():
			if !res.IsProvisional() {
				return res, nil
			}
		case <-tx.Done():
			if err := tx.Err(); err != nil {
				return nil, err
			}
			return nil, errClosed // the stack tells that it is over before it tells why
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// wait is for d, or until ctx ends; it reports whether the whole time passed.
func wait(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
