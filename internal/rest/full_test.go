package rest

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/carillon-sip/carillon/internal/store"
)

// TestFullStore holds that a store that is full says so, that the way out of it is open, and that it is over by itself.
func TestFullStore(t *testing.T) {
	const quota, value, pages = 8 << 20, 64 << 10, 17 * 4096 // what a value takes in the database
	w := newWorldOn(t, store.Config{Dir: t.TempDir(), QuotaBytes: quota})
	w.startEngine("se-1")
	pool, _, vs := w.farm("edge")
	var filling []string
	for end := time.Now().Add(30 * time.Second); ; {
		key := fmt.Sprint("filling/", len(filling))
		_, _, err := w.st.Commit(t.Context(), store.Txn{Put: []store.KV{{Key: key, Value: bytes.Repeat([]byte{byte(len(filling))}, value)}}})
		switch {
		case err == nil:
			filling = append(filling, key)
		case !errors.Is(err, store.ErrFull) || time.Now().After(end):
			t.Fatal(len(filling), err)
		case len(filling)*pages < quota/10*9: // it is full of history: that goes
			w.ctl.WaitLive(t.Context(), 1<<40, 10*time.Millisecond, nil)
			continue
		}
		if err != nil {
			break
		}
	}
	cookie, csrf := w.logIn("admin", password)
	for _, c := range []struct {
		method, path, body string
		status             int
		words              string
	}{
		{"GET", "/api/carillon/liveness", "", 200, `"alive":true`},
		{"GET", "/api/carillon/readiness", "", 503, "delete objects"},
		{"GET", "/api/carillon/readiness", "", 503, `"ready":false`},
		{"GET", "/api/carillon/readiness", "", 503, `"reads":true,"writes":false,"deletes":true`},
		{"GET", "/api/cluster/status", "", 200, "the store is full"},
		{"GET", "/api/cluster/runtime", "", 200, `"full":true`},
		{"POST", "/api/pool", `{"name":"more"}`, 503, "nothing was changed: the store is full"},
		{"PATCH", "/api/pool/" + pool, `{"replace":{"enabled":false}}`, 503, "nothing was changed"},
		{"GET", "/api/pool/" + pool, "", 200, "edge"},
		{"GET", "/api/virtualservice/" + vs + "/runtime", "", 200, "OPER_"},
		{"DELETE", "/api/virtualservice/" + vs, "", 204, ""},
		{"DELETE", "/api/pool/" + pool, "", 204, ""},
		{"GET", "/api/audit?page_size=1", "", 200, `"action":"delete"`},
	} {
		if r := w.admin(c.method, c.path, c.body); r.status != c.status || !strings.Contains(string(r.body), c.words) {
			t.Errorf("%s %s: %d %s, want %d with %q", c.method, c.path, r.status, r.body, c.status, c.words)
		}
	}
	if r := w.send("POST", "/logout", nil, cookie, csrf); r.status != 200 {
		t.Errorf("logout: %d %s", r.status, r.body)
	}
	if live := w.ctl.WaitLive(t.Context(), w.ctl.View().Revision, 10*time.Second, nil); !live.Live {
		t.Errorf("the engine does not follow: %+v", live)
	}
	for _, key := range filling[2:] {
		if _, _, err := w.st.Commit(t.Context(), store.Txn{Delete: []string{key}}); err != nil {
			t.Fatal(err)
		}
	}
	for end := time.Now().Add(20 * time.Second); w.send("GET", "/api/carillon/readiness", nil).status != 200; w.ctl.WaitLive(t.Context(), 1<<40, 20*time.Millisecond, nil) {
		if time.Now().After(end) {
			t.Fatal("there is room, and the store does not find it")
		}
	}
	w.must(201, "POST", "/api/pool", `{"name":"more"}`)
}

// What is said of a store that is full: whether deletes are taken depends on whose quota it is.
func TestReadyWhenFull(t *testing.T) {
	for _, c := range []struct {
		deletes bool
		says    string
	}{{true, "changes are refused, but for deletes; engines go on: why"}, {false, "changes are refused, deletes too; engines go on: why"}} {
		r := ready{Ready: true, Reads: true, Writes: true, Deletes: true}
		r.full(errors.New("why"), c.deletes)
		if want := (ready{Reads: true, Deletes: c.deletes, Error: c.says}); r != want {
			t.Errorf("%+v, want %+v", r, want)
		}
	}
}
