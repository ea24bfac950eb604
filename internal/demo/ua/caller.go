package ua

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/emiago/sipgo/sip"
	"github.com/icholy/digest"
)

// CallerConfig is what a Caller is made of.
type CallerConfig struct {
	User   string         // of its address of record, sip:User@Domain, and of its credentials
	Domain string         // empty: the proxy's address
	Addr   netip.AddrPort // where it listens; port 0: any free one
	Proxy  netip.AddrPort // where all its requests go
}

// Caller is a phone: it registers with digest, places calls, and answers what comes in such a call.
type Caller struct {
	cfg   CallerConfig
	agent *agent
	calls atomic.Uint64 // placed; makes Call-IDs differ
	media netip.AddrPort

	registration struct {
		callID string
		tag    string
		cseq   uint32
	}
}

// discardPort is where a phone without a sound card has its media sent (RFC 863).
const discardPort = 9

// StartCaller starts a phone. The error is that of its socket.
func StartCaller(cfg CallerConfig) (*Caller, error) {
	if cfg.Domain == "" {
		cfg.Domain = cfg.Proxy.Addr().String()
	}
	a, err := listen("carillon-demo/"+cfg.User, cfg.Addr, cfg.Proxy)
	if err != nil {
		return nil, err
	}
	c := &Caller{cfg: cfg, agent: a, media: netip.AddrPortFrom(a.addr.Addr(), discardPort)}
	c.registration.callID = "reg-" + sip.GenerateTagN(16)
	c.registration.tag = sip.GenerateTagN(12)
	return c, a.serve(handlers{sip.INVITE: c.onInvite, sip.ACK: c.onAck, sip.BYE: c.onBye, sip.OPTIONS: c.onOptions})
}

// Addr is where the phone listens.
func (c *Caller) Addr() netip.AddrPort { return c.agent.addr }

// CallsUp counts the calls it is in.
func (c *Caller) CallsUp() int { return c.agent.callsUp() }

// Close ends the phone at once, without a word to anybody; calls in progress return [Aborted].
func (c *Caller) Close() { c.agent.close() }

// Registration tells how a Register went.
type Registration struct {
	Server     string        // who said 200
	Expires    time.Duration // how long it holds
	Challenges int           // 401s on the way: 1 when challenge and credentials met the same server
}

// maxChallenges is how often a REGISTER is sent again with new credentials before it is given up.
const maxChallenges = 3

var (
	errRefused    = errors.New("refused")
	errNoAccess   = errors.New("credentials not accepted")
	errNoResponse = errors.New("no response")
)

// Register makes the registrar send requests for the user here for the given time, zero: no longer. It is the four-way
// exchange (REGISTER, 401, REGISTER with credentials, 200), each time with the same Call-ID and a higher CSeq. One
// Register at a time.
func (c *Caller) Register(ctx context.Context, expires time.Duration) (Registration, error) {
	var r Registration
	credentials := ""
	for {
		req := c.registerRequest(expires, credentials)
		res, err := c.agent.do(ctx, req)
		switch {
		case errors.Is(err, sip.ErrTransactionTimeout):
			return r, errNoResponse
		case err != nil:
			return r, err
		case res.StatusCode == sip.StatusOK:
			r.Server = serverName(res)
			r.Expires = c.grantedExpiry(res, expires)
			return r, nil
		case res.StatusCode != sip.StatusUnauthorized && res.StatusCode != sip.StatusProxyAuthRequired:
			return r, fmt.Errorf("%w: %d %s", errRefused, res.StatusCode, res.Reason)
		}
		r.Challenges++
		if r.Challenges > maxChallenges {
			return r, errNoAccess
		}
		if credentials, err = c.credentials(req, res); err != nil {
			return r, err
		}
	}
}

func (c *Caller) registerRequest(expires time.Duration, credentials string) *sip.Request {
	c.registration.cseq++
	from, to := c.self(c.registration.tag), sip.ToHeader{Address: c.address(c.cfg.User)}
	registrar := sip.Uri{Scheme: "sip", Host: c.cfg.Domain} // no user: section 10.2
	req := c.agent.request(sip.REGISTER, registrar, from, to, c.registration.callID, c.registration.cseq)
	life := sip.ExpiresHeader(expires / time.Second)
	req.AppendHeader(&life)
	if credentials != "" {
		req.AppendHeader(sip.NewHeader("Authorization", credentials))
	}
	return req
}

func (c *Caller) credentials(req *sip.Request, res *sip.Response) (string, error) {
	h := res.GetHeader("WWW-Authenticate")
	if h == nil {
		return "", errNoAccess
	}
	chal, err := digest.ParseChallenge(h.Value())
	if err != nil {
		return "", err
	}
	cred, err := digest.Digest(chal, digest.Options{
		Method: string(req.Method), URI: req.Recipient.String(), Username: c.cfg.User, Password: Password,
	})
	if err != nil {
		return "", err
	}
	return cred.String(), nil
}

// grantedExpiry finds our Contact in a 200 and how long it holds (section 10.2.4).
func (c *Caller) grantedExpiry(res *sip.Response, asked time.Duration) time.Duration {
	own := c.agent.contact(c.cfg.User).Address.String()
	for _, h := range res.GetHeaders("Contact") {
		contact, ok := h.(*sip.ContactHeader)
		if !ok || contact.Address.String() != own {
			continue
		}
		if text, ok := contact.Params.Get("expires"); ok {
			if life, err := parseSeconds(text); err == nil {
				return life
			}
		}
	}
	return asked
}

// self is a From with a tag.
func (c *Caller) self(tag string) sip.FromHeader {
	from := sip.FromHeader{Address: c.address(c.cfg.User)}
	from.Params.Add("tag", tag)
	return from
}

func (c *Caller) address(user string) sip.Uri {
	return sip.Uri{Scheme: "sip", User: user, Host: c.cfg.Domain}
}

func (c *Caller) nextCallID() string {
	return sip.GenerateTagN(16) + "-" + strconv.FormatUint(c.calls.Add(1), 10) + "@" + c.cfg.User
}

// onInvite refuses calls: these phones only call.
func (c *Caller) onInvite(req *sip.Request, tx sip.ServerTransaction) {
	_ = tx.Respond(c.agent.response(req, sip.StatusTemporarilyUnavailable, "Temporarily Unavailable"))
}

func (c *Caller) onAck(*sip.Request, sip.ServerTransaction) {}

func (c *Caller) onOptions(req *sip.Request, tx sip.ServerTransaction) {
	res := c.agent.response(req, sip.StatusOK, "OK")
	res.AppendHeader(sip.NewHeader("Allow", allowedMethods))
	_ = tx.Respond(res)
}

// onBye ends a call from the server's side.
func (c *Caller) onBye(req *sip.Request, tx sip.ServerTransaction) {
	d := c.agent.find(req)
	if d == nil {
		_ = tx.Respond(c.agent.response(req, sip.StatusCallTransactionDoesNotExists, "Call/Transaction Does Not Exist"))
		return
	}
	c.agent.drop(d)
	d.end()
	_ = tx.Respond(c.agent.response(req, sip.StatusOK, "OK"))
}

// serverName is who answered, as its Server header field says.
func serverName(res *sip.Response) string {
	if h := res.GetHeader("Server"); h != nil {
		return h.Value()
	}
	return ""
}
