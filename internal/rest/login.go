package rest

import (
	"encoding/json"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/carillon-sip/carillon/internal/catalog"
	"github.com/carillon-sip/carillon/internal/controller"
)

// Names of the cookies. Avi's clients know them all.
const (
	csrfCookie    = "csrftoken"
	sessionCookie = "sessionid"
	aviCookie     = "avi-sessionid"
)

// statusStaleCSRF is what a token that belongs to no session gets; clients log in again.
const statusStaleCSRF = 419

// maxLogin bounds the body of a login.
const maxLogin = 64 << 10

// login takes JSON, as the Go SDK sends it, and a form, as Python does.
func (q *request) login() (answer, error) {
	body, err := q.body(maxLogin)
	if err != nil {
		return answer{}, err
	}
	var in struct{ Username, Password, Token string }
	kind, _, _ := mime.ParseMediaType(q.Header.Get("Content-Type"))
	if kind == "application/x-www-form-urlencoded" {
		form, err := url.ParseQuery(string(body))
		if err != nil {
			return answer{}, refuse(http.StatusBadRequest, "the form could not be read: %v", err)
		}
		in.Username, in.Password = form.Get("username"), form.Get("password")
	} else if err := q.once(body); err != nil {
		return answer{}, err
	} else if err := shape(json.Unmarshal(body, &in), `{"username": ..., "password": ...}`); err != nil {
		return answer{}, err
	}
	if in.Username == "" || in.Password == "" {
		return answer{}, refuse(http.StatusUnauthorized, "Invalid credentials: username and password must be given")
	}
	s, cookie, err := q.s.c.Login(in.Username, in.Password, q.address())
	if err != nil {
		return answer{}, err
	}
	q.setCookies(s, cookie)
	tenant := q.tenantName(s.Who.Tenant)
	return answer{Body: map[string]any{
		"version": q.s.version(), "session_cookie_name": sessionCookie,
		"user":        map[string]any{"username": s.Who.User, "name": s.Who.User, "role": s.Who.Role, "is_superuser": s.Who.Role == controller.RoleAdmin},
		"user_tenant": tenant, "tenants": []string{tenant}, "controller": map[string]any{"name": "carillon"},
	}}, nil
}

func (q *request) setCookies(s *controller.Session, cookie string) {
	for _, c := range []http.Cookie{{Name: csrfCookie, Value: s.CSRF}, {Name: sessionCookie, Value: cookie, HttpOnly: true}, {Name: aviCookie, Value: cookie, HttpOnly: true}} {
		c.Path, c.Secure, c.SameSite = "/", q.s.shows != nil, http.SameSiteLaxMode
		http.SetCookie(q.w, &c)
	}
}

func (q *request) logout() (answer, error) {
	if q.session != nil {
		if err := q.s.c.Logout(q.Context(), q.session); err != nil {
			return answer{}, err
		}
	}
	for _, name := range []string{csrfCookie, sessionCookie, aviCookie} {
		http.SetCookie(q.w, &http.Cookie{Name: name, Path: "/", MaxAge: -1, Secure: q.s.shows != nil})
	}
	return answer{Body: map[string]string{"detail": "logged out"}}, nil
}

// logoutByLink is for browsers. They send the cookies along when another site leads them here, and no other site is to
// log somebody out.
func (q *request) logoutByLink() (answer, error) {
	from := q.Header.Get("Origin")
	if from == "" {
		from = q.Header.Get("Referer")
	}
	switch site := q.Header.Get("Sec-Fetch-Site"); site {
	case "same-origin", "none": // none: typed in, or a bookmark
	case "":
		if u, err := url.Parse(from); err == nil && (from == "" || u.Host == q.Host) {
			break
		}
		fallthrough
	default:
		return answer{}, refuse(http.StatusForbidden, "a cross-site request is refused")
	}
	return q.logout()
}

// admit finds out who asks, in which tenant, and refuses who may not.
func (q *request) admit() error {
	if err := checkVersion(q.Header.Get("X-Avi-Version")); err != nil {
		return err
	}
	if err := q.identify(); err != nil {
		return err
	}
	return q.setTenant()
}

func (q *request) identify() error {
	if name, password, ok := q.BasicAuth(); ok {
		who, err := q.s.c.Basic(name, password, q.address())
		if q.who = who; err != nil {
			q.challenge()
		}
		return err
	}
	for _, name := range []string{sessionCookie, aviCookie} {
		if c, err := q.Cookie(name); err == nil {
			if q.session = q.s.c.Session(c.Value, q.address()); q.session != nil {
				break
			}
		}
	}
	if q.session == nil {
		q.challenge()
		return refuse(http.StatusUnauthorized, "Authentication credentials were not provided: log in at /login, or send them with the request")
	}
	q.who = q.session.Who
	if q.Method != http.MethodGet && q.Method != http.MethodHead {
		switch token := q.Header.Get("X-CSRFToken"); token {
		case q.session.CSRF:
		case "":
			return refuse(http.StatusForbidden, "CSRF Failed: the header X-CSRFToken is missing; it carries the cookie csrftoken")
		default:
			return refuse(statusStaleCSRF, "CSRF Failed: X-CSRFToken is not that of the session; log in again")
		}
	}
	if q.session.Fresh != "" {
		q.setCookies(q.session, q.session.Fresh)
	}
	return nil
}

// challenge says how to log in (RFC 9110 section 11.6.1).
func (q *request) challenge() { q.w.Header().Set("WWW-Authenticate", `Basic realm="carillon"`) }

// setTenant reads X-Avi-Tenant and X-Avi-Tenant-UUID.
func (q *request) setTenant() error {
	name, uuid := q.Header.Get("X-Avi-Tenant"), q.Header.Get("X-Avi-Tenant-UUID")
	if name == "" && uuid == "" {
		return nil
	}
	if name == "*" || uuid == "*" {
		q.all = true
		if !q.who.All() {
			return refuse(http.StatusForbidden, "user %s has not all tenants", q.who.User)
		}
		q.who = q.who.Everywhere(q.view) // in one tenant it may be more
		return nil
	}
	t := q.view.Get("Tenant", uuid)
	if uuid == "" {
		t = q.view.Named("Tenant", catalog.AdminTenant, name)
	}
	if t == nil {
		return refuse(http.StatusForbidden, "Tenant '%s' does not exist!", name+uuid)
	}
	who, ok := q.who.In(q.view, t.UUID())
	if !ok {
		return refuse(http.StatusForbidden, "user %s has no access to tenant '%s'", q.who.User, t.Name())
	}
	q.who = who
	return nil
}

func (q *request) tenantName(uuid string) string { return q.view.TenantName(uuid) }

// checkVersion takes every release of Avi up to ours.
func checkVersion(text string) error {
	if text == "" {
		return nil
	}
	want, have := numbers(text), numbers(AviVersion)
	if want == nil {
		return refuse(http.StatusBadRequest, "Invalid version %q: expected one such as %s", text, AviVersion)
	}
	for i, n := range have {
		if i >= len(want) || want[i] < n {
			return nil
		}
		if want[i] > n {
			return refuse(http.StatusBadRequest, "Invalid version %s: this controller has %s", text, AviVersion)
		}
	}
	return nil
}

func numbers(text string) []int {
	var out []int
	for part := range strings.SplitSeq(text, ".") {
		digits, _, _ := strings.Cut(part, "-")
		n, err := strconv.Atoi(digits)
		if err != nil || n < 0 {
			return nil
		}
		out = append(out, n)
	}
	return out
}

// version is what Avi's clients read as the controller's.
func (s *Server) version() map[string]any {
	return map[string]any{"Version": AviVersion, "version": AviVersion, "ProductName": "carillon", "Product": "controller", "build": 0,
		"Tag": "carillon-" + s.c.Version(), "carillon": s.c.Version()}
}
