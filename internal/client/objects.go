package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/carillon-sip/carillon/internal/object"
)

// Config is what the client was made with.
func (c *Client) Config() Config { return c.cfg }

// In returns a client that works in another tenant.
func (c *Client) In(tenant string) *Client {
	other := *c
	other.cfg.Tenant = tenant
	return &other
}

// Find returns the object of a kind with that name or uuid, references as URLs with #name behind them. found is false
// when there is none.
func (c *Client) Find(ctx context.Context, k object.KindInfo, name string, query url.Values) (data json.RawMessage, found bool, err error) {
	v := url.Values{"include_name": {"true"}}
	for n, values := range query {
		v[n] = values
	}
	v.Set("name", name)
	list, err := c.List(ctx, k.Path, v)
	if err != nil {
		return nil, false, err
	}
	if len(list) > 0 {
		return own(list), true, nil
	}
	v.Del("name")
	data, err = c.Do(ctx, http.MethodGet, "/api/"+k.Path+"/"+url.PathEscape(name)+"?"+v.Encode(), nil)
	var refused *Error
	if errors.As(err, &refused) && refused.Status == http.StatusNotFound {
		return nil, false, nil
	}
	return data, err == nil, err
}

// DeleteUUID deletes the object of a kind with that uuid, also one whose record nobody can read. gone is false when there is
// none, as there never is of what has not the form of a uuid.
func (c *Client) DeleteUUID(ctx context.Context, k object.KindInfo, uuid string) (gone bool, err error) {
	if kind, _, ok := strings.Cut(uuid, "-"); !ok || !strings.HasPrefix(k.Path, kind) && kind != "se" { // engines have se-...
		return false, nil
	}
	_, err = c.Do(ctx, http.MethodDelete, "/api/"+k.Path+"/"+url.PathEscape(uuid), nil)
	var refused *Error
	if errors.As(err, &refused) && refused.Status == http.StatusNotFound {
		return false, nil
	}
	return err == nil, err
}

// own chooses the one of a user's tenant where another of that name is lent to all by admin.
func own(list []json.RawMessage) json.RawMessage {
	for _, data := range list {
		var o struct {
			Tenant string `json:"tenant_ref"`
		}
		if json.Unmarshal(data, &o) == nil && object.RefName(o.Tenant) != "admin" {
			return data
		}
	}
	return list[0]
}

// Names returns the names of the objects of a kind.
func (c *Client) Names(ctx context.Context, k object.KindInfo) ([]string, error) {
	list, err := c.List(ctx, k.Path, url.Values{"fields": {"name"}})
	if err != nil {
		return nil, err
	}
	out := make([]string, 0, len(list))
	for _, data := range list {
		var o struct{ Name string }
		if err := json.Unmarshal(data, &o); err != nil {
			return nil, err
		}
		out = append(out, o.Name)
	}
	return out, nil
}

// NotFound says that there is no such object, and which one may be meant.
type NotFound struct {
	Kind object.KindInfo
	Name string
	Near string
	// Tenant is one in which what stands behind the slash is there: engines and reports write its edge as acme/edge. Empty: none.
	Tenant string
}

func (e *NotFound) Error() string {
	text := fmt.Sprintf("there is no %s %q", e.Kind.Name, e.Name)
	if e.Tenant != "" {
		return text + fmt.Sprintf("; %q of tenant %s is reached with --tenant %s, or in the shell after: switchto tenant %s",
			strings.TrimPrefix(e.Name, e.Tenant+"/"), e.Tenant, e.Tenant, e.Tenant)
	}
	if e.Near != "" {
		text += fmt.Sprintf("; did you mean %q?", e.Near)
	}
	return text
}

// NoSuch makes a NotFound with the nearest name that there is.
func (c *Client) NoSuch(ctx context.Context, k object.KindInfo, name string) error {
	names, err := c.Names(ctx, k)
	if err != nil {
		return err
	}
	out := &NotFound{Kind: k, Name: name, Near: object.Nearest(name, names)}
	if tenant, _, there := c.OfTenant(ctx, k, name); there {
		out.Tenant = tenant
	}
	return out
}

// OfTenant reads a name as engines write those of a tenant's objects, acme/edge, and reports whether that one is there.
func (c *Client) OfTenant(ctx context.Context, k object.KindInfo, name string) (tenant, bare string, there bool) {
	tenant, bare, ok := strings.Cut(name, "/")
	if !ok || tenant == "" || bare == "" {
		return "", "", false
	}
	list, err := c.In(tenant).List(ctx, k.Path, url.Values{"name": {bare}, "fields": {"name,tenant_ref"}, "include_name": {"true"}})
	if err != nil { // there is no such tenant, or no right to look into it
		return "", "", false
	}
	for _, data := range list {
		var o struct {
			Tenant string `json:"tenant_ref"`
		}
		if json.Unmarshal(data, &o) == nil && object.RefName(o.Tenant) == tenant {
			return tenant, bare, true
		}
	}
	return "", "", false
}

// Applied is what a file of objects has done, or would do.
type Applied struct {
	Revision int64
	Changed  bool
	Objects  []ObjectChange
	Warnings []string
}

// ObjectChange is what became of one object: create, update, delete or unchanged.
type ObjectChange struct {
	Action, Kind, UUID, Name string
	Before, After            json.RawMessage
}

// Has reports whether an object is among those, by the name that engines have for it: VirtualService/edge, with the tenant's
// between when that is not admin.
func (a *Applied) Has(object string) bool {
	return slices.ContainsFunc(a.Objects, func(o ObjectChange) bool {
		return strings.HasPrefix(object, o.Kind+"/") && (object == o.Kind+"/"+o.Name || strings.HasSuffix(object, "/"+o.Name))
	})
}

// Apply sends a file of objects, lists by kind, and tells how far it is. query holds prune, dry_run, delete and wait.
func (c *Client) Apply(ctx context.Context, file []byte, query url.Values, t Telling) (*Applied, error) {
	v := url.Values{"apply": {"true"}}
	for n, values := range query {
		v[n] = values
	}
	if t.Progress != nil {
		v.Set("progress", "true")
	}
	data, err := c.DoTelling(ctx, http.MethodPost, "/api/import?"+v.Encode(), file, t)
	if err != nil {
		return nil, err
	}
	var out Applied
	if err := json.Unmarshal(data, &out); err != nil {
		return nil, fmt.Errorf("the answer to an apply: %w", err)
	}
	return &out, nil
}

// Live tells which engines run a revision.
type Live struct {
	Revision int64
	Live     bool
	Engines  []struct {
		Name     string
		Revision int64
		Live     bool
		Errors   map[string]string
	}
}

// liveLook is how long one question for the engines waits.
const liveLook = time.Second

// AwaitLive waits until all engines run a revision, or have said what they cannot run of it, at most for d. each is told
// how far they are.
func (c *Client) AwaitLive(ctx context.Context, revision int64, d time.Duration, each func(*Live)) (*Live, error) {
	for end := time.Now().Add(d); ; {
		look := max(0, min(liveLook, time.Until(end)))
		data, err := c.Do(ctx, http.MethodGet, fmt.Sprintf("/api/live?revision=%d&wait=%s", revision, look), nil)
		if err != nil {
			return nil, err
		}
		var l Live
		if err := json.Unmarshal(data, &l); err != nil {
			return nil, fmt.Errorf("which engines run it: %w", err)
		}
		each(&l)
		if l.Live || l.Running() == len(l.Engines) || look == 0 {
			return &l, nil
		}
	}
}

// Running is how many engines run the revision, with or without errors.
func (l *Live) Running() int {
	n := 0
	for i := range l.Engines {
		if l.Engines[i].Live {
			n++
		}
	}
	return n
}

// File writes objects as the file that Apply sends. A marker, key=value, is put on every one of them; empty: none.
func File(objects []object.Any, marker string) []byte {
	lists := map[string][]json.RawMessage{}
	for _, o := range objects {
		data := o.JSON(object.JSONOptions{Form: object.SkipDefault, Secrets: true})
		if marker != "" {
			data = marked(data, marker)
		}
		lists[o.Kind()] = append(lists[o.Kind()], data)
	}
	out, err := json.Marshal(lists)
	if err != nil {
		panic("client: an object is no JSON: " + err.Error())
	}
	return out
}

// marked adds a marker to an object that does not bear it yet.
func marked(data []byte, marker string) []byte {
	type label struct {
		Key    string   `json:"key"`
		Values []string `json:"values,omitempty"`
	}
	var m map[string]json.RawMessage
	var labels []label
	if json.Unmarshal(data, &m) != nil || m["markers"] != nil && json.Unmarshal(m["markers"], &labels) != nil {
		return data
	}
	key, value, valued := strings.Cut(marker, "=")
	i := slices.IndexFunc(labels, func(l label) bool { return l.Key == key })
	if i < 0 {
		i, labels = len(labels), append(labels, label{Key: key})
	}
	if valued && !slices.Contains(labels[i].Values, value) {
		labels[i].Values = append(labels[i].Values, value)
	}
	var err error
	if m["markers"], err = json.Marshal(labels); err != nil {
		return data
	}
	out, err := json.Marshal(m)
	if err != nil {
		return data
	}
	return out
}
