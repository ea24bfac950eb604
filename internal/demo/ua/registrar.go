package ua

import (
	"crypto/subtle"
	"strconv"
	"strings"
	"time"

	"github.com/emiago/sipgo/sip"
	"github.com/icholy/digest"
)

// Realm and Password of every user of the demonstration.
const (
	Realm    = "carillon"
	Password = "carillon"
)

// verdict on the credentials of a request.
type verdict uint8

const (
	noCredentials verdict = iota
	staleNonce            // right or wrong, they answer a nonce this server does not know
	wrongCredentials
	rightCredentials
)

// onRegister is the registrar: RFC 3261 section 10.3, with the digest of section 22.
func (l *life) onRegister(req *sip.Request, tx sip.ServerTransaction) {
	now := time.Now()
	user := req.To().Address.User
	switch check(l.cfg.Nonces, req, user, now) {
	case noCredentials:
		l.count.Challenges.Add(1)
		l.challenge(req, tx, false, now)
		return
	case staleNonce:
		l.count.StrangeNonces.Add(1)
		l.challenge(req, tx, true, now)
		return
	case wrongCredentials:
		_ = tx.Respond(l.agent.response(req, sip.StatusForbidden, "Forbidden"))
		return
	}
	bound, err := l.cfg.Locations.register(req, user, now)
	switch err {
	case nil:
	case errOutOfOrder:
		_ = tx.Respond(l.agent.response(req, sip.StatusInternalServerError, "CSeq Out Of Order"))
		return
	case errFull:
		_ = tx.Respond(l.agent.response(req, sip.StatusForbidden, "Too Many Bindings"))
		return
	default:
		_ = tx.Respond(l.agent.response(req, sip.StatusBadRequest, "Bad Contact"))
		return
	}
	l.count.Registrations.Add(1)
	res := l.agent.response(req, sip.StatusOK, "OK")
	for _, b := range bound {
		left := b.expires.Sub(now) / time.Second
		contact := &sip.ContactHeader{Address: b.uri}
		contact.Params.Add("expires", strconv.Itoa(int(left)))
		res.AppendHeader(contact)
	}
	res.AppendHeader(sip.NewHeader("Date", now.UTC().Format("Mon, 02 Jan 2006 15:04:05")+" GMT"))
	_ = tx.Respond(res)
}

// challenge answers 401. MD5, since that is what every phone knows; a phone shown SHA-256 beside it may choke.
func (l *life) challenge(req *sip.Request, tx sip.ServerTransaction, stale bool, now time.Time) {
	c := digest.Challenge{
		Realm: Realm, Nonce: l.cfg.Nonces.make(now), Stale: stale, Algorithm: "MD5", QOP: []string{"auth"},
	}
	res := l.agent.response(req, sip.StatusUnauthorized, "Unauthorized")
	res.AppendHeader(sip.NewHeader("WWW-Authenticate", c.String()))
	_ = tx.Respond(res)
}

// check reads the credentials for our realm, and weighs them.
func check(nonces *Nonces, req *sip.Request, user string, now time.Time) verdict {
	for _, h := range req.GetHeaders("Authorization") {
		c, err := digest.ParseCredentials(h.Value())
		if err != nil || c.Realm != Realm {
			continue
		}
		if !nonces.fresh(c.Nonce, now) {
			return staleNonce
		}
		if c.Username != user || !strings.EqualFold(c.Algorithm, "MD5") && c.Algorithm != "" {
			return wrongCredentials
		}
		chal := digest.Challenge{Realm: Realm, Nonce: c.Nonce, Algorithm: c.Algorithm}
		if c.QOP != "" {
			chal.QOP = []string{c.QOP}
		}
		want, err := digest.Digest(&chal, digest.Options{
			Method: string(req.Method), URI: c.URI, Count: c.Nc, Cnonce: c.Cnonce,
			Username: user, Password: Password,
		})
		if err == nil && subtle.ConstantTimeCompare([]byte(want.Response), []byte(c.Response)) == 1 {
			return rightCredentials
		}
		return wrongCredentials
	}
	return noCredentials
}

// parseSeconds reads delta-seconds (RFC 3261 section 25.1); what is longer than a day's sense counts as a day.
func parseSeconds(text string) (time.Duration, error) {
	n, err := strconv.ParseUint(strings.TrimSpace(text), 10, 32)
	if err != nil {
		return 0, err
	}
	return time.Duration(min(n, 86_400)) * time.Second, nil
}
