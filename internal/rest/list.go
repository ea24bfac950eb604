package rest

import (
	"bytes"
	"cmp"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/carillon-sip/carillon/internal/catalog"
	"github.com/carillon-sip/carillon/internal/controller"
	"github.com/carillon-sip/carillon/internal/object"
)

// page is a part of a list, as Avi wraps it.
type page struct {
	Count   int               `json:"count"`
	Results []json.RawMessage `json:"results"`
	Next    string            `json:"next,omitempty"`
}

func (q *request) list() (answer, error) {
	k, err := q.kindOf()
	if err != nil {
		return answer{}, err
	}
	f, err := q.form()
	if err != nil {
		return answer{}, err
	}
	found, err := q.find(k.Name)
	if err != nil {
		return answer{}, err
	}
	return paged(q, found, func(r *catalog.Record) json.RawMessage { return q.write(r, f, nil) })
}

// paged answers with one page of a list.
func paged[T any](q *request, all []T, write func(T) json.RawMessage) (answer, error) {
	part, p, err := pageOf(q, all)
	if err != nil {
		return answer{}, err
	}
	for _, item := range part {
		p.Results = append(p.Results, write(item))
	}
	return answer{Body: p}, nil
}

// pageOf cuts one page out of a list, and makes the envelope that it goes into.
func pageOf[T any](q *request, all []T) ([]T, page, error) {
	size, err := q.number("page_size", defaultPage, 1, MaxPage)
	if err != nil {
		return nil, page{}, err
	}
	number, err := q.number("page", 1, 1, 1<<30)
	if err != nil {
		return nil, page{}, err
	}
	p := page{Count: len(all), Results: []json.RawMessage{}}
	from := min(len(all), (number-1)*size)
	to := min(len(all), from+size)
	if number > 1 && from >= len(all) {
		return nil, page{}, refuse(http.StatusNotFound, "page %d is not there: there are %d of %d", number, (len(all)+size-1)/size, size)
	}
	if to < len(all) {
		v := q.URL.Query()
		v.Set("page", strconv.Itoa(number+1))
		p.Next = "https://" + q.Host + q.URL.Path + "?" + v.Encode()
	}
	return all[from:to], p, nil
}

// number reads a parameter.
func (q *request) number(name string, def, least, most int) (int, error) {
	text := q.URL.Query().Get(name)
	if text == "" {
		return def, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < least || n > most {
		return 0, refuse(http.StatusBadRequest, "%s: %q must be a number, %d to %d", name, text, least, most)
	}
	return n, nil
}

// find returns the objects of a kind that the query asks for.
func (q *request) find(kind string) ([]*catalog.Record, error) {
	v := q.URL.Query()
	tests, err := q.tests(kind, v)
	if err != nil {
		return nil, err
	}
	var out []*catalog.Record
	for _, r := range q.view.List(kind) {
		if q.sees(r) && !slices.ContainsFunc(tests, func(t test) bool { return !t(r) }) {
			out = append(out, r)
		}
	}
	if by := v.Get("sort"); by != "" {
		field, down := strings.CutPrefix(by, "-")
		if err := notSecret(kind, field); err != nil {
			return nil, err
		}
		slices.SortStableFunc(out, func(a, b *catalog.Record) int {
			n := cmp.Compare(a.Object.Text(field), b.Object.Text(field))
			if down {
				return -n
			}
			return n
		})
	}
	if text := v.Get("limit_by"); text != "" {
		n, err := q.number("limit_by", 0, 0, 1<<30)
		if err != nil {
			return nil, err
		}
		out = out[:min(n, len(out))]
	}
	return out, nil
}

// test says whether an object is asked for.
type test func(*catalog.Record) bool

// notFilters are parameters that say how to answer, not what with.
var notFilters = []string{"fields", "include_name", "skip_default", "include_refs", "join_subresources", "sort", "page_size", "page", "limit_by",
	"exclude", "search", "isearch", "refers_to", "referred_by", "export_key", "label_key", "label_value", "cloud_uuid", "wait", "include",
	"metric_id", "step", "limit", "start", "stop", "pad_missing_data", "detail", "headers", ""}

// tests reads the filters of a query.
func (q *request) tests(kind string, v url.Values) ([]test, error) {
	var out []test
	exclude := strings.Split(v.Get("exclude"), ",")
	for name, values := range v {
		if slices.Contains(notFilters, name) {
			continue
		}
		t, err := q.filter(kind, name, values[len(values)-1])
		if err != nil {
			return nil, err
		}
		if slices.Contains(exclude, name) {
			yes := t
			t = func(r *catalog.Record) bool { return !yes(r) }
		}
		out = append(out, t)
	}
	for _, name := range []string{"refers_to", "referred_by"} {
		if text := v.Get(name); text != "" {
			t, err := q.related(name, text)
			if err != nil {
				return nil, err
			}
			out = append(out, t)
		}
	}
	found, err := q.searches(kind, v)
	if err != nil {
		return nil, err
	}
	out = append(out, found...)
	if uuid := v.Get("cloud_uuid"); uuid != "" {
		out = append(out, func(r *catalog.Record) bool {
			to := q.referred("Cloud", r.Object.Text("cloud_ref"))
			return to != nil && to.UUID() == uuid
		})
	}
	if key := v.Get("label_key"); key != "" {
		out = append(out, func(r *catalog.Record) bool { return controller.HasMarker(r, key, v.Get("label_value")) })
	}
	return out, nil
}

// filter is one of name=, name.contains=, name.icontains=, name.in=, uuid.in=, cloud_ref.name=, pool_ref.uuid= and the
// like for every field.
func (q *request) filter(kind, name, value string) (test, error) {
	field, how := name, ""
	if i := strings.LastIndexByte(name, '.'); i > 0 {
		switch name[i+1:] {
		case "contains", "icontains", "in", "startswith", "name", "uuid":
			field, how = name[:i], name[i+1:]
		}
	}
	if _, known := object.Describe(kind, field); !known {
		return nil, refuse(http.StatusBadRequest, "%s: %s has no such field to filter by", name, kind)
	}
	if err := notSecret(kind, field); err != nil {
		return nil, err
	}
	has := func(ok func(string) bool) test {
		return func(r *catalog.Record) bool { return slices.ContainsFunc(r.Object.Texts(field), ok) }
	}
	switch how {
	case "contains":
		return has(func(s string) bool { return strings.Contains(s, value) }), nil
	case "icontains":
		return has(func(s string) bool { return strings.Contains(strings.ToLower(s), strings.ToLower(value)) }), nil
	case "startswith":
		return has(func(s string) bool { return strings.HasPrefix(s, value) }), nil
	case "in":
		words := strings.Split(value, ",")
		return has(func(s string) bool { return slices.Contains(words, s) }), nil
	case "name":
		return has(func(s string) bool {
			to := q.referred(object.RefKind(field), s)
			return to != nil && to.Name() == value
		}), nil
	}
	if kind := object.RefKind(field); kind != "" && (how == "" || how == "uuid") {
		to := controller.Lookup(q.view, kind, value, q.who.Tenant)
		return has(func(s string) bool { return to != nil && q.referred(kind, s) == to }), nil
	}
	return has(func(s string) bool { return s == value }), nil
}

// notSecret refuses to look for, or sort by, what is never shown: piece by piece it could be guessed so.
func notSecret(kind, field string) error {
	if f, _ := object.Describe(kind, field); f.Secret {
		return refuse(http.StatusBadRequest, "%s: it is a secret, and cannot be looked for", field)
	}
	return nil
}

// referred is what a reference leads to. That of a field without effect may stand at its default, which is a name.
func (q *request) referred(kind, text string) *catalog.Record {
	if to := q.view.Get(kind, text); to != nil {
		return to
	}
	return q.view.Named(kind, catalog.AdminTenant, text)
}

// related is refers_to=pool:uuid, those that refer to it, or referred_by=virtualservice:uuid, those it refers to.
func (q *request) related(name, value string) (test, error) {
	kind, uuid, ok := strings.Cut(value, ":")
	info, known := object.FindKind(kind)
	if !ok || !known {
		return nil, refuse(http.StatusBadRequest, "%s: %q: expected type:uuid, such as pool:pool-0a1b", name, value)
	}
	to := q.view.Get(info.Name, uuid)
	if to == nil || !q.sees(to) || !q.who.Reads(info.Name) {
		return nil, refuse(http.StatusNotFound, "%s: %s object not found!", name, info.Name)
	}
	if name == "refers_to" {
		return func(r *catalog.Record) bool {
			return slices.ContainsFunc(r.Refs(), func(ref object.Ref) bool { return ref.Value == uuid })
		}, nil
	}
	return func(r *catalog.Record) bool {
		return slices.ContainsFunc(to.Refs(), func(ref object.Ref) bool { return ref.Value == r.UUID() })
	}, nil
}

// searches are search=text, search=(field,text)|(field,text), and isearch= without regard to case.
func (q *request) searches(kind string, v url.Values) (out []test, err error) {
	for _, name := range []string{"search", "isearch"} {
		if !v.Has(name) {
			continue
		}
		fold := func(s string) string { return s }
		if name == "isearch" {
			fold = strings.ToLower
		}
		t, err := search(kind, v.Get(name), fold)
		if err != nil {
			return nil, err
		}
		out = append(out, t)
	}
	return out, nil
}

func search(kind, text string, fold func(string) string) (test, error) {
	if !strings.HasPrefix(text, "(") {
		want := []byte(fold(text))
		return func(r *catalog.Record) bool {
			return bytes.Contains([]byte(fold(string(r.Object.JSON(object.JSONOptions{Form: object.SkipDefault})))), want)
		}, nil
	}
	type pair struct{ field, text string }
	var pairs []pair
	for part := range strings.SplitSeq(text, "|") {
		field, what, _ := strings.Cut(strings.Trim(strings.TrimSpace(part), "()"), ",")
		if err := notSecret(kind, strings.TrimSpace(field)); err != nil {
			return nil, err
		}
		pairs = append(pairs, pair{strings.TrimSpace(field), fold(strings.TrimSpace(what))})
	}
	return func(r *catalog.Record) bool {
		return slices.ContainsFunc(pairs, func(p pair) bool {
			return slices.ContainsFunc(r.Object.Texts(p.field), func(s string) bool { return strings.Contains(fold(s), p.text) })
		})
	}, nil
}
