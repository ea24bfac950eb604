package controller

import (
	"strings"
	"testing"

	"github.com/carillon-sip/carillon/internal/catalog"
)

func apply(t *testing.T, c *Controller, file string, o ApplyOptions) string {
	t.Helper()
	res, err := c.ApplyFile(t.Context(), admin, []byte(file), o)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, ch := range res.Objects {
		out = append(out, ch.Action+" "+ch.Kind+"/"+ch.Name)
	}
	if changes := strings.Contains(strings.Join(out, " ")+" ", "e ") && strings.Count(strings.Join(out, " "), "unchanged") < len(out); res.Changed != changes {
		t.Errorf("changed: %v, of %v", res.Changed, out)
	}
	return strings.Join(out, ", ")
}

// A file makes, changes, leaves alone, prunes by a marker and deletes; a dry run only tells.
func TestApplyFile(t *testing.T) {
	c := start(t)
	const (
		mark = `"markers":[{"key":"team","values":["voice"]}]`
		both = `{"Pool":[{"name":"a",` + mark + `},{"name":"b",` + mark + `}]}`
		one  = `{"Pool":[{"name":"a","default_server_port":5060,` + mark + `}]}`
	)
	for _, s := range []struct {
		file string
		o    ApplyOptions
		want string
	}{
		{both, ApplyOptions{DryRun: true}, "create Pool/a, create Pool/b"},
		{both, ApplyOptions{}, "create Pool/a, create Pool/b"},
		{both, ApplyOptions{}, "unchanged Pool/a, unchanged Pool/b"},
		{`{"Pool":[{"name":"c"}]}`, ApplyOptions{Prune: "team=data"}, "create Pool/c"},
		{one, ApplyOptions{Prune: "team=voice", DryRun: true}, "update Pool/a, delete Pool/b"},
		{one, ApplyOptions{Prune: "team"}, "update Pool/a, delete Pool/b"},
		{one, ApplyOptions{Prune: "team=voice"}, "unchanged Pool/a"},
		{`{"Pool":[{"name":"a"},{"name":"c"}]}`, ApplyOptions{Delete: true}, "delete Pool/a, delete Pool/c"},
	} {
		if got := apply(t, c, s.file, s.o); got != s.want {
			t.Errorf("%s with %+v: %s, want %s", s.file, s.o, got, s.want)
		}
	}
	if n := len(c.View().List("Pool")); n != 0 {
		t.Errorf("%d pools are left", n)
	}
}

// What is refused is refused whole.
func TestApplyFileRefuses(t *testing.T) {
	c := start(t)
	do(t, c, create("Tenant", `{"name":"voice"}`))
	viewer := admin
	viewer.Role = RoleViewer
	for _, s := range []struct {
		who  Who
		file string
		o    ApplyOptions
		code Code
	}{
		{admin, `nonsense`, ApplyOptions{}, Invalid},
		{admin, `{"Pol":[]}`, ApplyOptions{}, Invalid},
		{admin, `{"Pool":[{"name":"a"},{"name":"b","health_monitor_refs":["nowhere"]}]}`, ApplyOptions{}, Invalid},
		{admin, `{"Pool":[{"name":"a"},{"name":"a"}]}`, ApplyOptions{}, NameTaken},
		{admin, `{"Pool":[{"name":"a","tenant_ref":"voice"}]}`, ApplyOptions{}, Forbidden},
		{admin, `{"Pool":[{"name":"a"}]}`, ApplyOptions{Delete: true}, NotFound},
		{admin, `{"HealthMonitor":[{"name":"System-SIP"}]}`, ApplyOptions{Delete: true}, Forbidden},
		{viewer, `{"Pool":[{"name":"a"}]}`, ApplyOptions{}, Forbidden},
		{viewer, `{"Pool":[{"name":"a"}]}`, ApplyOptions{DryRun: true}, Forbidden},
	} {
		before := c.View().Generation
		if _, err := c.ApplyFile(t.Context(), s.who, []byte(s.file), s.o); CodeOf(err) != s.code {
			t.Errorf("%s: %v, want code %d", s.file, err, s.code)
		}
		if c.View().Generation != before {
			t.Errorf("%s: was refused, and changed something", s.file)
		}
	}
	if c.View().Named("Pool", catalog.AdminTenant, "a") != nil {
		t.Error("the pool is there")
	}
}
