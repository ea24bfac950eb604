package controller

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"

	"github.com/carillon-sip/carillon/internal/catalog"
	"github.com/carillon-sip/carillon/internal/object"
)

// Role is what a user may do.
type Role string

// The roles, the mightier first.
const (
	RoleAdmin    Role = "admin"    // everything
	RoleOperator Role = "operator" // read; enable and disable virtual services, pools and servers, drain
	RoleCustom   Role = "custom"   // what the privileges of a Role object say
	RoleViewer   Role = "viewer"   // read
)

// rank orders the roles: of several that a user has in a tenant the mightiest counts.
func (r Role) rank() int {
	return slices.Index([]Role{RoleViewer, RoleCustom, RoleOperator, RoleAdmin}, r)
}

// permission is the word for a kind in the privileges of a Role.
func permission(kind string) string { return "PERMISSION_" + strings.ToUpper(kind) }

// Reads reports whether somebody may see objects of a kind.
func (w Who) Reads(kind string) bool {
	if w.Role != RoleCustom {
		return w.Role != ""
	}
	return slices.ContainsFunc(w.Rights, func(p object.Permission) bool { return p.Resource == permission(kind) && p.Type != "NO_ACCESS" })
}

func (w Who) writes(kind string) bool {
	return slices.ContainsFunc(w.Rights, func(p object.Permission) bool { return p.Resource == permission(kind) && p.Type == "WRITE_ACCESS" })
}

// operable are the members that an operator may change, by kind. Those of a pool's servers are checked on their own.
var operable = map[string][]string{
	"VirtualService": {"enabled", "traffic_enabled"},
	"Pool":           {"enabled", "graceful_disable_timeout", "servers"},
}

// everyTenant, where a tenant is expected, matches only what is given for all of them.
const everyTenant = "*"

// Everywhere is the same user with the role that was given for all tenants.
func (w Who) Everywhere(v *catalog.View) Who {
	if w.account != nil {
		w.Role, w.Rights = w.account.roleIn(v, everyTenant)
	}
	return w
}

// may refuses what somebody's role does not allow, as far as the operations alone tell. What an operator changes is
// looked at when the change is planned. Users, roles, tenants and clouds are everybody's, so who is the admin of one
// tenant may not change them: it could make itself the admin of all. So could who has a role of its own with
// WRITE_ACCESS to users or roles: these take an admin.
func (w Who) may(v *catalog.View, ops []Op) error {
	var own, everybodys []Op
	for _, op := range ops {
		if Everybodys(kindName(op.Kind)) {
			everybodys = append(everybodys, op)
		} else {
			own = append(own, op)
		}
	}
	if err := w.mayIn(own); err != nil || len(everybodys) == 0 {
		return err
	}
	everywhere := w.Everywhere(v)
	if err := everywhere.mayIn(everybodys); err != nil {
		return fault(Forbidden, "user %s may not change a %s: that takes a role for all tenants", w.User, kindName(everybodys[0].Kind))
	}
	for _, op := range everybodys {
		if kind := kindName(op.Kind); everywhere.Role != RoleAdmin && (kind == "User" || kind == "Role") {
			return fault(Forbidden, "user %s may not change a %s: that takes the role admin for all tenants", w.User, kind)
		}
	}
	return nil
}

func (w Who) mayIn(ops []Op) error {
	if len(ops) == 0 {
		return nil
	}
	switch w.Role {
	case RoleAdmin:
		return nil
	case RoleOperator:
		for _, op := range ops {
			if op.Verb == Create || op.Verb == Delete || operable[kindName(op.Kind)] == nil {
				return fault(Forbidden, "user %s is an operator: may enable, disable and drain virtual services, pools and servers, but not %s a %s",
					w.User, op.Verb, kindName(op.Kind))
			}
		}
		return nil
	}
	if w.Role == RoleCustom {
		for _, op := range ops {
			if kind := kindName(op.Kind); !w.writes(kind) {
				return fault(Forbidden, "user %s may not change a %s: its role has no WRITE_ACCESS to %s", w.User, kind, permission(kind))
			}
		}
		return nil
	}
	return fault(Forbidden, "user %s may not change anything: its role is %q", w.User, string(w.Role))
}

// mayCreateIn reports whether somebody may make an object in a tenant that the object names.
func (w Who) mayCreateIn(v *catalog.View, tenant string, op *Op) bool {
	if w.AnyTenant || w.account == nil || tenant == w.Tenant {
		return true
	}
	there, ok := w.In(v, tenant)
	return ok && there.mayIn([]Op{{Verb: Create, Kind: op.Kind}}) == nil
}

func kindName(text string) string {
	if info, ok := object.FindKind(text); ok {
		return info.Name
	}
	return text
}

// mayChange refuses to an operator what is more than enabling, disabling and draining.
func (w Who) mayChange(old, now *catalog.Record) error {
	if w.Role != RoleOperator {
		return nil // may has looked
	}
	if old == nil {
		return fault(Forbidden, "user %s is an operator: may not create a %s", w.User, now.Kind())
	}
	before, after := differing(old, now)
	for _, m := range []map[string]json.RawMessage{before, after} {
		for name := range m {
			if !slices.Contains(operable[now.Kind()], name) {
				return fault(Forbidden, "%s/%s: %s: user %s is an operator and may change only what enables, disables and drains", now.Kind(), now.Name(), name, w.User)
			}
		}
	}
	was, ok := old.Object.Value().(*object.Pool)
	if !ok {
		return nil
	}
	if !sameButEnabled(was.Servers, now.Object.Value().(*object.Pool).Servers) {
		return fault(Forbidden, "Pool/%s: servers: user %s is an operator and may change only enabled of a server", now.Name(), w.User)
	}
	return nil
}

func sameButEnabled(a, b []object.Server) bool {
	return slices.EqualFunc(a, b, func(x, y object.Server) bool {
		x.Enabled = y.Enabled
		return reflect.DeepEqual(x, y)
	})
}
