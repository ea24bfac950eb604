package controller

import (
	"context"
	"crypto/rand"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/carillon-sip/carillon/internal/catalog"
	"github.com/carillon-sip/carillon/internal/object"
	"github.com/carillon-sip/carillon/internal/selfsigned"
	"github.com/carillon-sip/carillon/internal/store"
)

// SecretBytes is the length of a secret that is made.
const SecretBytes = 32

// system is who makes what must be there.
var system = Who{User: "carillon", Role: RoleAdmin, Tenant: catalog.AdminTenant, AnyTenant: true}

// bootstrap makes what must be there. Several controllers may do so at once.
func (c *Controller) bootstrap(ctx context.Context) error {
	for began := time.Now(); time.Since(began) < maxConflict; {
		done, err := c.bootstrapOnce(ctx)
		if done || err != nil {
			return err
		}
	}
	return fmt.Errorf("others write to the store all the time")
}

func (c *Controller) bootstrapOnce(ctx context.Context) (bool, error) {
	v, err := catalog.Load(ctx, c.st)
	if err != nil {
		return false, err
	}
	ok, err := c.ensureSecret(ctx)
	if !ok || err != nil {
		return false, err
	}
	t := store.Txn{Compare: []store.Cond{{Key: catalog.Generation, Revision: v.Generation}}}
	now := c.stamp(v)
	objects := systemObjects()
	if v.Generation == 0 {
		certs, err := systemCerts()
		if err != nil {
			return false, err
		}
		objects = append(objects, certs...)
	}
	entry := c.newEntry(v, system)
	for _, o := range objects {
		if v.Get(o.Kind(), o.UUID()) != nil {
			continue
		}
		entry.Objects = append(entry.Objects, AuditObject{Action: "create", Kind: o.Kind(), UUID: o.UUID(), Name: o.Name()})
		value, err := catalog.NewRecord(o, catalog.AdminTenant, 1, now).Encode()
		if err != nil {
			return false, err
		}
		t.Put = append(t.Put, store.KV{Key: catalog.Key(o.Kind(), o.UUID()), Value: value})
	}
	first := v.Generation == 0
	var password string
	if first {
		if password = c.cfg.AdminPassword; password == "" {
			password = firstPassword()
		}
		value, err := adminUser(password, now)
		if err != nil {
			return false, err
		}
		entry.Objects = append(entry.Objects, AuditObject{Action: "create", Kind: "User", UUID: value.Key[strings.LastIndexByte(value.Key, '/')+1:], Name: AdminUser})
		t.Put = append(t.Put, value, store.KV{Key: catalog.Format, Value: strconv.AppendInt(nil, catalog.FormatVersion, 10)})
	}
	if len(t.Put) == 0 {
		return true, nil
	}
	t.Put = append(t.Put, store.KV{Key: catalog.Generation, Value: strconv.AppendInt(nil, now, 10)})
	if err := entry.into(&t); err != nil {
		return false, err
	}
	_, ok, err = c.st.Commit(ctx, t)
	if ok && first && c.cfg.AdminPassword == "" {
		c.first = password
	}
	return ok, err
}

// ensureSecret reads the cluster's secret, or makes it. It reports false when somebody else just did.
func (c *Controller) ensureSecret(ctx context.Context) (bool, error) {
	kv, found, _, err := c.st.Get(ctx, catalog.SecretKey)
	if err != nil {
		return false, err
	}
	if found {
		c.secret = kv.Value
		return true, nil
	}
	secret := c.cfg.Secret
	if len(secret) == 0 {
		secret = make([]byte, SecretBytes)
		_, _ = rand.Read(secret) // never fails: crypto/rand
	}
	c.secret = secret
	_, ok, err := c.st.Commit(ctx, store.Txn{Compare: []store.Cond{{Key: catalog.SecretKey}}, Put: []store.KV{{Key: catalog.SecretKey, Value: secret}}})
	return ok, err
}

// systemObjects are the objects that are always there, with uuids in their references.
func systemObjects() []object.Any {
	uuids := map[object.Ref]string{}
	all := object.SystemObjects()
	for _, o := range all {
		uuids[object.Ref{Kind: o.Kind(), Value: o.Name()}] = o.UUID()
	}
	for i, o := range all {
		all[i] = o.MapRefs(func(ref object.Ref) string {
			if uuid, ok := uuids[object.Ref{Kind: ref.Kind, Value: ref.Value}]; ok {
				return uuid
			}
			return ref.Value
		})
	}
	return all
}

// systemCerts makes the certificates that Avi's users find on every controller.
func systemCerts() ([]object.Any, error) {
	var out []object.Any
	for _, name := range []string{"System-Default-Cert", "System-Default-Portal-Cert", "System-Default-Portal-Cert-EC256"} {
		cert, key, err := selfsigned.Make(name, []string{"carillon"}, nil)
		if err != nil {
			return nil, err
		}
		body := fmt.Appendf(nil, `{"name":%q,"uuid":"sslkeyandcertificate-%s","tenant_ref":"admin","certificate":{"certificate":%s},"key":%s}`,
			name, uuid.NewString(), quoted(string(cert)), quoted(string(key)))
		o, err := object.Decode("SSLKeyAndCertificate", body)
		if err != nil {
			return nil, err
		}
		out = append(out, o)
	}
	return out, nil
}
