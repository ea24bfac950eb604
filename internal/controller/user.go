package controller

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/carillon-sip/carillon/internal/catalog"
	"github.com/carillon-sip/carillon/internal/object"
	"github.com/carillon-sip/carillon/internal/store"
)

// AdminUser is the name of the first user.
const AdminUser = "admin"

// adminPassword is how many characters of chance the first password has, five bits each.
const adminPassword = 20

// userOf reads an account. Nil: there is none, or it may not log in.
func userOf(r *catalog.Record) *user {
	if r == nil {
		return nil
	}
	o, ok := r.Object.Value().(*object.User)
	if !ok || !o.IsActive || o.Password == "" {
		return nil
	}
	u := &user{uuid: r.UUID(), name: loginName(o), hash: o.Password, tenant: o.DefaultTenantRef, access: o.Access, all: o.IsSuperuser}
	if u.tenant == "" {
		u.tenant = catalog.AdminTenant
	}
	return u
}

func loginName(o *object.User) string {
	if o.Username != "" {
		return o.Username
	}
	return o.Name
}

// account finds a user by the name to log in with.
func account(v *catalog.View, name string) *user {
	for _, r := range v.List("User") {
		if o, ok := r.Object.Value().(*object.User); ok && loginName(o) == name {
			return userOf(r)
		}
	}
	return nil
}

// roleIn is what a user may do in a tenant. Empty: nothing.
func (u *user) roleIn(v *catalog.View, tenant string) (Role, []object.Permission) {
	if u.all {
		return RoleAdmin, nil
	}
	best, rights := Role(""), []object.Permission(nil)
	for _, a := range u.access {
		if !a.AllTenants && a.TenantRef != tenant {
			continue
		}
		r := v.Get("Role", a.RoleRef)
		if r == nil {
			continue
		}
		role := Role(r.Name())
		if !object.IsSystem("Role", r.Name()) {
			role = RoleCustom
			if o, ok := r.Object.Value().(*object.Role); ok {
				rights = append(rights, o.Privileges...)
			}
		}
		if role.rank() > best.rank() {
			best = role
		}
	}
	return best, rights
}

func (u *user) who(v *catalog.View, address string) Who {
	role, rights := u.roleIn(v, u.tenant)
	return Who{User: u.name, Role: role, Rights: rights, Tenant: u.tenant, Address: address, account: u}
}

// In is the same user at work in another tenant. It reports false if the user has no access to it.
func (w Who) In(v *catalog.View, tenant string) (Who, bool) {
	if w.account == nil {
		return w, false
	}
	w.Tenant = tenant
	w.Role, w.Rights = w.account.roleIn(v, tenant)
	return w, w.Role != ""
}

// All reports whether somebody sees every tenant.
func (w Who) All() bool {
	if w.account == nil || w.account.all {
		return true
	}
	for _, a := range w.account.access {
		if a.AllTenants {
			return true
		}
	}
	return false
}

// hashPassword puts the hash of a user's new password in its place.
func hashPassword(o object.Any) (object.Any, error) {
	u, ok := o.Value().(*object.User)
	if !ok || u.Password == "" || IsHash(u.Password) {
		return o, nil
	}
	if err := fitPassword(u.Password); err != nil {
		return o, fault(Invalid, "User/%s: password: %v", u.Name, err)
	}
	hashed := *u
	hashed.Password = HashPassword(u.Password)
	return object.AnyOf(&hashed), nil
}

// fitPassword refuses a password that is too short, or longer than what a login takes.
func fitPassword(text string) error {
	if n := utf8.RuneCountInString(text); n < MinPassword || len(text) > maxPassword {
		return fmt.Errorf("must have %d to %d characters", MinPassword, maxPassword)
	}
	return nil
}

// adminUser is the first user as the store keeps it.
func adminUser(password string, modified int64) (store.KV, error) {
	u := object.New[object.User](AdminUser)
	u.UUID = "user-" + uuid.NewString()
	u.Password, u.IsSuperuser, u.DefaultTenantRef = HashPassword(password), true, catalog.AdminTenant
	r := catalog.NewRecord(object.AnyOf(&u), catalog.AdminTenant, 1, modified)
	value, err := r.Encode()
	return store.KV{Key: r.Key(), Value: value}, err
}

// setAdminPassword gives the user admin the password of the configuration, if there is one and it is another.
func (c *Controller) setAdminPassword(ctx context.Context) error {
	if c.cfg.AdminPassword == "" {
		return nil
	}
	v := c.View()
	r := v.Named("User", catalog.AdminTenant, AdminUser)
	if u := userOf(r); u != nil && checkPassword(u.hash, c.cfg.AdminPassword) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, catchUp)
	defer cancel()
	if r == nil {
		return errors.New("there is no user of that name any more; unset the password")
	}
	patch := append(append([]byte(`{"replace":{"password":`), quoted(c.cfg.AdminPassword)...), "}}"...)
	_, err := c.Do(ctx, system, Op{Verb: Patch, Kind: "User", UUID: r.UUID(), Body: patch})
	return err
}

// firstPassword makes the password of the first user.
func firstPassword() string { return rand.Text()[:adminPassword] }

// ChangePassword gives who asks another password. A wrong old one counts as a failed login.
func (c *Controller) ChangePassword(ctx context.Context, who Who, old, password string) error {
	if who.account == nil || password == "" {
		return fault(Invalid, "password: missing")
	}
	u, err := c.check(who.User, old, who.Address)
	if err != nil {
		return err
	}
	self := system // whatever the role: nobody else's password is touched
	self.User, self.Address = who.User, who.Address
	patch := append(append([]byte(`{"replace":{"password":`), quoted(password)...), "}}"...)
	_, err = c.Do(ctx, self, Op{Verb: Patch, Kind: "User", UUID: u.uuid, Body: patch})
	return err
}
