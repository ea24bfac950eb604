package stun

import (
	"encoding/hex"
	"net/netip"
	"testing"
)

// O6: the response of RFC 5769 section 2.2 and 2.3, without the attributes that
// are not ours.
func TestO6_Binding(t *testing.T) {
	const id = "2112a442b7e7a701bc34d686fa87dfae"
	request, _ := hex.DecodeString("00010000" + id)
	for _, c := range []struct{ from, want string }{
		{"192.0.2.1:32853", "0101000c" + id + "00200008" + "0001a147e112a643"},
		{"[2001:db8:1234:5678:11:2233:4455:6677]:32853", "01010018" + id + "00200014" + "0002a1470113a9faa5d3f179bc25f4b5bed2b9d9"},
	} {
		got, ok := AppendBinding(nil, request, netip.MustParseAddrPort(c.from))
		if !ok || hex.EncodeToString(got) != c.want {
			t.Errorf("%s: %x, %v; want %s", c.from, got, ok, c.want)
		}
	}
	for name, bad := range map[string]string{
		"short": "000100002112a442", "a response": "01010000" + id, "wrong cookie": "00010000" + "00000000" + id[8:],
		"length beyond": "00010004" + id, "not padded": "00010001" + id + "00",
	} {
		b, _ := hex.DecodeString(bad)
		if out, ok := AppendBinding(nil, b, netip.MustParseAddrPort("192.0.2.1:1")); ok || len(out) != 0 {
			t.Errorf("%s: answered", name)
		}
	}
}

func FuzzAppendBinding(f *testing.F) {
	request, _ := hex.DecodeString("000100002112a442b7e7a701bc34d686fa87dfae")
	f.Add(request)
	from := netip.MustParseAddrPort("[2001:db8::1]:5060")
	f.Fuzz(func(t *testing.T, b []byte) {
		out, ok := AppendBinding(nil, b, from)
		if ok != (len(out) > 0) || len(out) > MaxResponse {
			t.Fatalf("%d octets, %v", len(out), ok)
		}
	})
}
