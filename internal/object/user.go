package object

import "slices"

// User is somebody who may log in.
type User struct {
	Name             string     `json:"name" required:"" doc:"what the user logs in as, unless username says otherwise"`
	UUID             string     `json:"uuid" doc:"references may name the object by it"`
	Description      string     `json:"description" doc:"free text"`
	Username         string     `json:"username" doc:"what the user logs in as; left out: the name"`
	FullName         string     `json:"full_name" doc:"name for people"`
	Email            string     `json:"email" doc:"address for mail"`
	Password         string     `json:"password" secret:"" doc:"a new password; what is stored is its hash, and that is never shown"`
	IsActive         bool       `json:"is_active" default:"true" doc:"false: may not log in"`
	IsSuperuser      bool       `json:"is_superuser" default:"false" doc:"may do everything in every tenant"`
	Local            bool       `json:"local" default:"true" idle:"" doc:"known here, not elsewhere"`
	Access           []UserRole `json:"access" items:"0..1000" doc:"what the user may do, tenant by tenant"`
	DefaultTenantRef string     `json:"default_tenant_ref" default:"admin" ref:"Tenant" doc:"tenant of a request that names none"`
	Kept             Kept       `json:"-"`
}

// UserRole is what a user may do in one tenant, or in all.
type UserRole struct {
	RoleRef    string `json:"role_ref" required:"" ref:"Role" doc:"the role"`
	TenantRef  string `json:"tenant_ref" ref:"Tenant" doc:"the tenant; left out with all_tenants"`
	AllTenants bool   `json:"all_tenants" default:"false" doc:"in every tenant"`
	Kept       Kept   `json:"-"`
}

var userKept = slices.Concat(
	quiet(keptText, `date_joined token_expiration_date ui_property user_profile_ref`),
	quiet(keptBool, `anonymous_user is_internal_user is_staff logged_in passwordless service_user`),
	quiet(keptNumber, `uid`),
)

func (c *checker) user(u *User) {
	for i := range u.Access {
		a, at := &u.Access[i], (*path)(nil).field("access").item(i)
		if (a.TenantRef == "") != a.AllTenants {
			c.fail(at.field("tenant_ref"), "give a tenant or all_tenants, one of the two")
		}
	}
}
