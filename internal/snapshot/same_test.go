package snapshot

import (
	"net/netip"
	"reflect"
	"slices"
	"testing"

	"github.com/carillon-sip/carillon/internal/object"
)

// Every field of a server counts when pools are compared, but for those that have no effect here.
func TestSamePoolSeesEveryField(t *testing.T) {
	noEffect := []string{"Description", "Kept"}
	server := object.NewServer(netip.MustParseAddrPort("192.0.2.1:5060"))
	for i := range reflect.TypeFor[object.Server]().NumField() {
		name := reflect.TypeFor[object.Server]().Field(i).Name
		a, b := object.New[object.Pool]("pool"), object.New[object.Pool]("pool")
		other := server
		change(t, reflect.ValueOf(&other).Elem().Field(i))
		a.Servers, b.Servers = []object.Server{server}, []object.Server{other}
		if got, want := samePool(&a, &b), slices.Contains(noEffect, name); got != want {
			t.Errorf("Server.%s changed: same is %v", name, got)
		}
	}
	for i := range reflect.TypeFor[object.Pool]().NumField() {
		name := reflect.TypeFor[object.Pool]().Field(i).Name
		a, b := object.New[object.Pool]("pool"), object.New[object.Pool]("pool")
		change(t, reflect.ValueOf(&b).Elem().Field(i))
		if got, want := samePool(&a, &b), name == "Kept"; got != want {
			t.Errorf("Pool.%s changed: same is %v", name, got)
		}
	}
}

// change gives a field another value.
func change(t *testing.T, v reflect.Value) {
	switch {
	case v.Type() == reflect.TypeFor[netip.Addr]():
		v.Set(reflect.ValueOf(netip.MustParseAddr("192.0.2.99")))
	case v.Kind() == reflect.String:
		v.SetString(v.String() + "x")
	case v.Kind() == reflect.Bool:
		v.SetBool(!v.Bool())
	case v.CanInt():
		v.SetInt(v.Int() + 1)
	case v.CanUint():
		v.SetUint(v.Uint() + 1)
	case v.Kind() == reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
	case v.Kind() == reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(reflect.ValueOf("a").Convert(v.Type().Key()), reflect.Zero(v.Type().Elem()))
	case v.Kind() == reflect.Struct && v.NumField() > 0:
		change(t, v.Field(0))
	case v.Kind() == reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
	default:
		t.Fatalf("no other value of %s is known", v.Type())
	}
}
