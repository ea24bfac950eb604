package controller

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"strings"
	"time"

	"github.com/carillon-sip/carillon/internal/object"
)

// A session is a sealed cookie: any controller of the cluster can read it, and none has to remember it. It ends
// when it was not used for SessionIdle, when its user changes the password or goes, or by a logout, which alone is
// remembered (logouts.go).

// SessionIdle is how long a session that is not used lives.
const SessionIdle = time.Hour

// sessionRenew is the age from which on an answer brings a fresh cookie.
const sessionRenew = 5 * time.Minute

// Session is somebody who has logged in.
type Session struct {
	Who   Who
	CSRF  string // what writes must show beside the cookie
	Fresh string // a cookie to take the place of the one that came; empty: that one will do

	user, id string // uuid of the user, and number of the session
}

// sealed is the content of a cookie.
type sealed struct {
	User    string `json:"u"` // uuid
	Stamp   string `json:"p"` // of the password
	Session string `json:"s"`
	Expires int64  `json:"e"` // s since 1970
}

func (c *Controller) derive(purpose string) []byte {
	m := hmac.New(sha256.New, c.secret)
	m.Write([]byte("carillon " + purpose))
	return m.Sum(nil)
}

// open makes the cookie of a new session.
func (c *Controller) openSession(u *user, address string) (*Session, string) {
	id := c.logouts.open(u.uuid)
	return c.session(u, address, id), c.seal(u, id)
}

func (c *Controller) session(u *user, address, id string) *Session {
	m := hmac.New(sha256.New, c.derive("csrf"))
	m.Write([]byte(u.uuid + " " + id)) // numbers of sessions are a user's own
	return &Session{Who: u.who(c.View(), address), CSRF: hex.EncodeToString(m.Sum(nil)[:16]), user: u.uuid, id: id}
}

func (c *Controller) seal(u *user, id string) string {
	return c.sealUntil(u, id, c.cfg.Clock().Add(SessionIdle))
}

func (c *Controller) sealUntil(u *user, id string, expires time.Time) string {
	body, err := json.Marshal(sealed{u.uuid, u.stamp(), id, expires.Unix()})
	if err != nil {
		panic("controller: a session is no JSON: " + err.Error())
	}
	text := base64.RawURLEncoding.EncodeToString(body)
	return text + "." + c.sign(text)
}

func (c *Controller) sign(text string) string {
	m := hmac.New(sha256.New, c.derive("session"))
	m.Write([]byte(text))
	return base64.RawURLEncoding.EncodeToString(m.Sum(nil))
}

// Session reads a cookie. Nil: it is none of ours, or over.
func (c *Controller) Session(cookie, address string) *Session {
	text, mac, ok := strings.Cut(cookie, ".")
	if !ok || subtle.ConstantTimeCompare([]byte(mac), []byte(c.sign(text))) != 1 {
		return nil
	}
	var s sealed
	body, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || json.Unmarshal(body, &s) != nil {
		return nil
	}
	expires := time.Unix(s.Expires, 0)
	u := userOf(c.View().Get("User", s.User))
	now := c.cfg.Clock()
	if u == nil || u.stamp() != s.Stamp || now.After(expires) || c.logouts.has(s.User, s.Session) {
		return nil
	}
	if expires.Sub(now) > SessionIdle+sessionRenew {
		return nil // made before the clock was set back: it would live for as long as that was
	}
	out := c.session(u, address, s.Session)
	if expires.Sub(now) < SessionIdle-sessionRenew {
		out.Fresh = c.seal(u, s.Session)
	}
	return out
}

// user is an account.
type user struct {
	uuid, name, hash string
	tenant           string // uuid of the tenant it starts in
	access           []object.UserRole
	all              bool // may do everything in every tenant
}

// stamp changes with the password.
func (u *user) stamp() string {
	sum := sha256.Sum256([]byte(u.hash))
	return hex.EncodeToString(sum[:8])
}

// Login checks a password and opens a session.
func (c *Controller) Login(name, password, address string) (s *Session, cookie string, err error) {
	u, err := c.check(name, password, address)
	if err != nil {
		return nil, "", err
	}
	s, cookie = c.openSession(u, address)
	return s, cookie, nil
}

// Basic checks the user and password that came with a single request.
func (c *Controller) Basic(name, password, address string) (Who, error) {
	u, err := c.check(name, password, address)
	if err != nil {
		return Who{}, err
	}
	return u.who(c.View(), address), nil
}

func (c *Controller) check(name, password, address string) (*user, error) {
	u := account(c.View(), name)
	if u != nil && c.logins.knows(u, password) {
		return u, nil
	}
	if wait := c.logins.wait(name, address, time.Now()); wait > 0 {
		c.counts.lockedLogins.Add(1)
		return nil, tooMany(wait)
	}
	if !c.logins.queue() {
		c.counts.lockedLogins.Add(1)
		return nil, fault(TooMany, "%d logins are under way already", maxLoginsWaiting)
	}
	defer func() { <-c.logins.waiting }()
	c.logins.hashing <- struct{}{} // a hash takes 25 ms and 19 MiB
	defer func() { <-c.logins.hashing }()
	if u != nil && c.logins.knows(u, password) {
		return u, nil // one that came with this one was right
	}
	if wait := c.logins.wait(name, address, time.Now()); wait > 0 { // those that came with this one were wrong
		c.counts.lockedLogins.Add(1)
		return nil, tooMany(wait)
	}
	hash := noHash
	if u != nil {
		hash = u.hash
	}
	if !checkPassword(hash, password) || u == nil { // a name that there is not takes as long
		c.logins.failed(name, address, time.Now())
		c.counts.badLogins.Add(1)
		return nil, fault(Unauthorized, "Invalid credentials")
	}
	c.logins.good(u, password, name, address)
	c.counts.logins.Add(1)
	return u, nil
}

func tooMany(wait time.Duration) error {
	return fault(TooMany, "too many failed logins: try again in %d s", int(wait.Seconds())+1)
}
